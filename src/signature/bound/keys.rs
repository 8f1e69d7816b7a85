use std::{collections::HashMap, fmt, sync::Arc};

use super::proof::PayloadProof;
use crate::{caller::Confirmation, digest::Digest, error::Unavailable, signature::payload::PayloadKey};

/// Finds the keys that API keys are bound to.
///
/// It is called for each request with a bound API key, and does not wait: an implementation with a store reads it ahead of
/// requests.
///
/// # Examples
///
/// Secrets that another part of the application replaces:
///
/// ```
/// use std::sync::{Arc, RwLock};
/// use tower_warden::{
///     Digest, Unavailable,
///     signature::{bound::{PayloadKeyMap, PayloadKeys}, payload::PayloadKey},
/// };
///
/// struct Loaded(Arc<RwLock<Option<PayloadKeyMap>>>);
///
/// impl PayloadKeys for Loaded {
///     fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Unavailable> {
///         let loaded = self.0.read().expect("no thread panics with the lock");
///         loaded.as_ref().ok_or(Unavailable::new("the store of secrets"))?.find(thumbprint)
///     }
/// }
///
/// let keys = Arc::new(RwLock::new(None));
/// let key = PayloadKey::secret(b"twenty-four random bytes")?;
/// assert!(Loaded(keys.clone()).find(&key.thumbprint()).is_err(), "503, until they are loaded");
///
/// *keys.write().unwrap() = Some(PayloadKeyMap::new([key.clone()]));
/// assert_eq!(Loaded(keys.clone()).find(&key.thumbprint())?.len(), 1);
/// assert!(Loaded(keys).find(&Digest::of(b"unknown"))?.is_empty(), "401");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PayloadKeys: Send + Sync + 'static {
    /// Returns the keys for the digest in the record of an API key: none if it is unknown, and two while a master secret is
    /// rotated.
    ///
    /// # Errors
    ///
    /// If it cannot be found out; the request is refused with 503.
    fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Unavailable>;
}

impl<K: PayloadKeys + ?Sized> PayloadKeys for Arc<K> {
    fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Unavailable> {
        (**self).find(thumbprint)
    }
}

/// A list of secrets and public keys, by their [thumbprints](PayloadKey::thumbprint).
///
/// Secrets are random: the record of an API key has the thumbprint, by which a secret that was chosen by a person could be
/// guessed.
#[derive(Clone, Default)]
pub struct PayloadKeyMap(HashMap<Digest, PayloadKey>);

impl PayloadKeyMap {
    /// A list of these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PayloadKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.thumbprint(), key)).collect())
    }
}

impl PayloadKeys for PayloadKeyMap {
    fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Unavailable> {
        Ok(self.0.get(thumbprint).cloned().into_iter().collect())
    }
}

impl fmt::Debug for PayloadKeyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadKeyMap").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

impl PayloadKey {
    /// The binding of an API key to this key, for [`NewKey::confirmation`](crate::api_key::NewKey::confirmation).
    #[must_use]
    pub fn confirmation(&self) -> Confirmation {
        Confirmation::new(PayloadProof::METHOD, self.thumbprint())
    }
}
