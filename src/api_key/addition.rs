use std::sync::Arc;

use super::{key_id::KeyId, record::KeyRecord};
use crate::time::UnixTime;

/// A minted record, to be added by [`KeyStore::append`](super::KeyStore::append).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyAddition {
    /// The record, with a generated id. The store may assign a later one.
    pub record: KeyRecord,
    /// The key that it replaces, and the end of that key's grace period.
    pub replaces: Option<(KeyId, UnixTime)>,
    /// The record of the replaced key from which the rights of the new one were copied.
    pub copied_from: Option<Arc<KeyRecord>>,
}

impl KeyAddition {
    /// Adds a record.
    #[must_use]
    pub const fn new(record: KeyRecord) -> Self {
        Self { record, replaces: None, copied_from: None }
    }

    /// Adds the successor of a key, which is accepted until the end of a grace period.
    #[must_use]
    pub const fn replacing(record: KeyRecord, id: KeyId, until: UnixTime) -> Self {
        Self { record, replaces: Some((id, until)), copied_from: None }
    }

    /// Adds the record only if the replaced key is still as it was read.
    #[must_use]
    pub fn copied_from(mut self, old: Arc<KeyRecord>) -> Self {
        self.copied_from = Some(old);
        self
    }

    /// Returns whether the record may be added while this is the stored record of the replaced key: unless an update
    /// has changed it since its rights were copied. Last use, revocation and replacement are not compared.
    ///
    /// For stores, which call it in the same atomic step that adds the record.
    #[must_use]
    pub fn is_current(&self, stored: &KeyRecord) -> bool {
        self.copied_from.as_ref().is_none_or(|old| stored.is_unchanged_since(old))
    }
}
