//! Requests that are signed with a [`PayloadScheme`]: webhooks that an application sends, and APIs that require a signature
//! beside an API key.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::signature::payload::{PayloadKey, PayloadScheme, PayloadSigner};
//! use tower_warden_client::payload_signature::{MessageId, PayloadSignatureLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let secret = PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let signer = PayloadSigner::new(PayloadScheme::standard_webhooks(), secret)?;
//! let client = ServiceBuilder::new()
//!     .layer(PayloadSignatureLayer::new(signer))
//!     .service_fn(async |request: Request<Full<Bytes>>| {
//!         let headers = request.headers();
//!         assert_eq!(headers["webhook-id"], "msg_1");
//!         assert!(headers["webhook-signature"].to_str().is_ok_and(|field| field.starts_with("v1,")));
//!         Ok::<_, Infallible>(Response::new(()))
//!     });
//!
//! let request = |id| {
//!     let request = Request::post("https://customer.example.com/hooks").extension(MessageId::new(id));
//!     request.body(Full::from(r#"{"type":"invoice.paid"}"#)).expect("a request")
//! };
//! client.clone().oneshot(request("msg_1")).await?;
//! assert!(client.oneshot(request("msg 1")).await.is_err(), "no id that receivers accept");
//! # Ok(()) }
//! ```

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tower_warden::{
    Clock, ConfigError, Environment, SystemClock, Unavailable,
    jwt::Algorithm,
    signature::payload::{Payload, PayloadScheme, PayloadSigner},
};

use crate::{
    PrivateKey,
    private_key::unique_id,
    signed_content::{BoxError, MAX_BYTES, Sent, send_signed},
};

/// Signs requests. See the [module docs](self).
///
/// The body is read completely before the request is sent: up to 1 MiB by default. It has no trailers, and is made of
/// the bytes again. Place the layer inside of a [`RetryLayer`](crate::retry::RetryLayer): each attempt then has a
/// signature and a timestamp of its own, and a message with a [`MessageId`] keeps its id.
#[derive(Clone)]
pub struct PayloadSignatureLayer {
    clock: Arc<dyn Clock>,
    max_bytes: usize,
    signer: PayloadSigner,
}

impl PayloadSignatureLayer {
    /// Signs with this signer.
    #[must_use]
    pub fn new(signer: PayloadSigner) -> Self {
        Self { clock: Arc::new(SystemClock::default()), max_bytes: MAX_BYTES, signer }
    }

    /// Uses the clock of an environment.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Sets the size of the largest body, in bytes. A request with a larger one fails.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Adds the fields of the signature to a request whose body was read.
    fn sign(&self, parts: &mut Parts, body: &[u8]) -> Result<(), BoxError> {
        let id = match parts.extensions.get::<MessageId>() {
            Some(MessageId(id)) => Some(id.to_string()),
            None if self.signer.requires_id() => Some(format!("msg_{}", unique_id()?)),
            None => None,
        };
        let payload = Payload::new(&parts.method, &parts.uri, body, self.clock.timestamp());
        let fields = self.signer.sign(&id.as_deref().map_or(payload, |id| payload.id(id)))?;
        for (name, value) in &fields {
            parts.headers.insert(name, value.clone());
        }
        Ok(())
    }
}

impl<S> Layer<S> for PayloadSignatureLayer {
    type Service = Signed<S>;

    fn layer(&self, inner: S) -> Signed<S> {
        Signed { inner, layer: self.clone() }
    }
}

impl fmt::Debug for PayloadSignatureLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadSignatureLayer").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// The id of a message, as an extension of its request. Without one, each request has an id of its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// An id, which is the same for each attempt to send a message.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }
}

/// The service of a [`PayloadSignatureLayer`].
///
/// It implements `Service` itself, because a request that cannot be signed is not sent, and has no response.
#[derive(Clone)]
pub struct Signed<S> {
    inner: S,
    layer: PayloadSignatureLayer,
}

impl<S, B> Service<Request<B>> for Signed<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes> + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Sent<S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        send_signed(&mut self.inner, request, layer.max_bytes, move |parts, body| layer.sign(parts, body))
    }
}

impl<S: fmt::Debug> fmt::Debug for Signed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

impl PrivateKey {
    /// A signer of payloads with this key, such as the `v1a` of Standard Webhooks.
    ///
    /// # Errors
    ///
    /// If it is not an Ed25519 key, or the scheme has no such signatures.
    pub fn payload_signer(&self, scheme: PayloadScheme) -> Result<PayloadSigner, ConfigError> {
        if self.algorithm() != Algorithm::EdDSA {
            let error = ConfigError::custom("payloads are signed with a secret, or with a key for EdDSA");
            return Err(error.value(self.algorithm()));
        }
        let key = self.clone();
        let unavailable = || Unavailable::new("the private key");
        PayloadSigner::ed25519(scheme, move |message| {
            let signature = key.sign(message).map_err(|error| unavailable().because(error))?;
            signature.try_into().map_err(|_| unavailable())
        })
    }
}
