//! Requests that are signed ([RFC 9421](https://www.rfc-editor.org/rfc/rfc9421)).
//!
//! [`SignLayer`] adds `Content-Digest`, `Signature-Input` and `Signature` to each request, by a [`MessageSigner`] with a
//! [`RequestKey`], or with an `HmacKey` that the server knows as well. `tower-warden` verifies them by its `Signatures`, or as
//! the proof of a token that is bound to the key by its `SignatureProof`: then place the layer inside of the
//! [`TokenLayer`](crate::TokenLayer), so that the signature covers the token.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{jwt::Algorithm, signature::MessageSigner};
//! use tower_warden_client::{PrivateKey, signature::{RequestKey, SignLayer}};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let key = RequestKey::new(PrivateKey::generate(Algorithm::EdDSA)?.with_kid("agent-7-2026"))?;
//! let api = service_fn(async |request: Request<Full<Bytes>>| {
//!     assert!(request.headers()["signature-input"].to_str().expect("text").contains(r#"keyid="agent-7-2026""#));
//!     Ok::<_, Infallible>(Response::new(request.headers()["content-digest"].clone()))
//! });
//! let client = SignLayer::new(MessageSigner::new(key)).layer(api);
//!
//! let request = Request::post("https://api.example.com/orders").body(Full::<Bytes>::from("{}"))?;
//! let digest = client.clone().oneshot(request).await.expect("it is signed").into_body();
//! assert_eq!(digest, "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:");
//!
//! let relative = Request::get("/orders").body(Full::<Bytes>::default())?;
//! assert!(client.oneshot(relative).await.is_err(), "the host is a part of the signature");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! assert!(RequestKey::new(PrivateKey::generate(Algorithm::PS384)?).is_err(), "RFC 9421 has no such algorithm");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tower_warden::{
    Clock, ConfigError, Environment, Unavailable,
    signature::{MessageKey, MessageSigner, SignatureAlgorithm},
};

use crate::{
    PrivateKey,
    signed_content::{BoxError, MAX_BYTES, Sent, send_signed},
};

/// A [`PrivateKey`] that signs requests: one for ES256, ES384, EdDSA, PS512 or RS256.
///
/// Its id is the `kid`, or the thumbprint of the public key if it has none. See the [module docs](self).
#[derive(Clone, Debug)]
pub struct RequestKey {
    algorithm: SignatureAlgorithm,
    id: Box<str>,
    key: PrivateKey,
}

impl RequestKey {
    /// Signs requests with this key.
    ///
    /// # Errors
    ///
    /// If RFC 9421 has no name for the algorithm of the key.
    pub fn new(key: PrivateKey) -> Result<Self, ConfigError> {
        let algorithm = SignatureAlgorithm::of(key.algorithm()).ok_or_else(|| {
            let message = "requests are signed with ES256, ES384, EdDSA, PS512 or RS256";
            ConfigError::custom(message).value(key.algorithm())
        })?;
        let id = key.kid().map_or_else(|| key.thumbprint().to_base64url(), str::to_owned).into();
        Ok(Self { algorithm, id, key })
    }
}

impl MessageKey for RequestKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn key_id(&self) -> &str {
        &self.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        self.key.sign(message).map_err(|error| Unavailable::new("the private key").because(error))
    }
}

/// Signs each request. See the [module docs](self).
///
/// A request that has signatures, such as one that a gateway passes on, keeps them, and gets one with another label. Those that
/// are malformed, or too many, are removed.
///
/// The body of a request is read before it is sent, because its digest is signed: up to 1 MiB by default. It has no
/// trailers, and is made of the bytes again. A request that is sent again needs a new signature: place a
/// [`RetryLayer`](crate::retry::RetryLayer) outside of this layer.
#[derive(Clone)]
pub struct SignLayer(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    clock: Arc<dyn Clock>,
    max_bytes: usize,
    signer: MessageSigner,
}

impl SignLayer {
    /// Creates a layer.
    #[must_use]
    pub fn new(signer: MessageSigner) -> Self {
        Self(Arc::new(Settings { clock: Environment::default().clock(), max_bytes: MAX_BYTES, signer }))
    }

    /// Takes the clock of an environment: the system clock by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        Arc::make_mut(&mut self.0).clock = environment.clock();
        self
    }

    /// Sets the size of the largest body, in bytes. A request with a larger one fails.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        Arc::make_mut(&mut self.0).max_bytes = max_bytes;
        self
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = SignRequest<S>;

    fn layer(&self, inner: S) -> SignRequest<S> {
        SignRequest { inner, settings: Arc::clone(&self.0) }
    }
}

impl fmt::Debug for SignLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignLayer").field("signer", &self.0.signer).finish_non_exhaustive()
    }
}

/// The service of a [`SignLayer`].
#[derive(Clone)]
pub struct SignRequest<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B> Service<Request<B>> for SignRequest<S>
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

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        send_signed(&mut self.inner, request, self.settings.max_bytes, move |parts, content| {
            let signer = settings.signer.with_free_label(&mut parts.headers);
            Ok(signer.sign_request(parts, content, settings.clock.now())?)
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for SignRequest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignRequest").field("inner", &self.inner).finish_non_exhaustive()
    }
}
