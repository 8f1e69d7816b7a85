use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use tower_warden::{
    ConfigError, Environment, UnixTime,
    fetch::{Fetch, HttpClient},
};

use super::{
    config::{Kind, ServiceConfig, Services},
    coordinator::{Credential, Credentials, Service, unknown},
    error::CredentialsError,
    grants::{self, SecretUse},
};
use crate::{
    CachedToken, TokenLayer,
    scoped_keys::{KeyDeclaration, ScopedKeys},
    secret::SecretSource,
};

/// Configures [`Credentials`].
#[must_use]
pub struct CredentialsBuilder {
    environment: Environment,
    http: Option<Arc<dyn Fetch>>,
    http_of_services: BTreeMap<Box<str>, Arc<dyn Fetch>>,
    secrets: Arc<dyn SecretSource>,
    services: Services,
    warn_before: Duration,
}

impl CredentialsBuilder {
    pub(super) fn new(services: Services, secrets: Arc<dyn SecretSource>) -> Self {
        Self {
            environment: Environment::default(),
            http: None,
            http_of_services: BTreeMap::new(),
            secrets,
            services,
            warn_before: Duration::from_secs(3 * 24 * 3600),
        }
    }

    /// Takes the clock of an environment: the system clock by default.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// Sets the client for requests to authorization servers and logins: an [`HttpClient`] by default.
    pub fn http(mut self, fetch: impl Fetch) -> Self {
        self.http = Some(Arc::new(fetch));
        self
    }

    /// Sets the client for requests to the authorization server of one service. A service of the kind `mtls` needs one
    /// that presents its certificate.
    pub fn http_for(mut self, service: &str, fetch: impl Fetch) -> Self {
        self.http_of_services.insert(service.into(), Arc::new(fetch));
        self
    }

    /// Sets how long before its rotation is due a secret is reported: three days by default.
    pub const fn warn_before(mut self, duration: Duration) -> Self {
        self.warn_before = duration;
        self
    }

    /// Reads and checks all secrets, and logs a warning for each one whose rotation is due soon. No token is obtained
    /// yet.
    ///
    /// # Errors
    ///
    /// - If two services have the same origin, the same secret for different servers, or the same file of a token.
    /// - If a service of the kind `mtls` has no [HTTP client](Self::http_for) of its own, or if there is one for a
    ///   service that is not configured.
    /// - If a secret is missing or malformed, or its source does not respond.
    pub async fn load(mut self) -> Result<Credentials, CredentialsError> {
        self.check()?;
        self.complete_http()?;
        let (declarations, labels) = self.declare().await?;
        let mut keys = ScopedKeys::builder(Arc::clone(&self.secrets));
        for declaration in declarations {
            keys = keys.key(declaration);
        }
        let keys = keys.warn_before(self.warn_before).environment(&self.environment).load().await?;
        let mut services = BTreeMap::new();
        for ((name, config), secrets) in self.services.iter().zip(labels) {
            services.insert(name.clone(), self.service(name, config, secrets, &keys).await?);
        }
        Ok(Credentials::new(self.environment.clock(), keys, services))
    }

    /// Checks what needs no secret.
    fn check(&self) -> Result<(), CredentialsError> {
        if let Some(name) = self.http_of_services.keys().find(|name| !self.services.contains_key(*name)) {
            let known = self.services.keys().map(|name| &**name);
            return Err(CredentialsError::config(name, unknown("this service is not configured", name, known)));
        }
        let (mut origins, mut files) = (HashMap::new(), HashMap::new());
        for (name, config) in &self.services {
            if let Some(other) = origins.insert(&config.origin, name) {
                let message = "two services have the same origin, so each could receive the credential of the other";
                return Err(CredentialsError::config(name, ConfigError::custom(message).value(other)));
            }
            if let Some(other) = grants::file(config).and_then(|file| files.insert(file, name)) {
                let message = "two services have the same file of a token";
                return Err(CredentialsError::config(name, ConfigError::custom(message).value(other)));
            }
            if grants::needs_certificate(config) && !self.http_of_services.contains_key(name) {
                let message = "a client with a certificate needs an HTTP client of its own, which presents it";
                return Err(CredentialsError::config(name, ConfigError::custom(message)));
            }
        }
        Ok(())
    }

    /// Sets the client by default, if a service needs it.
    fn complete_http(&mut self) -> Result<(), CredentialsError> {
        let needs_client = self.services.iter().any(|(name, config)| {
            !matches!(config.kind, Kind::ApiKey { .. }) && !self.http_of_services.contains_key(name)
        });
        if self.http.is_none() && needs_client {
            self.http = Some(Arc::new(HttpClient::new().map_err(CredentialsError::environment)?));
        }
        Ok(())
    }

    /// Declares each secret once, and returns the declarations of each service.
    async fn declare(&self) -> Result<(Vec<KeyDeclaration>, Vec<Vec<Box<str>>>), CredentialsError> {
        let mut known: HashMap<Box<str>, (Box<str>, Box<str>)> = HashMap::new();
        let (mut declarations, mut labels) = (Vec::new(), Vec::new());
        for (service, config) in &self.services {
            let mut own = Vec::new();
            for SecretUse { destination, label, member, name } in grants::secrets(service, config) {
                match known.get(&name) {
                    Some((known, label)) if *known == destination => own.push(label.clone()),
                    Some(_) => {
                        let message = "a secret of another service is configured, which would be sent to two places";
                        return Err(CredentialsError::config(service, ConfigError::custom(message).value(member)));
                    }
                    None => {
                        // An error names the member, because the name in the configuration may be a misplaced value.
                        let read = self.secrets.get(&name).wait().await;
                        read.map_err(|error| error.renamed(format!("{service}.{member}")))?;
                        declarations.push(self.declaration(config, &label, &name));
                        own.push(label.clone());
                        known.insert(name, (destination, label));
                    }
                }
            }
            labels.push(own);
        }
        Ok((declarations, labels))
    }

    fn declaration(&self, config: &ServiceConfig, label: &str, name: &str) -> KeyDeclaration {
        let declaration = KeyDeclaration::new(label, name).scopes(config.scopes.clone());
        let declaration = match &config.kind {
            Kind::ApiKey { .. } => declaration,
            // A client secret or a private key, of any form.
            _ => declaration.any_text(),
        };
        match self.rotation(name) {
            Some((created, period)) => declaration.rotation(created, period),
            None => declaration,
        }
    }

    /// The rotation of a secret that is due first, of the services that use it.
    fn rotation(&self, secret: &str) -> Option<(UnixTime, Duration)> {
        let users = self
            .services
            .iter()
            .filter(|(service, config)| grants::secrets(service, config).iter().any(|used| *used.name == *secret));
        users.filter_map(|(_, config)| config.rotation).min_by_key(|(created, period)| *created + *period)
    }

    async fn service(
        &self,
        name: &str,
        config: &ServiceConfig,
        secrets: Vec<Box<str>>,
        keys: &ScopedKeys,
    ) -> Result<Service, CredentialsError> {
        let refused = |error| CredentialsError::config(name, error);
        let origin = config.origin.to_string();
        if let Kind::ApiKey { place, .. } = &config.kind {
            let key = keys.source_of(name, place.clone()).map_err(refused)?;
            let layer = TokenLayer::new(key.clone(), &origin).map_err(refused)?.environment(&self.environment);
            return Ok(Service { credential: Credential::Key(key), layer, secrets });
        }
        let http = self.http_of_services.get(name).or(self.http.as_ref()).map(Arc::clone);
        let http = http.ok_or_else(|| refused(ConfigError::custom("a service with tokens needs an HTTP client")))?;
        let grant = grants::grant(name, config, http, &self.secrets, self.environment.clock()).await?;
        let tokens = CachedToken::new(grant).environment(&self.environment);
        let layer = TokenLayer::new(tokens.clone(), &origin).map_err(refused)?.environment(&self.environment);
        Ok(Service { credential: Credential::Tokens(tokens), layer, secrets })
    }
}

impl fmt::Debug for CredentialsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsBuilder").field("services", &self.services.keys()).finish_non_exhaustive()
    }
}
