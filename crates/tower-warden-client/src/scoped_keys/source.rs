use std::{fmt, sync::Arc};

use http::HeaderName;
use tower_warden::{ConfigError, Eventual, UnixTime};

use super::ScopedKeys;
use crate::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource, rotating_key::RotatingKey};

/// The key of one service as a [`TokenSource`]: see [`ScopedKeys::token_source`].
#[derive(Clone)]
pub struct ServiceKeySource(Arc<Inner>);

struct Inner {
    key: RotatingKey,
    keys: ScopedKeys,
    service: Box<str>,
}

impl ScopedKeys {
    /// Returns the key of a service as a source of tokens for a [`TokenLayer`](crate::TokenLayer): the whole value of
    /// this header field.
    ///
    /// It follows [`refresh`](Self::refresh). While two versions are valid, the other one is sent once the API has
    /// refused the current one with 401.
    ///
    /// # Errors
    ///
    /// If no key is declared for the service.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::HeaderName;
    /// use tower_warden_client::{
    ///     TokenLayer,
    ///     scoped_keys::{KeyDeclaration, ScopedKeys},
    ///     secret::EnvironmentSecrets,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = EnvironmentSecrets::of([("BILLING_API_KEY", "sk_live_0123456789abcdef")]);
    /// let keys = ScopedKeys::builder(source).key(KeyDeclaration::new("billing", "BILLING_API_KEY")).load().await?;
    /// let field = HeaderName::from_static("x-api-key");
    /// let layer = TokenLayer::new(keys.token_source("billing", field.clone())?, "https://billing.example.com")?;
    ///
    /// assert!(keys.token_source("reports", field).is_err());
    /// # Ok(()) }
    /// ```
    pub fn token_source(&self, service: &str, field: HeaderName) -> Result<ServiceKeySource, ConfigError> {
        self.source_of(service, Some(field))
    }

    /// Returns the key of a service as a source of bearer tokens: see [`token_source`](Self::token_source).
    ///
    /// # Errors
    ///
    /// If no key is declared for the service.
    pub fn bearer_source(&self, service: &str) -> Result<ServiceKeySource, ConfigError> {
        self.source_of(service, None)
    }

    fn source_of(&self, service: &str, field: Option<HeaderName>) -> Result<ServiceKeySource, ConfigError> {
        if self.get(service).is_none() {
            return Err(ConfigError::custom("no key is declared for this service").value(service));
        }
        let (key, keys) = (RotatingKey::new(field), self.clone());
        Ok(ServiceKeySource(Arc::new(Inner { key, keys, service: service.into() })))
    }
}

impl ServiceKeySource {
    /// The version to use.
    pub(crate) fn current(&self, now: UnixTime) -> Result<Token, TokenError> {
        let missing = || TokenError::new(TokenErrorKind::Store, "no key is declared for this service");
        let key = self.0.keys.get(&self.0.service).ok_or_else(missing)?;
        self.0.key.token(key.versions(), now)
    }
}

impl TokenSource for ServiceKeySource {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        Eventual::Now(self.current(request.now()))
    }

    fn invalidate(&self, token: &Token) {
        self.0.key.refuse(token);
    }
}

/// Without the key.
impl fmt::Debug for ServiceKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceKeySource").field("service", &self.0.service).finish_non_exhaustive()
    }
}
