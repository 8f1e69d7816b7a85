use std::{fmt, sync::Arc};

use http::HeaderName;
use tower_warden::{ConfigError, Eventual};

use crate::{
    Token, TokenError, TokenRequest, TokenSource,
    rotating_key::{KeyPlace, RotatingKey},
    secret::{NamedSecret, SecretSource},
};

/// A key of the application: an API key, or a token that another party has issued.
///
/// A key of a [`SecretSource`] follows its rotations. While two versions are valid, the current one is sent; if the API
/// refuses it with 401, the layer sends the request once more with the other one, which is used from then on, until it
/// is refused or no longer valid, or until there is a new version. If the source fails, the last version remains in
/// use. Such a key needs no [`CachedToken`](crate::CachedToken), which would use it for longer.
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_warden::UnixTime;
/// use tower_warden_client::{TokenErrorKind, TokenRequest, TokenSource, grant::StaticKey, secret::EnvironmentSecrets};
///
/// let key = StaticKey::header(HeaderName::from_static("x-api-key"), "sk_live_s3cret")?;
/// assert!(!format!("{key:?}").contains("s3cret"));
///
/// // A line break at the end of a file that was read.
/// let error = StaticKey::bearer("s3cret\n").unwrap_err();
/// assert!(!error.to_string().contains("s3cret"));
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let secrets = EnvironmentSecrets::of([("BILLING_API_KEY", "sk_live_s3cret")]);
/// let request = TokenRequest::new(UnixTime::now());
/// let key = StaticKey::bearer_from(secrets.clone(), "BILLING_API_KEY");
/// assert_eq!(key.token(&request).wait().await?.expose(), "sk_live_s3cret");
///
/// let missing = StaticKey::bearer_from(secrets, "REPORTS_API_KEY");
/// assert_eq!(missing.token(&request).wait().await.unwrap_err().kind(), TokenErrorKind::Store);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StaticKey(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Token),
    Named(Arc<(NamedSecret, RotatingKey)>),
}

impl StaticKey {
    /// A key that is sent as `Authorization: Bearer`.
    ///
    /// # Errors
    ///
    /// If the key is empty, or has a character other than visible ASCII.
    pub fn bearer(key: &str) -> Result<Self, ConfigError> {
        Token::bearer(key).map(Kind::Fixed).map(Self).map_err(refused)
    }

    /// A key that this source has by this name, sent as `Authorization: Bearer`.
    #[must_use]
    pub fn bearer_from(source: impl SecretSource, name: impl Into<Box<str>>) -> Self {
        Self::named(KeyPlace::Bearer, NamedSecret::new(source, name))
    }

    /// A key that is the whole value of a header field, such as `X-API-Key`.
    ///
    /// # Errors
    ///
    /// See [`bearer`](Self::bearer).
    pub fn header(field: HeaderName, key: &str) -> Result<Self, ConfigError> {
        Token::api_key(field, key).map(Kind::Fixed).map(Self).map_err(refused)
    }

    /// A key that this source has by this name, as the whole value of a header field.
    #[must_use]
    pub fn header_from(field: HeaderName, source: impl SecretSource, name: impl Into<Box<str>>) -> Self {
        Self::named(KeyPlace::Field(field), NamedSecret::new(source, name))
    }

    /// A key under a scheme of `Authorization` other than `Bearer`, such as `ApiKey`, `Bot` or `SSWS`.
    ///
    /// # Errors
    ///
    /// If the name of the scheme is malformed, or as for [`bearer`](Self::bearer).
    pub fn scheme(scheme: &str, key: &str) -> Result<Self, ConfigError> {
        KeyPlace::scheme(scheme)?.token(key).map(Kind::Fixed).map(Self).map_err(refused)
    }

    /// A key that this source has by this name, under a scheme of `Authorization`.
    ///
    /// # Errors
    ///
    /// If the name of the scheme is malformed.
    pub fn scheme_from(
        scheme: &str,
        source: impl SecretSource,
        name: impl Into<Box<str>>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::named(KeyPlace::scheme(scheme)?, NamedSecret::new(source, name)))
    }

    fn named(place: KeyPlace, secret: NamedSecret) -> Self {
        Self(Kind::Named(Arc::new((secret, RotatingKey::new(place)))))
    }
}

impl TokenSource for StaticKey {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        match &self.0 {
            Kind::Fixed(token) => Eventual::Now(Ok(token.clone())),
            Kind::Named(named) => {
                let (named, now) = (Arc::clone(named), request.now());
                named.0.read().map(move |versions| named.1.token(&versions?, now))
            }
        }
    }

    fn invalidate(&self, token: &Token) {
        if let Kind::Named(named) = &self.0 {
            named.1.refuse(token);
        }
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(token) => f.debug_tuple("StaticKey").field(token).finish(),
            Kind::Named(named) => f.debug_tuple("StaticKey").field(&named.0).finish(),
        }
    }
}

/// The value may be a secret, so it is not quoted.
fn refused(_: TokenError) -> ConfigError {
    ConfigError::custom("a key is visible ASCII without spaces and line breaks")
}
