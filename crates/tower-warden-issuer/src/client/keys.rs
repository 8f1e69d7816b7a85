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
    /// Keys that cannot be used, such as those for encryption and those of unknown types, are left out with a warning in the
    /// log, and are not in the record.
    ///
    /// # Errors
    ///
    /// If it is not one, has a private or a symmetric key, two keys with the same `kid` and algorithm, or no key that can be
    /// used.
    pub fn from_jwk_set(json: &str) -> Result<Self, ConfigError> {
        let set: Option<Value> = serde_json::from_str(json).ok();
        let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
        let keys = keys.ok_or_else(|| ConfigError::custom("the keys of a client are a JWK set in JSON"))?;
        let warn = |jwk: &Value, error: &ConfigError| {
            let kid = jwk.get("kid").map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, kid, "a key of a client is not used");
        };
        let (used, keys) = Self::read(keys, warn)?;
        Ok(Self { jwks: Some(used.into()), source: Arc::new(keys) })
    }

    /// Reads the keys of a record. Those that cannot be used, perhaps because a later version has written them, stay in it, without
    /// a line in the log: stores read the record for each request.
    pub(super) fn from_jwks(jwks: &[Value]) -> Result<Self, ConfigError> {
        let (_, keys) = Self::read(jwks, |_, _| {})?;
        Ok(Self { jwks: Some(jwks.into()), source: Arc::new(keys) })
    }

    /// The keys that can be used, with their JWKs.
    fn read(jwks: &[Value], on_unused: impl Fn(&Value, &ConfigError)) -> Result<(Vec<Value>, StaticKeys), ConfigError> {
        if jwks.iter().any(is_secret) {
            return Err(ConfigError::custom("the keys of a client are public: neither private nor symmetric"));
        }
        let (mut used, mut keys, mut unused) = (Vec::new(), Vec::new(), None);
        for jwk in jwks {
            match VerifyingKey::from_jwk(&jwk.to_string()) {
                Ok(key) => {
                    used.push(jwk.clone());
                    keys.push(key);
                }
                Err(error) => {
                    on_unused(jwk, &error);
                    unused.get_or_insert(error);
                }
            }
        }
        match unused {
            Some(error) if keys.is_empty() => Err(error),
            _ => Ok((used, StaticKeys::new(keys)?)),
        }
    }

    /// Keys of a custom source, such as keys that are fetched from a URL. A client with these keys cannot be stored
    /// as a record.
    pub fn from_source(source: impl KeySource) -> Self {
        Self { jwks: None, source: Arc::new(source) }
    }
}

/// Returns whether a JWK is a symmetric key, or has a member that is private in a key of some type (RFC 7518 §6, RFC 8037 §2).
fn is_secret(jwk: &Value) -> bool {
    const PRIVATE: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];
    let is_empty = |value: &Value| value.is_null() || *value == "" || value.as_array().is_some_and(Vec::is_empty);
    let has = |name: &str| jwk.get(name).is_some_and(|value| !is_empty(value));
    jwk.get("kty").is_some_and(|kind| kind == "oct") || PRIVATE.into_iter().any(has)
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
