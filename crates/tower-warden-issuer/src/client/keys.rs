use std::{fmt, sync::Arc};

use serde_json::Value;
use tower_warden::{
    ConfigError, Eventual, Unavailable,
    jwt::{KeyRequest, KeySource, StaticKeys, VerifyingKey},
};

/// The public keys of a client, with which its assertions are verified.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_issuer::{ClientKeys, SigningKey};
///
/// let jwk = SigningKey::generate(Algorithm::ES256)?.public_jwk();
/// assert!(ClientKeys::from_jwk_set(&format!(r#"{{"keys":[{jwk}]}}"#)).is_ok());
/// assert!(ClientKeys::from_jwk_set(r#"{"keys":[]}"#).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ClientKeys {
    /// The keys of a record; `None` for those of a custom source.
    pub(super) jwks: Option<Arc<[Value]>>,
    pub(crate) source: Arc<dyn KeySource>,
}

impl ClientKeys {
    /// Parses a JWK set in JSON ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). A client with these keys
    /// can be stored as a [`ClientRecord`](crate::ClientRecord).
    ///
    /// # Errors
    ///
    /// If it is not one, has no keys, or one that cannot be used: a private or a symmetric key, or one of an unknown type.
    pub fn from_jwk_set(json: &str) -> Result<Self, ConfigError> {
        let set: Option<Value> = serde_json::from_str(json).ok();
        let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
        Self::from_jwks(keys.ok_or_else(|| ConfigError::custom("the keys of a client are a JWK set in JSON"))?)
    }

    pub(super) fn from_jwks(jwks: &[Value]) -> Result<Self, ConfigError> {
        let keys = jwks.iter().map(|jwk| {
            let key = VerifyingKey::from_jwk(&jwk.to_string())?;
            if key.algorithm().is_symmetric() {
                return Err(ConfigError::custom("the keys of a client are public, and not symmetric"));
            }
            Ok(key)
        });
        let source = StaticKeys::new(keys.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Self { jwks: Some(jwks.into()), source: Arc::new(source) })
    }

    /// Keys of a custom source, such as keys that are fetched from a URL. A client with these keys cannot be stored
    /// as a record.
    pub fn from_source(source: impl KeySource) -> Self {
        Self { jwks: None, source: Arc::new(source) }
    }
}

impl KeySource for ClientKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        self.source.find(request)
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKeys(..)")
    }
}
