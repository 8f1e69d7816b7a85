//! Where keys are kept.

use std::{
    error::Error,
    fmt,
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    digest::KeyDigest,
    record::{KeyId, KeyRecord},
};
use crate::{Eventual, error::Unavailable, log, time::UnixTime};

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

    /// Adds a record; a [`Conflict`](KeyErrorKind::Conflict) if its id or its digest is there already.
    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>>;

    /// Revokes a key, for good; the time of an earlier revocation stays. [`NotFound`](KeyErrorKind::NotFound) if there
    /// is no such key.
    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// Adds the successor of a key, and lets the key itself be used until `until`: both or neither.
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if there is no such key, [`Inactive`](KeyErrorKind::Inactive) if it was
    /// revoked or replaced already, and [`Conflict`](KeyErrorKind::Conflict) if the successor's id or digest is there.
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

/// A change of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyChange {
    /// There are new keys, so what was unknown may be known.
    Added,
    /// This key was revoked, replaced or changed.
    Changed(KeyId),
    /// Changes may have been missed, so nothing that was read before can be relied on.
    Missed,
}

/// Listens to the changes of a store, as long as who made it lives.
#[derive(Clone)]
pub struct KeyWatcher(Arc<dyn Fn(&KeyChange) -> Watching + Send + Sync>);

/// Whether a watcher still listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it does or it does not")]
pub enum Watching {
    /// It does.
    Goes,
    /// It does not, and may be dropped.
    Ended,
}

impl KeyWatcher {
    /// Listens with a closure.
    pub fn new(listener: impl Fn(&KeyChange) -> Watching + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells of a change.
    #[must_use]
    pub fn notify(&self, change: &KeyChange) -> Watching {
        (self.0)(change)
    }
}

impl fmt::Debug for KeyWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyWatcher")
    }
}

/// The watchers of a store.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<KeyWatcher>>);

impl Watchers {
    pub(super) fn add(&self, watcher: KeyWatcher) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    pub(super) fn notify(&self, change: &KeyChange) {
        // Watchers are told outside of the lock: they may do anything.
        let watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // One that panics must not keep the others from hearing.
        let tell = |watcher: &KeyWatcher| catch_unwind(AssertUnwindSafe(|| watcher.notify(change)));
        let ended = |watcher: &&KeyWatcher| match tell(watcher) {
            Ok(watching) => watching == Watching::Ended,
            Err(_) => {
                log::error!("a watcher of a key store panicked; it goes on being told");
                false
            }
        };
        let ended: Vec<_> = watchers.iter().filter(ended).map(|watcher| Arc::clone(&watcher.0)).collect();
        if !ended.is_empty() {
            let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.retain(|watcher| !ended.iter().any(|ended| Arc::ptr_eq(ended, &watcher.0)));
        }
    }
}

/// A change that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct KeyError {
    kind: KeyErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why a change could not be made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The store is set up wrongly: its URL, its features, its schema.
    Configuration,
    /// The id or the digest is there already.
    Conflict,
    /// The key was revoked or replaced already, or has expired.
    Inactive,
    /// A line that is no record, or a key that cannot be minted.
    Invalid,
    /// There is no such key.
    NotFound,
    /// The store did not answer.
    Unavailable,
}

impl KeyErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Configuration => "the key store is set up wrongly",
            Self::Conflict => "a key with this id or digest is there already",
            Self::Inactive => "the key was revoked or replaced already, or has expired",
            Self::Invalid => "the key is invalid",
            Self::NotFound => "there is no such key",
            Self::Unavailable => "the key store is unavailable",
        }
    }
}

impl KeyError {
    /// A change that could not be made.
    #[must_use]
    pub const fn new(kind: KeyErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Keeps the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why it could not be made.
    #[must_use]
    pub const fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

impl From<Unavailable> for KeyError {
    fn from(error: Unavailable) -> Self {
        Self::new(KeyErrorKind::Unavailable).because(error)
    }
}
