//! Keys that are fetched from URLs.

use std::{fmt, sync::Arc};

pub use self::builder::RemoteKeysBuilder;
use self::{builder::UncheckedSource, key_set_cache::KeySetCache};
use super::{
    authenticator::Jwt,
    issuer::Issuer,
    key::VerifyingKey,
    source::{KeyRequest, KeySource},
};
use crate::{
    Eventual,
    error::{ConfigError, Unavailable},
};

mod builder;
mod discovery;
mod failure;
mod fetcher;
mod key_set_cache;
mod pending_fetch;
mod refresh_schedule;
mod refresh_task;
mod removed_kids;
mod sightings;
mod state;
mod waiting;

/// The keys of an issuer, fetched from a URL and refreshed in the background.
///
/// **Refresh.** Keys are fetched when the source is built, and again after about 80 % of their lifetime: 10 minutes, or the
/// `max-age` of `Cache-Control` within one minute and 24 hours. A request with a known key never waits.
///
/// **Unknown kids.** A token with an unknown `kid` causes a fetch, at most once in 30 seconds on average, so a new key is
/// accepted as soon as its issuer uses it. If the key is not there, the issuer's metadata is read again, because the keys may
/// have moved. If made-up kids exhaust this limit, one more fetch is in reserve for a `kid` that occurs again in a later second,
/// as that of a new key does; otherwise the keys are fetched again when the 30 seconds are over. Unknown kids do not delay the
/// scheduled fetches. A `kid` that the set has with another `alg` is an unknown one. New keys without `kid` are found by
/// scheduled fetches only.
///
/// **Failures.** After a failed fetch the current keys stay in use, and the fetch is repeated. One hour after the end of
/// their lifetime, keys are not used any more: tokens are refused with 503, as before the first successful fetch.
///
/// **Removed keys.** A key that leaves the set verifies nothing from then on, and cached tokens that it verified are refused.
/// This also applies if a set that is well formed contains no usable key at all: an issuer without keys is not ready. Tokens of
/// removed keys cause a fetch after 30 seconds, and then less and less often, because the issuer may publish a key again.
///
/// **Limits.** Keys are fetched over `https` (or from a loopback host), without redirects, within 5 seconds, up to 256 KiB
/// and 100 keys, and with the server's `ETag`. Keys that cannot be used are left out and logged: weak, private and symmetric
/// ones, keys for encryption, unknown types, and different keys with the same `kid` and algorithm.
///
/// **Private networks.** The default client connects to public addresses, and trusts the certificate authorities of the
/// system. [`HttpClient::builder`](crate::fetch::HttpClient::builder) has options for private addresses and authorities;
/// plain `http` is [declared](RemoteKeysBuilder::danger_plain_http).
///
/// Clones share the keys. The background task exits when the last clone is dropped.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::{Algorithm, RemoteKeys};
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let keys = RemoteKeys::builder("https://auth.example.com/jwks.json").rsa_algorithm(Algorithm::PS256).build()?;
/// assert!(!keys.is_ready(), "without a runtime, keys are not fetched yet");
///
/// assert!(RemoteKeys::new("http://auth.example.com/jwks.json").is_err(), "not https");
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RemoteKeys(Arc<KeySetCache>);

impl RemoteKeys {
    /// Creates a source of the keys at this URL, the issuer's `jwks_uri`, with the defaults of [`RemoteKeysBuilder`].
    ///
    /// # Errors
    ///
    /// See [`RemoteKeysBuilder::build`].
    pub fn new(uri: &str) -> Result<Self, ConfigError> {
        Self::builder(uri).build()
    }

    /// Returns a builder for a source of the keys at this URL, the issuer's `jwks_uri`.
    pub fn builder(uri: &str) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(UncheckedSource::Uri(uri.into()))
    }

    /// Creates a source of the keys to which the issuer's metadata refers, with the defaults of [`RemoteKeysBuilder`].
    ///
    /// # Errors
    ///
    /// If the metadata names another issuer: see [`RemoteKeysBuilder::connect`].
    pub async fn discover(issuer: &str) -> Result<Self, ConfigError> {
        Self::discovery(issuer).connect().await
    }

    /// Returns a builder for a source of the keys to which the issuer's metadata refers, at the URL of
    /// [RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3) or of
    /// [OpenID Connect Discovery §4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig).
    pub fn discovery(issuer: &str) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(UncheckedSource::Issuer(issuer.into()))
    }

    /// Returns whether valid keys are available, for a readiness probe. A call starts the fetch that is due.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

impl Jwt {
    /// Creates an authenticator for tokens of one issuer for `audience`, with the keys to which the issuer's metadata refers.
    ///
    /// An issuer that does not respond is not an error: the authenticator is [not ready](Self::is_ready), and tokens are
    /// refused with 503, until it does. For other settings, pass [`RemoteKeys`] to [`Jwt::new`] or [`Jwt::builder`].
    ///
    /// # Examples
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
    /// If the metadata names another issuer, the issuer is not an `https` URL (`http` is accepted for a loopback host), the
    /// audience is empty, or the HTTP client cannot be created: see [`HttpClient::new`](crate::fetch::HttpClient::new).
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
