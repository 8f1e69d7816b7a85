use std::{fmt, sync::Arc, time::Duration};

use http::Uri;

use super::{
    RemoteKeys,
    failure::Misconfiguration,
    fetcher::{Fetcher, KeySetSource},
    key_set_cache::KeySetCache,
};
#[cfg(feature = "signature")]
use crate::jwt::key_set::Names;
use crate::{
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    fetch::{self, Fetch, PlainHttp},
    jwt::{
        algorithm::{Algorithm, KeyType},
        key_set::{KeySelection, MissingKid, Thumbprints, Undetermined},
    },
    request::Network,
    url,
};

/// Configures [`RemoteKeys`].
#[must_use]
pub struct RemoteKeysBuilder {
    environment: Environment,
    fetch: Option<Arc<dyn Fetch>>,
    plain: PlainHttp,
    rsa: Algorithm,
    selection: KeySelection,
    source: UncheckedSource,
    timeout: Duration,
}

/// The configured source of a key set, before it is checked.
pub(super) enum UncheckedSource {
    Issuer(Box<str>),
    Uri(Box<str>),
}

impl RemoteKeysBuilder {
    pub(super) fn new(source: UncheckedSource) -> Self {
        Self {
            environment: Environment::default(),
            fetch: None,
            plain: PlainHttp::default(),
            rsa: Algorithm::RS256,
            selection: KeySelection::default(),
            source,
            timeout: Duration::from_secs(5),
        }
    }

    /// Verifies tokens without `kid` with a key that has one, if it is the only key for the token's algorithm.
    pub fn accept_missing_kid(mut self) -> Self {
        self.selection.missing_kid = MissingKid::Accept;
        self
    }

    /// Verifies tokens without `kid` with the key whose certificate their header names, by `x5t#S256` or `x5t`
    /// ([RFC 7515 §4.1.8](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.8)), as AD FS does. An unknown thumbprint is treated
    /// as an unknown `kid`. A thumbprint that several keys for the token's algorithm have selects none of them.
    ///
    /// A key whose certificate is renewed is then a new key: cached tokens are verified again, and long responses end.
    pub fn accept_certificate_thumbprints(mut self) -> Self {
        self.selection.thumbprints = Thumbprints::Accept;
        self
    }

    /// Tries up to four keys for a token whose header does not determine the key: a token without `kid`, or any token if no key
    /// has a `kid`. By default, such keys are not used. A token then costs up to five verifications: one with each key that is
    /// tried, and one with the key that is used.
    pub fn try_keys(mut self) -> Self {
        self.selection.undetermined = Undetermined::Try;
        self
    }

    /// Names keys by their thumbprints instead of their `kid`.
    #[cfg(feature = "signature")]
    pub(crate) const fn named_by_thumbprint(mut self) -> Self {
        self.selection.names = Names::Thumbprint;
        self
    }

    /// Uses the clock of this environment instead of the system clock. Pass the same environment to the layer.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// Sets the client that fetches the keys: an [`HttpClient`](crate::fetch::HttpClient) for public addresses by default. Its
    /// [builder](crate::fetch::HttpClient::builder) has options for private networks and private certificate authorities.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets the algorithm of RSA keys without `alg`: RS256 by default.
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rsa = algorithm;
        self
    }

    /// Sets the time-out of each HTTP request, and of a token that waits for its key: 5 seconds by default. A token waits for 10
    /// seconds at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Fetches metadata and keys over plain `http` from these networks, such as that of a cluster: from
    /// `http://keycloak:8080/realms/x`, if the name resolves to an address in one of them.
    ///
    /// Anyone on the way can replace the keys, and sign tokens of any content. A client set with [`fetch`](Self::fetch) resolves
    /// names by its own rules: an [`HttpClient`](crate::fetch::HttpClient) must permit it as well (see
    /// [`HttpClientBuilder::danger_plain_http`](crate::fetch::HttpClientBuilder::danger_plain_http)), and of a custom
    /// [`Fetch`], the addresses to which a name resolves are not checked.
    pub fn danger_plain_http(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.plain.extend(networks);
        self
    }

    /// Builds the key source, which starts to fetch immediately, or when it is first used within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the URL is not an `https` URL without user information (`http` is accepted for a loopback host, and in networks of
    /// [`danger_plain_http`](Self::danger_plain_http)), if the client [refuses](Fetch::check) it, as an
    /// [`HttpClient`](crate::fetch::HttpClient) refuses an address that it does not connect to, if the RSA algorithm is not one
    /// of RSA, or if the default client cannot be created: see
    /// [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn build(self) -> Result<RemoteKeys, ConfigError> {
        if self.rsa.key_type() != KeyType::Rsa {
            return Err(refused("RSA keys are used with RS256, RS384, RS512, PS256, PS384 or PS512").value(self.rsa));
        }
        let (source, uri) = self.source.check(&self.plain)?;
        let fetch = self.plain.client(self.fetch)?;
        fetch.check(&uri)?;
        let fetcher = Fetcher {
            fetch,
            plain: self.plain,
            rsa: self.rsa,
            selection: self.selection,
            source,
            timeout: self.timeout,
        };
        let cache = KeySetCache::new(fetcher, &self.environment);
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
    /// ([RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)), or if a host has private addresses only, which the
    /// client does not connect to.
    pub async fn connect(self) -> Result<RemoteKeys, ConfigError> {
        let keys = self.build()?;
        keys.0.wait_for_fetch().await;
        let (kind, message, value) = match keys.0.misconfiguration() {
            None => return Ok(keys),
            Some(Misconfiguration::Address) => (ConfigErrorKind::HttpClient, fetch::ALLOW, keys.0.name().to_owned()),
            Some(Misconfiguration::Issuer(found)) => {
                let message = "an issuer is configured with the `issuer` of its metadata, byte for byte";
                (ConfigErrorKind::Issuer, message, format!("{}, whose metadata names {found}", keys.0.name()))
            }
        };
        Err(ConfigError::new(kind, message).value(value))
    }
}

impl UncheckedSource {
    fn check(self, plain: &PlainHttp) -> Result<(KeySetSource, Uri), ConfigError> {
        const SECURE: &str = "keys come from an https URL without user information; http is for a loopback host, or for \
            networks declared with `RemoteKeysBuilder::danger_plain_http`";
        let (Self::Issuer(text) | Self::Uri(text)) = &self;
        let refused_url = |message| refused(message).value(url::redacted(text));
        let uri: Uri = text.parse().map_err(|_| refused_url(SECURE))?;
        if !plain.accepts(text) {
            return Err(refused_url(SECURE));
        }
        match &self {
            // RFC 8414 §2.
            Self::Issuer(issuer) if issuer.contains(['?', '#']) => {
                Err(refused_url("an issuer with metadata is a URL without query and fragment"))
            }
            Self::Issuer(issuer) => Ok((KeySetSource::Issuer(issuer.clone()), uri)),
            Self::Uri(_) => Ok((KeySetSource::Uri(uri.clone()), uri)),
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
