//! Where keys are kept.

use std::{num::NonZeroU16, sync::Arc};

use super::{
    digest::KeyDigest,
    error::KeyError,
    record::{KeyId, KeyRecord},
    watch::KeyWatcher,
};
use crate::{Eventual, error::Unavailable, time::UnixTime};

/// Keeps the records of keys.
///
/// [`MemoryKeyStore`](super::MemoryKeyStore) and [`SqlKeyStore`](super::SqlKeyStore) are two; a store of one's own can
/// be a third. It decides nothing: records are found whatever their state, and looked at by
/// [`ApiKeys`](super::ApiKeys).
pub trait KeyStore: Send + Sync + 'static {
    /// The record of the key with this digest.
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>>;

    /// The record with this id.
    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>>;

    /// Adds a record; a [`Conflict`](super::KeyErrorKind::Conflict) if its id or its digest is there already.
    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>>;

    /// Revokes a key, for good; the time of an earlier revocation stays. [`NotFound`](super::KeyErrorKind::NotFound) if there
    /// is no such key.
    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// Adds the successor of a key, and lets the key itself be used until `until`: both or neither.
    ///
    /// [`NotFound`](super::KeyErrorKind::NotFound) if there is no such key, [`Inactive`](super::KeyErrorKind::Inactive) if it was
    /// revoked or replaced already, and [`Conflict`](super::KeyErrorKind::Conflict) if the successor's id or digest is there.
    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// A page of records, in the order of their ids.
    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>>;

    /// Writes down when keys were last used; an earlier time than the one that is there is passed over, and so is an
    /// unknown key.
    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>>;

    /// Tells the watcher of changes from now on: those of this process, and those of others where the store hears of
    /// them. A store that tells of none leaves changes made behind a cache's back to the cache's lifetimes.
    fn watch(&self, watcher: KeyWatcher) {
        let _ = watcher;
    }
}

impl<K: KeyStore + ?Sized> KeyStore for Arc<K> {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        (**self).find(digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        (**self).get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        (**self).insert(record)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        (**self).revoke(id, at)
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        (**self).rotate(id, successor, until)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        (**self).list(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        (**self).touch(uses)
    }

    fn watch(&self, watcher: KeyWatcher) {
        (**self).watch(watcher);
    }
}

/// Which records to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Those behind this id; the first ones without.
    pub after: Option<KeyId>,
    /// At most so many: 100 without, 1000 at the most.
    pub limit: Option<NonZeroU16>,
    /// Those of this owner.
    pub owner: Option<String>,
    /// Those of this tenant.
    pub tenant: Option<String>,
}

impl KeyQuery {
    /// Those behind this id.
    #[must_use]
    pub fn after(mut self, id: KeyId) -> Self {
        self.after = Some(id);
        self
    }

    /// At most so many.
    #[must_use]
    pub const fn limit(mut self, limit: NonZeroU16) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Those of this owner.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Those of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// How many records fill a page: from 1 to 1000.
    #[must_use]
    pub fn page_size(&self) -> u16 {
        self.limit.map_or(100, NonZeroU16::get).min(1000)
    }
}

/// A page of records.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyPage {
    /// The records, in the order of their ids.
    pub keys: Vec<Arc<KeyRecord>>,
    /// Behind which id the next page begins, if there is one.
    pub next: Option<KeyId>,
}

impl KeyPage {
    /// Makes a page of the records behind the query's start, of which one more than the page's size was read.
    #[must_use]
    pub fn cut(mut keys: Vec<Arc<KeyRecord>>, query: &KeyQuery) -> Self {
        let size = usize::from(query.page_size());
        let has_more = keys.len() > size;
        keys.truncate(size);
        let next = keys.last().filter(|_| has_more).map(|key| key.id.clone());
        Self { keys, next }
    }
}

/// When a key was used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyUse {
    /// Which key.
    pub id: KeyId,
    /// The last time.
    pub at: UnixTime,
}

impl KeyUse {
    /// A use of a key.
    #[must_use]
    pub const fn new(id: KeyId, at: UnixTime) -> Self {
        Self { id, at }
    }
}
