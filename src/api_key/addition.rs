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
}

impl KeyAddition {
    /// Adds a record.
    #[must_use]
    pub const fn new(record: KeyRecord) -> Self {
        Self { record, replaces: None }
    }

    /// Adds the successor of a key, which is accepted until the end of a grace period.
    #[must_use]
    pub const fn replacing(record: KeyRecord, id: KeyId, until: UnixTime) -> Self {
        Self { record, replaces: Some((id, until)) }
    }
}
