use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderName;
use tower_warden::{ConfigError, Eventual, UnixTime};

use super::ScopedKeys;
use crate::{
    Token, TokenError, TokenRequest, TokenSource,
    rotating_key::{KeyPlace, RotatingKey},
    secret::SecretError,
};

/// The key of one service as a [`TokenSource`]: see [`ScopedKeys::token_source`].
#[derive(Clone)]
pub struct ServiceKeySource(Arc<Inner>);

struct Inner {
    /// The place of the key.
    index: usize,
    is_failing: AtomicBool,
    key: RotatingKey,
    keys: ScopedKeys,
    variable: Box<str>,
}

impl ScopedKeys {
    /// Returns the key of a service as a source of tokens for a [`TokenLayer`](crate::TokenLayer): the whole value of
    /// this header field.
    ///
    /// It reads the key again for each request, which most sources have in a cache, so that a rotated key is used without
    /// a [`refresh`](Self::refresh). If that fails, or the new value does not have the declared form, the one before
    /// remains in use, with one error in the log. While two versions are valid, the other one is sent once the API has
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
        self.source_of(service, KeyPlace::Field(field))
    }

    /// Returns the key of a service as a source of bearer tokens: see [`token_source`](Self::token_source).
    ///
    /// # Errors
    ///
    /// If no key is declared for the service.
    pub fn bearer_source(&self, service: &str) -> Result<ServiceKeySource, ConfigError> {
        self.source_of(service, KeyPlace::Bearer)
    }

    /// Returns the key of a service as a source of tokens under a scheme of `Authorization` other than `Bearer`, such as
    /// `ApiKey`: see [`token_source`](Self::token_source).
    ///
    /// # Errors
    ///
    /// If no key is declared for the service, or the name of the scheme is malformed.
    pub fn scheme_source(&self, service: &str, scheme: &str) -> Result<ServiceKeySource, ConfigError> {
        self.source_of(service, KeyPlace::scheme(scheme)?)
    }

    pub(crate) fn source_of(&self, service: &str, place: KeyPlace) -> Result<ServiceKeySource, ConfigError> {
        let missing = || ConfigError::custom("no key is declared for this service").value(service);
        let index = self.position(service).ok_or_else(missing)?;
        let (key, keys, variable) = (RotatingKey::new(place), self.clone(), self.at(index).variable().into());
        let is_failing = AtomicBool::new(false);
        Ok(ServiceKeySource(Arc::new(Inner { index, is_failing, key, keys, variable })))
    }
}

impl ServiceKeySource {
    /// The version to use.
    pub(crate) fn current(&self, now: UnixTime) -> Result<Token, TokenError> {
        self.0.key.token(self.0.keys.at(self.0.index).versions(), now)
    }

    fn note(&self, read: Result<(), SecretError>) {
        let was_failing = self.0.is_failing.swap(read.is_err(), Ordering::Relaxed);
        if let Some(error) = read.err().filter(|_| !was_failing) {
            tracing::error!(%error, "a key cannot be replaced; the one before remains in use");
        }
    }
}

impl TokenSource for ServiceKeySource {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, now) = (self.clone(), request.now());
        self.0.keys.read_again(self.0.index, &self.0.variable).map(move |read| {
            this.note(read);
            this.current(now)
        })
    }

    fn invalidate(&self, token: &Token) {
        self.0.key.refuse(token);
    }
}

/// Without the key.
impl fmt::Debug for ServiceKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.keys.at(self.0.index);
        f.debug_struct("ServiceKeySource").field("service", &key.service()).finish_non_exhaustive()
    }
}
