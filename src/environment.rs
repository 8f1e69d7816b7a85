//! The settings that all parts of a deployment share.

use std::{fmt, str::FromStr, sync::Arc};

#[cfg(feature = "audit")]
use crate::notice::Observer;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    request::TrustedProxies,
    time::{Clock, SystemClock},
};

/// The settings that all parts of a deployment share: the clock, the trusted proxies, the namespace of shared stores, and
/// with the feature `audit` the receiver of notices.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     Environment,
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::{AuthLayer, ClientAddressLayer},
///     request::TrustedProxies,
/// };
///
/// let environment = Environment::default()
///     .with_trusted_proxies(TrustedProxies::new(["10.0.0.0/8".parse()?]))
///     .with_namespace("billing".parse()?);
///
/// let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_live")?).environment(&environment).build();
/// let client_address = ClientAddressLayer::new(environment.trusted_proxies());
/// let auth = AuthLayer::new(keys).environment(&environment);
///
/// assert!("billing prod".parse::<tower_warden::Namespace>().is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Environment {
    clock: Arc<dyn Clock>,
    namespace: Option<Namespace>,
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn Observer>>,
    proxies: TrustedProxies,
}

impl Environment {
    /// Sets the clock: the system clock by default.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the namespace of shared stores: two services on one Redis need two namespaces.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Sets the receiver of notices, an [`AuditLog`](crate::audit::AuditLog): of changed API keys, revocations in a
    /// [`MemoryRevocationList`](crate::revocation::MemoryRevocationList) or a `RedisRevocationList`, new key sets of
    /// issuers, and outages of what layers, authenticators and policies with this environment depend on.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets the proxies whose forwarded addresses and certificates are trusted.
    #[must_use]
    pub fn with_trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The receiver of notices, if one is set.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.clone()
    }

    /// The namespace of shared stores, if one is set.
    #[must_use]
    pub const fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// The trusted proxies.
    #[must_use]
    pub fn trusted_proxies(&self) -> TrustedProxies {
        self.proxies.clone()
    }
}

/// The machine's clock, no trusted proxies, no namespace, and no receiver of notices.
impl Default for Environment {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            namespace: None,
            #[cfg(feature = "audit")]
            observer: None,
            proxies: TrustedProxies::default(),
        }
    }
}

/// The namespace of a service in stores that it shares with others, such as Redis.
///
/// Shared stores require one: without it, two services that use one server would share limits, revocations, used proofs and
/// notifications of changed keys.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The text; never empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            let message = "a namespace is 1 to 64 ASCII letters, digits, '_', '-' and '.'";
            Err(ConfigError::new(ConfigErrorKind::Namespace, message).value(text))
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
