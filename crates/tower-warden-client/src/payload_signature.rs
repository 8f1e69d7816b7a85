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
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tower_warden::{
    Clock, ConfigError, Environment, SystemClock, Unavailable,
    jwt::Algorithm,
    signature::payload::{Payload, PayloadScheme, PayloadSigner},
};

use crate::{PrivateKey, private_key::unique_id};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Signs requests. See the [module docs](self).
///
/// The body is read completely before the request is sent, and must have no trailers. Place the layer inside of a
/// [`RetryLayer`](crate::retry::RetryLayer): each attempt then has a signature and a timestamp of its own, and a message with a
/// [`MessageId`] keeps its id.
#[derive(Clone)]
pub struct PayloadSignatureLayer {
    clock: Arc<dyn Clock>,
    signer: PayloadSigner,
}

impl PayloadSignatureLayer {
    /// Signs with this signer.
    #[must_use]
    pub fn new(signer: PayloadSigner) -> Self {
        Self { clock: Arc::new(SystemClock::default()), signer }
    }

    /// Uses the clock of an environment.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Adds the fields of the signature to a request whose body was read.
    fn sign<B>(&self, request: &mut Request<B>, body: &[u8]) -> Result<(), BoxError> {
        let id = match request.extensions().get::<MessageId>() {
            Some(MessageId(id)) => Some(id.to_string()),
            None if self.signer.requires_id() => Some(format!("msg_{}", unique_id()?)),
            None => None,
        };
        let payload = Payload::new(request.method(), request.uri(), body, self.clock.timestamp());
        let fields = self.signer.sign(&id.as_deref().map_or(payload, |id| payload.id(id)))?;
        for (name, value) in &fields {
            request.headers_mut().insert(name, value.clone());
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

impl<S, B, R> Service<Request<B>> for Signed<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + From<Bytes> + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // What the ready instance has reserved is given back while the body is read.
        let mut service = self.inner.clone();
        drop(mem::replace(&mut self.inner, service.clone()));
        let layer = self.layer.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = read(body).await?;
            let mut request = Request::from_parts(parts, B::from(body.clone()));
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            // Not earlier: the wait would make the timestamp old.
            layer.sign(&mut request, &body)?;
            service.call(request).await.map_err(Into::into)
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Signed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

/// Reads a body that has no trailers.
async fn read<B: Body>(body: B) -> Result<Bytes, BoxError>
where
    B::Error: Into<BoxError>,
{
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(data) = frame.map_err(Into::into)?.into_data() else {
            return Err("a signed request has no trailers: the signature does not cover them".into());
        };
        bytes.reserve(data.remaining());
        bytes.put(data);
    }
    Ok(bytes.into())
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
