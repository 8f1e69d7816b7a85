use std::{collections::BTreeMap, fmt, sync::Arc};

use tower_warden::{Clock, ConfigError, UnixTime};

use super::{CredentialsBuilder, CredentialsConfig, CredentialsError, observed::Observed, status::ServiceStatus};
use crate::{
    CachedToken, TokenErrorKind, TokenLayer,
    scoped_keys::{ScopedKeys, ServiceKeySource},
    secret::SecretSource,
};

/// The credentials of an application for the services that it calls. See the [module docs](super).
///
/// It is cheap to clone; clones share the tokens.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    secrets: ScopedKeys,
    services: BTreeMap<Box<str>, Service>,
}

/// One service with its layer.
pub(super) struct Service {
    pub(super) credential: Credential,
    pub(super) layer: TokenLayer,
    /// The declarations of its secrets.
    pub(super) secrets: Vec<Box<str>>,
}

/// The source of the credential of a service.
pub(super) enum Credential {
    Key(ServiceKeySource),
    /// Obtained from a server.
    Tokens(CachedToken<Observed>),
}

impl Credentials {
    /// Returns a builder for the services of one environment, whose secrets this source has.
    ///
    /// # Errors
    ///
    /// If the configuration is [refused](CredentialsConfig::check), or does not have the environment. The error lists
    /// those that it has.
    pub fn builder(
        config: &CredentialsConfig,
        environment: &str,
        secrets: impl SecretSource,
    ) -> Result<CredentialsBuilder, CredentialsError> {
        let services = config.parse()?.remove(environment).ok_or_else(|| {
            let message = "the configuration does not have this environment";
            CredentialsError::environment(unknown(message, environment, config.environments()))
        })?;
        Ok(CredentialsBuilder::new(services, Arc::new(secrets)))
    }

    pub(super) fn new(clock: Arc<dyn Clock>, secrets: ScopedKeys, services: BTreeMap<Box<str>, Service>) -> Self {
        Self(Arc::new(Inner { clock, secrets, services }))
    }

    /// Returns the layer that adds the credential of a service to requests for its origin, and to no others.
    ///
    /// # Errors
    ///
    /// If the environment does not have the service. The error lists those that it has.
    pub fn layer_for(&self, service: &str) -> Result<TokenLayer, ConfigError> {
        let found = self.0.services.get(service).map(|service| service.layer.clone());
        found.ok_or_else(|| unknown("this service is not configured", service, self.services()))
    }

    /// Obtains all tokens now, and refreshes them by tasks, so that no request waits for them. Checks keys when
    /// their source notifies of a change, and logs a warning before a rotation is due. Requests read their key as well:
    /// they do not wait for a source that polls in the background, or has its secrets in memory. The tasks end when
    /// the last clone and the last layer are dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn refresh_in_background(self) -> Self {
        for service in self.0.services.values() {
            if let Credential::Tokens(tokens) = &service.credential {
                drop(tokens.clone().refresh_in_background());
            }
        }
        drop(self.0.secrets.clone().refresh_in_background());
        self
    }

    /// The names of the services, in alphabetical order.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.services.keys().map(|name| &**name)
    }

    /// The state of each service, in alphabetical order.
    #[must_use]
    pub fn status(&self) -> Vec<ServiceStatus> {
        let due: Vec<_> = self.0.secrets.needs_rotation().iter().map(|key| Box::<str>::from(key.service())).collect();
        let statuses = self.0.services.iter().map(|(name, service)| {
            let (has_token, expiry, last_error) = service.state(&*self.0.clock);
            let keys = service.secrets.iter().filter_map(|secret| self.0.secrets.get(secret));
            ServiceStatus {
                expiry,
                has_token,
                last_error,
                needs_rotation: service.secrets.iter().any(|secret| due.contains(secret)),
                rotation_due: keys.filter_map(|key| key.rotation_due()).min(),
                service: name.clone(),
            }
        });
        statuses.collect()
    }

    /// Logs a warning for each secret that [needs a rotation](ServiceStatus::needs_rotation), at most once a day for
    /// each. [`refresh_in_background`](Self::refresh_in_background) does it as well.
    pub fn warn_of_rotations(&self) {
        self.0.secrets.warn_of_rotations();
    }
}

impl Service {
    /// Returns whether there is a credential that is valid as far as is known, when it expires, and the last error.
    fn state(&self, clock: &dyn Clock) -> (bool, Option<UnixTime>, Option<TokenErrorKind>) {
        match &self.credential {
            Credential::Key(key) => {
                let key = key.current(clock.now());
                (key.is_ok_and(|key| !self.layer.has_refused(&key)), None, None)
            }
            Credential::Tokens(tokens) => {
                let (has_token, expiry) = tokens.source().token(|token| self.layer.has_refused(token));
                (has_token, expiry, tokens.source().last_error())
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.0.services.keys()).finish()
    }
}

/// An error that lists the known names.
pub(super) fn unknown<'a>(message: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> ConfigError {
    let known: Vec<_> = known.collect();
    ConfigError::custom(message).value(format_args!("{name} (configured: {})", known.join(", ")))
}
