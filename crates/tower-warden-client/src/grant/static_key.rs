use http::HeaderName;
use tower_warden::{ConfigError, Eventual};

use crate::{Token, TokenError, TokenRequest, TokenSource};

/// A key that does not change: an API key, or a token that another party has issued.
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_warden_client::grant::StaticKey;
///
/// let key = StaticKey::header(HeaderName::from_static("x-api-key"), "sk_live_s3cret")?;
/// assert!(!format!("{key:?}").contains("s3cret"));
///
/// // A line break at the end of a file that was read.
/// let error = StaticKey::bearer("s3cret\n").unwrap_err();
/// assert!(!error.to_string().contains("s3cret"));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticKey(Token);

impl StaticKey {
    /// A key that is sent as `Authorization: Bearer`.
    ///
    /// # Errors
    ///
    /// If the key is empty, or has a character other than visible ASCII.
    pub fn bearer(key: &str) -> Result<Self, ConfigError> {
        Token::bearer(key).map(Self).map_err(refused)
    }

    /// A key that is the whole value of a header field, such as `X-API-Key`.
    ///
    /// # Errors
    ///
    /// See [`bearer`](Self::bearer).
    pub fn header(field: HeaderName, key: &str) -> Result<Self, ConfigError> {
        Token::api_key(field, key).map(Self).map_err(refused)
    }
}

impl TokenSource for StaticKey {
    fn token(&self, _request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        Eventual::Now(Ok(self.0.clone()))
    }
}

/// The value may be a secret, so it is not quoted.
fn refused(_: TokenError) -> ConfigError {
    ConfigError::custom("a key is visible ASCII without spaces and line breaks")
}
