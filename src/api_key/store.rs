use std::sync::Arc;

use super::{
    addition::KeyAddition,
    digest::KeyDigest,
    error::{KeyError, KeyErrorKind},
    key_id::KeyId,
    query::{KeyPage, KeyQuery, KeyUse, UnrevokedKeys},
    record::KeyRecord,
    update::KeyUpdate,
    watch::KeyWatcher,
};
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
/// - A change that fails with [`NotFound`](KeyErrorKind::NotFound), [`Inactive`](KeyErrorKind::Inactive) or
///   [`Conflict`](KeyErrorKind::Conflict) changes nothing.
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
    /// [`Conflict`](KeyErrorKind::Conflict) if its id or its digest exists already.
    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>>;

    /// Revokes a key permanently; the time of an earlier revocation is kept.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist.
    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// Adds the successor of a key and sets the replacement of the key itself, with a grace period until `until`: both, or
    /// neither.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Inactive`](KeyErrorKind::Inactive) if it
    /// is revoked or replaced, and [`Conflict`](KeyErrorKind::Conflict) if the id or digest of the successor exists
    /// already.
    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>>;

    /// Adds a minted record after all records that were minted before, and returns its id.
    ///
    /// The record has a generated id, which begins with the time of the node that minted it. If the record would not follow
    /// all records that this method has added before, the store assigns a later id with [`KeyId::after`], in the same
    /// atomic step that makes the record readable. So a client that continues a list after the last id that it has seen
    /// misses no minted key, also if nodes mint at the same time or their clocks differ.
    ///
    /// If the record [replaces](KeyAddition::replaces) another one, everything else is as in [`rotate`](Self::rotate).
    /// A store that supports updates also checks [`KeyAddition::is_current`], in the same atomic step: the new key
    /// would otherwise have rights that an update has just removed.
    ///
    /// Changes are reported as those of [`insert`](Self::insert) and [`rotate`](Self::rotate).
    ///
    /// By default, the record is added by these methods, with the id that it has. Then ids are in the order of creation
    /// for the keys of one node, as far as its changes do not overlap. [`KeyAddition::is_current`] is checked on a record
    /// that is read before, which is not one atomic step: a store that supports updates implements this method.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert), or of [`rotate`](Self::rotate); and [`Conflict`](KeyErrorKind::Conflict) if
    /// the replaced key is no longer current.
    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        let (record, id) = (addition.record.clone(), addition.record.id.clone());
        let added = match addition.replaces.clone() {
            None => self.insert(record),
            Some((old, until)) if addition.copied_from.is_none() => self.rotate(&old, record, until),
            Some((old, until)) => match self.get(&old).map(move |stored| check_current(&addition, stored)) {
                Eventual::Now(Err(error)) => Eventual::Now(Err(error)),
                Eventual::Now(Ok(())) => self.rotate(&old, record, until),
                Eventual::Later(check) => match self.rotate(&old, record, until) {
                    // I/O of the store, which begins when it is awaited. A change that did not wait is made already.
                    Eventual::Later(rotating) => Eventual::later(async move {
                        check.await?;
                        rotating.await
                    }),
                    rotated @ Eventual::Now(_) => rotated,
                },
            },
        };
        added.map(|added| added.map(|()| id))
    }

    /// Changes the fields of a record that the update names, as one atomic step, which includes the check of
    /// [`KeyUpdate::is_current`]: updates that were checked one by one could otherwise be made together. A key that is
    /// replaced or expired can be changed.
    ///
    /// By default, updates are not supported: an error of the kind [`Configuration`](KeyErrorKind::Configuration).
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Inactive`](KeyErrorKind::Inactive) if it is
    /// revoked, [`Conflict`](KeyErrorKind::Conflict) if the update is no longer current, and those of
    /// [`KeyUpdate::check`].
    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        let _ = (id, update);
        Eventual::Now(Err(KeyError::new(KeyErrorKind::Configuration).because("the store does not support updates")))
    }

    /// Deletes the record of a key that was [inactive](KeyRecord::inactive_since) at the time `at`, or before.
    ///
    /// By default, records are not deleted: an error of the kind [`Configuration`](KeyErrorKind::Configuration).
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Active`](KeyErrorKind::Active) if it was not
    /// inactive then.
    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let _ = (id, at);
        Eventual::Now(Err(KeyError::new(KeyErrorKind::Configuration).because("the store does not delete records")))
    }

    /// Returns a page of records, in the order of the bytes of their ids. A page is full as long as further records are
    /// selected, and [`KeyQuery::after`] may be an unknown id.
    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>>;

    /// Returns a page of the keys that are not revoked, in the order of [`list`](Self::list); it may be empty although there is
    /// a next page. [`ApiKeys::revoke_all`](super::ApiKeys::revoke_all) calls it.
    ///
    /// By default, these are keys of a page of `list`. A store of which single records may be unreadable selects the ids
    /// alone: one such record would keep the other keys of its owner from being revoked.
    fn list_unrevoked(&self, query: &KeyQuery) -> Eventual<Result<UnrevokedKeys, Unavailable>> {
        let is_unrevoked = |record: &KeyRecord| record.revoked_at.is_none();
        self.list(query).map(move |page| Ok(UnrevokedKeys::among(&page?, is_unrevoked)))
    }

    /// Records the last uses of keys. A use that is older than the recorded one is ignored, and so is an unknown key.
    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>>;

    /// Registers a watcher that is notified after each change: of this process, and of others if the store learns of them.
    /// [`KeyWatchers`](super::KeyWatchers) is an implementation.
    ///
    /// An insertion is reported as [`Added`](super::KeyChange::Added), and a revocation, rotation, update or purge as
    /// [`Changed`](super::KeyChange::Changed) with the id of the key. A change whose outcome is unknown, because the store
    /// is unavailable, is reported as well. A change is readable as soon as it is reported: a
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

/// Refuses an addition if the key that it replaces was changed. A key that does not exist is left to the rotation.
fn check_current(addition: &KeyAddition, stored: Result<Option<Arc<KeyRecord>>, Unavailable>) -> Result<(), KeyError> {
    let is_current = stored?.is_none_or(|stored| addition.is_current(&stored));
    if is_current { Ok(()) } else { Err(KeyError::new(KeyErrorKind::Conflict)) }
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

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        (**self).append(addition)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        (**self).update(id, update)
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        (**self).purge(id, at)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        (**self).list(query)
    }

    fn list_unrevoked(&self, query: &KeyQuery) -> Eventual<Result<UnrevokedKeys, Unavailable>> {
        (**self).list_unrevoked(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        (**self).touch(uses)
    }

    fn watch(&self, watcher: KeyWatcher) {
        (**self).watch(watcher);
    }
}
