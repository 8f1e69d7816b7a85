use std::{fmt, sync::Arc};

use http::Uri;

use super::{
    RemoteKeys,
    fetcher::{Fetcher, KeySetSource},
    key_set_cache::KeySetCache,
};
use crate::{
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    fetch::{Fetch, HttpClient},
    jwt::{
        algorithm::{Algorithm, KeyType},
        source::MissingKid,
    },
    time::{Clock, SystemClock},
    url,
};

/// Configures [`RemoteKeys`].
#[must_use]
pub struct RemoteKeysBuilder {
    clock: Arc<dyn Clock>,
    fetch: Option<Arc<dyn Fetch>>,
    missing_kid: MissingKid,
    rsa: Algorithm,
    source: UncheckedSource,
}

/// The configured source of a key set, before it is checked.
pub(super) enum UncheckedSource {
    Issuer(Box<str>),
    Uri(Box<str>),
}

impl RemoteKeysBuilder {
    pub(super) fn new(source: UncheckedSource) -> Self {
        let clock = Arc::new(SystemClock);
        Self { clock, fetch: None, missing_kid: MissingKid::Refuse, rsa: Algorithm::RS256, source }
    }

    /// Verifies tokens without `kid` with a key that has one, if it is the only key for the token's algorithm.
    pub fn accept_missing_kid(mut self) -> Self {
        self.missing_kid = MissingKid::Accept;
        self
    }

    /// Uses the clock of this environment instead of the system clock. Pass the same environment to the layer.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Sets the client that fetches the keys, for example a custom `reqwest::Client`: an [`HttpClient`] for public addresses
    /// by default.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets the algorithm of RSA keys without `alg`: RS256 by default.
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rsa = algorithm;
        self
    }

    /// Builds the key source, which starts to fetch immediately, or when it is first used within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the URL is not an `https` URL without user information (`http` is accepted for a loopback host), if the RSA
    /// algorithm is not one of RSA, or if the default client cannot be created: see [`HttpClient::new`].
    pub fn build(self) -> Result<RemoteKeys, ConfigError> {
        if self.rsa.key_type() != KeyType::Rsa {
            return Err(refused("RSA keys are used with RS256, RS384, RS512, PS256, PS384 or PS512").value(self.rsa));
        }
        let source = self.source.check()?;
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => Arc::new(HttpClient::new()?),
        };
        let fetcher = Fetcher { fetch, missing_kid: self.missing_kid, rsa: self.rsa, source };
        let cache = KeySetCache::new(fetcher, self.clock);
        cache.ensure_refresh_task();
        Ok(RemoteKeys(cache))
    }

    /// Builds the key source and waits for the result of its first fetch, which needs a tokio runtime.
    ///
    /// An issuer that does not respond is not an error: fetches are repeated, and until one succeeds the source is [not
    /// ready](RemoteKeys::is_ready), and tokens are refused with 503.
    ///
    /// # Errors
    ///
    /// See [`build`](Self::build); also if the metadata names another issuer
    /// ([RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    pub async fn connect(self) -> Result<RemoteKeys, ConfigError> {
        let keys = self.build()?;
        keys.0.wait_for_fetch().await;
        if keys.0.is_issuer_mismatch() {
            let message = "an issuer is configured with the `issuer` of its metadata, byte for byte";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(keys.0.name()));
        }
        Ok(keys)
    }
}

impl UncheckedSource {
    fn check(self) -> Result<KeySetSource, ConfigError> {
        const SECURE: &str = "keys come from an https URL (http for a loopback host) without user information";
        let (Self::Issuer(text) | Self::Uri(text)) = &self;
        let refused_url = |message| refused(message).value(url::redacted(text));
        let uri: Uri = text.parse().map_err(|_| refused_url(SECURE))?;
        if !url::is_secure(text) || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refused_url(SECURE));
        }
        match &self {
            // RFC 8414 §2.
            Self::Issuer(issuer) if issuer.contains(['?', '#']) => {
                Err(refused_url("an issuer with metadata is a URL without query and fragment"))
            }
            Self::Issuer(issuer) => Ok(KeySetSource::Issuer(issuer.clone())),
            Self::Uri(_) => Ok(KeySetSource::Uri(uri)),
        }
    }
}

impl fmt::Debug for RemoteKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeysBuilder").field("rsa", &self.rsa).finish_non_exhaustive()
    }
}

fn refused(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::KeySet, message)
}
