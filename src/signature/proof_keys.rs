use std::{collections::HashMap, fmt, sync::Arc};

use super::policy::refused;
use crate::{
    error::{ConfigError, Unavailable},
    jwt::VerifyingKey,
};

/// Finds the public keys that tokens and API keys are bound to.
///
/// It is called for each signature beside a bound credential, and does not wait: an implementation with a store reads it ahead
/// of requests. Register a key before a credential is bound to it, under all its ids at once: a request with two signatures by
/// one key, under an id that is known and one that is not yet, could be sent again with the second one once that is.
///
/// # Examples
///
/// Keys of agents that register while the server runs:
///
/// ```
/// use std::sync::{Arc, RwLock};
/// use tower_warden::{
///     Unavailable,
///     jwt::VerifyingKey,
///     signature::{ProofKeyMap, ProofKeys, SignaturePolicy, SignatureProof},
/// };
///
/// #[derive(Clone, Default)]
/// struct Agents(Arc<RwLock<ProofKeyMap>>);
///
/// impl Agents {
///     fn register(&self, key: VerifyingKey) -> Result<(), tower_warden::ConfigError> {
///         self.0.write().expect("no thread panics with the lock").add(key)
///     }
/// }
///
/// impl ProofKeys for Agents {
///     fn find(&self, key_id: &str) -> Result<Option<Arc<VerifyingKey>>, Unavailable> {
///         self.0.read().expect("no thread panics with the lock").find(key_id)
///     }
/// }
///
/// let agents = Agents::default();
/// let proof = SignatureProof::from_source(SignaturePolicy::new("https://api.example.com")?, agents.clone());
///
/// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"agent-7"}"#;
/// assert!(agents.find("agent-7")?.is_none(), "401");
/// agents.register(VerifyingKey::from_jwk(jwk)?)?;
/// assert!(agents.find("agent-7")?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProofKeys: Send + Sync + 'static {
    /// Returns the public key with this id, the value of `keyid`, or `None` if it is unknown.
    ///
    /// The id comes from the client. A key proves only credentials that are bound to its thumbprint.
    ///
    /// # Errors
    ///
    /// If it cannot be found out; the request is refused with 503.
    fn find(&self, key_id: &str) -> Result<Option<Arc<VerifyingKey>>, Unavailable>;
}

impl<K: ProofKeys + ?Sized> ProofKeys for Arc<K> {
    fn find(&self, key_id: &str) -> Result<Option<Arc<VerifyingKey>>, Unavailable> {
        (**self).find(key_id)
    }
}

/// A list of public keys by `kid`, and by thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)) in base64url.
#[derive(Clone, Default)]
pub struct ProofKeyMap(HashMap<Box<str>, Arc<VerifyingKey>>);

impl ProofKeyMap {
    /// Adds a key under its thumbprint, and its `kid` if it has one.
    ///
    /// # Errors
    ///
    /// If it is a secret key, which no credential can be bound to by a thumbprint, or if its `kid` is an id of another key, whose
    /// holder could not prove its credentials any more.
    pub fn add(&mut self, key: impl Into<Arc<VerifyingKey>>) -> Result<(), ConfigError> {
        let key: Arc<VerifyingKey> = key.into();
        let Some(thumbprint) = key.thumbprint() else {
            return Err(refused("a key that proves possession is a public key"));
        };
        let thumbprint = thumbprint.to_base64url().into_boxed_str();
        if let Some(kid) = key.kid() {
            if self.0.get(kid).is_some_and(|known| known.thumbprint() != key.thumbprint()) {
                return Err(refused("two keys that prove possession have the same id").value(kid));
            }
            self.0.insert(kid.into(), Arc::clone(&key));
        }
        // It replaces a `kid` of another key, whose holder may have chosen this thumbprint.
        self.0.insert(thumbprint, key);
        Ok(())
    }

    /// Removes the key with this id, under all its ids, and returns it.
    pub fn remove(&mut self, key_id: &str) -> Option<Arc<VerifyingKey>> {
        let removed = self.0.get(key_id).cloned()?;
        self.0.retain(|_, key| key.thumbprint() != removed.thumbprint());
        Some(removed)
    }
}

impl ProofKeys for ProofKeyMap {
    fn find(&self, key_id: &str) -> Result<Option<Arc<VerifyingKey>>, Unavailable> {
        Ok(self.0.get(key_id).cloned())
    }
}

impl fmt::Debug for ProofKeyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids: Vec<_> = self.0.keys().collect();
        ids.sort();
        f.debug_tuple("ProofKeyMap").field(&ids).finish()
    }
}
