use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    addition::KeyAddition,
    digest::KeyDigest,
    error::{KeyError, KeyErrorKind},
    key_id::KeyId,
    query::{KeyPage, KeyQuery, KeyUse},
    record::{KeyRecord, Replacement},
    store::KeyStore,
    update::KeyUpdate,
    watch::{KeyChange, KeyWatcher, KeyWatchers},
};
use crate::{Eventual, error::Unavailable, time::UnixTime};

/// A store in memory, for tests and for keys that are configured at start.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     UnixTime,
///     api_key::{KeyDigest, KeyId, KeyRecord, KeyStore, MemoryKeyStore},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryKeyStore::default();
/// let digest = KeyDigest::sha256("a key of another system");
/// store.insert(KeyRecord::new(KeyId::parse("old-1")?, digest.clone(), "alice", UnixTime::default())).wait().await?;
/// assert_eq!(store.find(&digest).wait().await?.map(|record| record.owner.clone()).as_deref(), Some("alice"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct MemoryKeyStore {
    records: RwLock<Records>,
    watchers: KeyWatchers,
}

impl MemoryKeyStore {
    fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a change to the watchers, if it was made.
    ///
    /// Called after the lock is released, and after the change: a watcher that invalidates a cache here must not be followed
    /// by a read of the old record.
    fn report<T>(&self, result: Result<T, KeyError>, change: &KeyChange) -> Eventual<Result<T, KeyError>> {
        if result.is_ok() {
            self.watchers.notify(change);
        }
        Eventual::Now(result)
    }
}

impl KeyStore for MemoryKeyStore {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let records = self.read();
        let id = records.by_digest.get(digest);
        Eventual::Now(Ok(id.and_then(|id| records.by_id.get(id)).cloned()))
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Eventual::Now(Ok(self.read().by_id.get(id).cloned()))
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        let result = self.write().insert(record);
        self.report(result, &KeyChange::Added)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let result = self.write().get_mut(id).map(|record| {
            record.revoked_at.get_or_insert(at);
        });
        self.report(result, &KeyChange::Changed(id.clone()))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        let result = self.write().rotate(id, successor, until);
        self.report(result, &KeyChange::Changed(id.clone()))
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        let change = match &addition.replaces {
            Some((id, _)) => KeyChange::Changed(id.clone()),
            None => KeyChange::Added,
        };
        let result = self.write().append(addition);
        self.report(result, &change)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        let result = self.write().update(id, update);
        self.report(result, &KeyChange::Changed(id.clone()))
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let result = self.write().purge(id, at);
        self.report(result, &KeyChange::Changed(id.clone()))
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        let records = self.read();
        let start = query.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let keys = records.by_id.range((start, Bound::Unbounded)).map(|(_, record)| record);
        let keys = keys.filter(|record| query.selects(record)).take(usize::from(query.page_size()) + 1);
        let keys = keys.cloned().collect();
        Eventual::Now(Ok(KeyPage::cut(keys, query)))
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        let mut records = self.write();
        for used in uses {
            if let Ok(record) = records.get_mut(&used.id) {
                record.last_used_at = record.last_used_at.max(Some(used.at));
            }
        }
        Eventual::Now(Ok(()))
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.watchers.add(watcher);
    }
}

impl fmt::Debug for MemoryKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeyStore").field("keys", &self.read().by_id.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Records {
    by_id: BTreeMap<KeyId, Arc<KeyRecord>>,
    by_digest: HashMap<KeyDigest, KeyId>,
    /// The position of the id that was appended last.
    latest: u64,
}

impl Records {
    fn insert(&mut self, record: KeyRecord) -> Result<(), KeyError> {
        if self.by_id.contains_key(&record.id) || self.by_digest.contains_key(&record.digest) {
            return Err(KeyError::new(KeyErrorKind::Conflict));
        }
        self.by_digest.insert(record.digest.clone(), record.id.clone());
        self.by_id.insert(record.id.clone(), Arc::new(record));
        Ok(())
    }

    fn get_mut(&mut self, id: &KeyId) -> Result<&mut KeyRecord, KeyError> {
        self.by_id.get_mut(id).map(Arc::make_mut).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
    }

    fn get(&self, id: &KeyId) -> Result<&KeyRecord, KeyError> {
        self.by_id.get(id).map(|record| &**record).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
    }

    fn append(&mut self, addition: KeyAddition) -> Result<KeyId, KeyError> {
        if let Some((old, _)) = &addition.replaces
            && !addition.is_current(self.replaceable(old)?)
        {
            return Err(KeyError::new(KeyErrorKind::Conflict));
        }
        let KeyAddition { mut record, replaces, .. } = addition;
        let id = record.id.after(self.latest);
        record.id = id.clone();
        match replaces {
            Some((old, until)) => self.rotate(&old, record, until)?,
            None => self.insert(record)?,
        }
        self.latest = id.position().unwrap_or(self.latest);
        Ok(id)
    }

    fn update(&mut self, id: &KeyId, update: &KeyUpdate) -> Result<(), KeyError> {
        let record = self.get_mut(id)?;
        if record.revoked_at.is_some() {
            return Err(KeyError::new(KeyErrorKind::Inactive));
        }
        if !update.is_current(record) {
            return Err(KeyError::new(KeyErrorKind::Conflict));
        }
        update.apply_to(record)
    }

    fn purge(&mut self, id: &KeyId, at: UnixTime) -> Result<(), KeyError> {
        let record = self.get_mut(id)?;
        if record.inactive_since().is_none_or(|since| since > at) {
            return Err(KeyError::new(KeyErrorKind::Active));
        }
        let digest = record.digest.clone();
        self.by_digest.remove(&digest);
        self.by_id.remove(id);
        Ok(())
    }

    fn replaceable(&self, id: &KeyId) -> Result<&KeyRecord, KeyError> {
        let record = self.get(id)?;
        let is_inactive = record.revoked_at.is_some() || record.replaced.is_some();
        if is_inactive { Err(KeyError::new(KeyErrorKind::Inactive)) } else { Ok(record) }
    }

    fn rotate(&mut self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Result<(), KeyError> {
        self.replaceable(id)?;
        let replacement = Replacement::new(successor.id.clone(), until);
        self.insert(successor)?;
        self.get_mut(id)?.replaced = Some(replacement);
        Ok(())
    }
}
