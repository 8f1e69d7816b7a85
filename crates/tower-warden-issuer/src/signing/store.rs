use std::{fmt, sync::Arc};

use tower_warden::{Eventual, Unavailable};

/// The signing keys of an issuer, as a [`SigningKeyStore`] has them: encrypted.
#[derive(Clone)]
#[non_exhaustive]
pub struct EncryptedKeys {
    /// The version, which each change increments. What is encrypted is bound to it.
    pub version: u64,
    /// The keys, encrypted by an [`EncryptionKey`](crate::EncryptionKey): printable ASCII.
    pub document: Box<str>,
}

impl EncryptedKeys {
    /// A version of the keys.
    #[must_use]
    pub fn new(version: u64, document: impl Into<Box<str>>) -> Self {
        Self { version, document: document.into() }
    }
}

impl fmt::Debug for EncryptedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedKeys").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Keeps the signing keys of issuers for all nodes.
///
/// The store sees no key: [`SigningKeys::stored`](crate::SigningKeys::stored) encrypts before it writes, and refuses what was
/// altered. `tower-warden-sql` has an implementation.
///
/// # Examples
///
/// Keys in memory, for a test with several nodes in one process:
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tower_warden::{Eventual, Unavailable};
/// use tower_warden_issuer::{EncryptedKeys, SigningKeyStore};
///
/// #[derive(Default)]
/// struct Memory(Mutex<HashMap<String, EncryptedKeys>>);
///
/// impl SigningKeyStore for Memory {
///     fn load(&self, issuer: &str) -> Eventual<Result<Option<EncryptedKeys>, Unavailable>> {
///         Eventual::Now(Ok(self.0.lock().expect("no panic while locked").get(issuer).cloned()))
///     }
///
///     fn replace(&self, issuer: &str, keys: EncryptedKeys) -> Eventual<Result<bool, Unavailable>> {
///         let mut stored = self.0.lock().expect("no panic while locked");
///         let is_next = stored.get(issuer).map_or(0, |stored| stored.version) + 1 == keys.version;
///         if is_next {
///             stored.insert(issuer.to_owned(), keys);
///         }
///         Eventual::Now(Ok(is_next))
///     }
/// }
///
/// let store = Memory::default();
/// let replace = |version| store.replace("https://auth.example.com", EncryptedKeys::new(version, "…"));
/// assert!(matches!(replace(1), Eventual::Now(Ok(true))));
/// assert!(matches!(replace(1), Eventual::Now(Ok(false))), "another node was first");
/// ```
pub trait SigningKeyStore: Send + Sync + 'static {
    /// Returns the keys of an issuer; `None` if none were stored.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    fn load(&self, issuer: &str) -> Eventual<Result<Option<EncryptedKeys>, Unavailable>>;

    /// Stores keys if their version is the one after the stored version, or 1 if none were stored. Returns whether it did:
    /// comparison and change are one atomic step, for all nodes.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    fn replace(&self, issuer: &str, keys: EncryptedKeys) -> Eventual<Result<bool, Unavailable>>;
}

impl<S: SigningKeyStore + ?Sized> SigningKeyStore for Arc<S> {
    fn load(&self, issuer: &str) -> Eventual<Result<Option<EncryptedKeys>, Unavailable>> {
        (**self).load(issuer)
    }

    fn replace(&self, issuer: &str, keys: EncryptedKeys) -> Eventual<Result<bool, Unavailable>> {
        (**self).replace(issuer, keys)
    }
}
