use std::{num::NonZeroU16, sync::Arc};

use super::{digest::KeyDigest, error::KeyError, key_id::KeyId, record::KeyRecord, watch::KeyWatcher};
use crate::{Eventual, error::Unavailable, time::UnixTime};

/// A store of key records.
///
/// [`MemoryKeyStore`](super::MemoryKeyStore) is in this crate; the crate `tower-warden-sql` has one for SQLite and Postgres.
/// A store makes no decisions: it returns records in any state, and [`ApiKeys`](super::ApiKeys) verifies them.
///
/// A store whose methods do I/O returns [`Eventual::later`]; it does not need a time-out of its own.
///
/// # Rules
///
/// - Records are returned byte for byte as they were added. Ids, digests, owners and tenants are compared byte for byte.
/// - Each change is one atomic step, and can be read as soon as it has succeeded. Concurrent changes of a key are all
///   kept; of concurrent insertions with one id or one digest, and of concurrent rotations of one key, one succeeds.
/// - A change that fails with [`NotFound`](super::KeyErrorKind::NotFound), [`Inactive`](super::KeyErrorKind::Inactive) or
///   [`Conflict`](super::KeyErrorKind::Conflict) changes nothing.
///
/// # Examples
///
/// A custom store, of keys that are deployed with the configuration and not changed at run time:
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
/// use tower_warden::{Eventual, Unavailable, UnixTime, api_key::*};
///
/// struct ConfiguredKeys(BTreeMap<KeyId, Arc<KeyRecord>>);
///
/// impl KeyStore for ConfiguredKeys {
///     fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
///         Eventual::Now(Ok(self.0.values().find(|record| record.digest == *digest).cloned()))
///     }
///
///     fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
///         Eventual::Now(Ok(self.0.get(id).cloned()))
///     }
///
///     fn insert(&self, _: KeyRecord) -> Eventual<Result<(), KeyError>> {
///         Eventual::Now(Err(read_only()))
///     }
///
///     fn revoke(&self, _: &KeyId, _: UnixTime) -> Eventual<Result<(), KeyError>> {
///         Eventual::Now(Err(read_only()))
///     }
///
///     fn rotate(&self, _: &KeyId, _: KeyRecord, _: UnixTime) -> Eventual<Result<(), KeyError>> {
///         Eventual::Now(Err(read_only()))
///     }
///
///     fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
///         let selected = self.0.values().filter(|record| query.selects(record));
///         let keys = selected.take(usize::from(query.page_size()) + 1).cloned().collect();
///         Eventual::Now(Ok(KeyPage::cut(keys, query)))
///     }
///
///     fn touch(&self, _: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
///         Eventual::Now(Ok(())) // Last uses are not recorded.
///     }
/// }
///
/// fn read_only() -> KeyError {
///     KeyError::new(KeyErrorKind::Configuration).because("keys are changed in the configuration file")
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let digest = KeyDigest::sha256("legacy-0c8a");
/// let record = KeyRecord::new(KeyId::parse("old-1")?, digest, "alice", UnixTime::default());
/// let store = ConfiguredKeys([(record.id.clone(), Arc::new(record))].into());
/// let keys = ApiKeys::new(store, KeyFormat::opaque("legacy-")?);
/// assert!(keys.get(&KeyId::parse("old-1")?).await?.is_some());
/// assert_eq!(keys.revoke(&KeyId::parse("old-1")?).await.unwrap_err().kind(), KeyErrorKind::Configuration);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyStore: Send + Sync + 'static {
    /// Returns the record with this digest.
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>>;

    /// Returns the record with this id.
    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>>;

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`Conflict`](super::KeyErrorKind::Conflict) if its id or its digest exists already.
    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>>;

    /// Revokes a key permanently; the time of an earlier revocation is kept.
    ///
    /// # Errors
    ///
    /// [`NotFound`](super::KeyErrorKind::NotFound) if the key does not exist.
    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// Adds the successor of a key and sets the replacement of the key itself, with a grace period until `until`: both, or
    /// neither.
    ///
    /// # Errors
    ///
    /// [`NotFound`](super::KeyErrorKind::NotFound) if the key does not exist, [`Inactive`](super::KeyErrorKind::Inactive) if it
    /// is revoked or replaced, and [`Conflict`](super::KeyErrorKind::Conflict) if the id or digest of the successor exists
    /// already.
    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// Returns a page of records, in the order of the bytes of their ids. A page is full as long as further records are
    /// selected, and [`KeyQuery::after`] may be an unknown id.
    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>>;

    /// Records the last uses of keys. A use that is older than the recorded one is ignored, and so is an unknown key.
    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>>;

    /// Registers a watcher that is notified after each change: of this process, and of others if the store learns of them.
    /// [`KeyWatchers`](super::KeyWatchers) is an implementation.
    ///
    /// An insertion is reported as [`Added`](super::KeyChange::Added), and a revocation or rotation as
    /// [`Changed`](super::KeyChange::Changed) with the id of the key. A change is readable as soon as it is reported: a
    /// cache drops its entry then and reads it again, and would keep the old record otherwise. A change may be reported
    /// more than once. [`Missed`](super::KeyChange::Missed) is for changes that the store cannot name; it does not
    /// replace the report of a change that the store makes.
    ///
    /// By default, no changes are reported. Then a change that is not made through [`ApiKeys`](super::ApiKeys) of this
    /// process is effective when the cached entry expires.
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

/// A selection of records to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Selects the records after this id; from the first one if `None`.
    pub after: Option<KeyId>,
    /// The maximum number of records, at most 1000; 100 if `None`.
    pub limit: Option<NonZeroU16>,
    /// Selects the records of this owner.
    pub owner: Option<String>,
    /// Selects the records of this tenant.
    pub tenant: Option<String>,
}

impl KeyQuery {
    /// Selects the records after this id.
    #[must_use]
    pub fn after(mut self, id: KeyId) -> Self {
        self.after = Some(id);
        self
    }

    /// Sets the maximum number of records.
    #[must_use]
    pub const fn limit(mut self, limit: NonZeroU16) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Selects the records of this owner.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Selects the records of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The maximum number of records on a page: from 1 to 1000.
    #[must_use]
    pub fn page_size(&self) -> u16 {
        self.limit.map_or(100, NonZeroU16::get).min(1000)
    }

    /// Returns whether a record is selected, whatever page it is on.
    #[must_use]
    pub fn selects(&self, record: &KeyRecord) -> bool {
        self.after.as_ref().is_none_or(|after| record.id > *after)
            && self.owner.as_ref().is_none_or(|owner| record.owner == *owner)
            && self.tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
    }
}

/// A page of records.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyPage {
    /// The records, in the order of their ids.
    pub keys: Vec<Arc<KeyRecord>>,
    /// The id after which the next page begins; `None` on the last page.
    pub next: Option<KeyId>,
}

impl KeyPage {
    /// Creates a page from the selected records, of which a store reads one more than [`KeyQuery::page_size`]: if that one
    /// is present, there is a next page.
    #[must_use]
    pub fn cut(mut keys: Vec<Arc<KeyRecord>>, query: &KeyQuery) -> Self {
        let size = usize::from(query.page_size());
        let has_more = keys.len() > size;
        keys.truncate(size);
        let next = keys.last().filter(|_| has_more).map(|key| key.id.clone());
        Self { keys, next }
    }
}

/// The last use of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyUse {
    /// The id of the key.
    pub id: KeyId,
    /// The time of the use.
    pub at: UnixTime,
}

impl KeyUse {
    /// Creates a use of a key.
    #[must_use]
    pub const fn new(id: KeyId, at: UnixTime) -> Self {
        Self { id, at }
    }
}
