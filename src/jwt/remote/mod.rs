//! Keys from URLs.

use std::{fmt, sync::Arc};

pub use self::builder::RemoteKeysBuilder;
use self::{builder::Place, keeper::Keeper};
use super::{
    issuer::Issuer,
    key::VerifyingKey,
    source::{KeyRequest, KeySource},
    verify::Jwt,
};
use crate::{
    Eventual,
    error::{ConfigError, Unavailable},
};

mod builder;
mod errand;
mod gone;
mod keeper;
mod plan;

/// The keys of an issuer, fetched from a URL and kept fresh.
///
/// They are fetched when it is made, and again in the background when about 80 % of their lifetime is over: that is 10
/// minutes, or what `Cache-Control` says, but at least one minute and at most 24 hours. A request never waits for a key
/// that is known. One with a `kid` that is not has the keys fetched, at most once in 30 seconds, so that a key is good as
/// soon as its issuer uses it; bad kids that exhaust this have the keys fetched again when the 30 seconds are over, and
/// touch the schedule in no way. Keys without a name are noticed by schedule only.
///
/// A fetch that fails changes nothing, and is repeated. One hour past their lifetime, keys are not used any more: tokens
/// are answered with 503, as they are before the first keys have come. A key that leaves the set verifies nothing from
/// that moment on, and tokens that it has verified and that are cached are refused.
///
/// Fetched is over `https` (or from loopback), without redirects, within 5 seconds, up to 256 KiB and 100 keys, and again
/// only if the server's `ETag` has changed. A key that cannot be used, because it is weak, private, symmetric, meant for
/// encryption or of an unknown kind, is left out. A set without one that can be used is a failed fetch.
///
/// Clones share the keys; the background work ends with the last one.
///
/// ```
/// use tower_warden::jwt::{Algorithm, RemoteKeys};
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let keys = RemoteKeys::builder("https://auth.example.com/jwks.json").rsa_algorithm(Algorithm::PS256).build()?;
/// assert!(!keys.is_ready(), "there is no runtime in which they could be fetched");
///
/// assert!(RemoteKeys::new("http://auth.example.com/jwks.json").is_err(), "not https");
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RemoteKeys(Arc<Keeper>);

impl RemoteKeys {
    /// The keys at a URL, the issuer's `jwks_uri`, with the defaults of [`RemoteKeysBuilder`].
    ///
    /// # Errors
    ///
    /// See [`RemoteKeysBuilder::build`].
    pub fn new(uri: &str) -> Result<Self, ConfigError> {
        Self::builder(uri).build()
    }

    /// The keys at a URL, the issuer's `jwks_uri`.
    pub fn builder(uri: &str) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(Place::Uri(uri.into()))
    }

    /// The keys of an issuer, whose metadata tells where they are, with the defaults of [`RemoteKeysBuilder`].
    ///
    /// # Errors
    ///
    /// If the metadata is of another issuer: see [`RemoteKeysBuilder::connect`].
    pub async fn discover(issuer: &str) -> Result<Self, ConfigError> {
        Self::discovery(issuer).connect().await
    }

    /// The keys of an issuer, whose metadata tells where they are: by RFC 8414 §3, or OpenID Connect Discovery §4.
    pub fn discovery(issuer: &str) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(Place::Issuer(issuer.into()))
    }

    /// Whether there are keys, and not too old ones: for a readiness probe, which may also be what starts the first fetch.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

impl Jwt {
    /// Tokens of one issuer for `audience`, verified with the keys that the issuer's metadata points to.
    ///
    /// If nobody answers, that is no error: the result is [not ready](Self::is_ready), and tokens are answered with 503,
    /// until somebody does. For more than the defaults, hand [`RemoteKeys`] to [`Jwt::new`] or [`Jwt::builder`].
    ///
    /// ```no_run
    /// use tower_warden::{jwt::Jwt, layer::AuthLayer};
    ///
    /// # async fn run() -> Result<(), tower_warden::ConfigError> {
    /// let layer = AuthLayer::new(Jwt::discover("https://auth.example.com", "https://api.example.com").await?);
    /// assert!(Jwt::discover("http://auth.example.com", "https://api.example.com").await.is_err(), "not https");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the metadata is of another issuer, the issuer is no `https` URL, loopback hosts aside, or the audience is empty;
    /// or if TLS cannot be set up: see [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub async fn discover(issuer: &str, audience: &str) -> Result<Self, ConfigError> {
        let trusted = Issuer::new(issuer, audience)?;
        Ok(Self::new(trusted, RemoteKeys::discover(issuer).await?))
    }
}

impl KeySource for RemoteKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        self.0.find(request)
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys").field("issuer", &self.0.name()).finish_non_exhaustive()
    }
}
