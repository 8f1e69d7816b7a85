//! Keys in memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    digest::KeyDigest,
    error::{KeyError, KeyErrorKind},
    record::{KeyId, KeyRecord, Replacement},
    store::{KeyPage, KeyQuery, KeyStore, KeyUse},
    watch::{KeyChange, KeyWatcher, KeyWatchers},
};
use crate::{Eventual, error::Unavailable, time::UnixTime};

/// Keeps keys in memory: for tests, and for keys that are configured at start.
#[derive(Default)]
pub struct MemoryKeyStore {
    records: RwLock<Records>,
    watchers: KeyWatchers,
}

#[derive(Default)]
struct Records {
    by_id: BTreeMap<KeyId, Arc<KeyRecord>>,
    by_digest: HashMap<KeyDigest, KeyId>,
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

    fn rotate(&mut self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Result<(), KeyError> {
        let record = self.get_mut(id)?;
        if record.revoked_at.is_some() || record.replaced.is_some() {
            return Err(KeyError::new(KeyErrorKind::Inactive));
        }
        let replacement = Replacement::new(successor.id.clone(), until);
        self.insert(successor)?;
        self.get_mut(id)?.replaced = Some(replacement);
        Ok(())
    }
}

impl MemoryKeyStore {
    fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, done: Result<(), KeyError>, change: &KeyChange) -> Eventual<Result<(), KeyError>> {
        if done.is_ok() {
            self.watchers.notify(change);
        }
        Eventual::Now(done)
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
        let done = self.write().insert(record);
        self.tell(done, &KeyChange::Added)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let done = self.write().get_mut(id).map(|record| {
            record.revoked_at.get_or_insert(at);
        });
        self.tell(done, &KeyChange::Changed(id.clone()))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        let done = self.write().rotate(id, successor, until);
        self.tell(done, &KeyChange::Changed(id.clone()))
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        let records = self.read();
        let start = query.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let is_asked_for = |record: &&Arc<KeyRecord>| {
            query.owner.as_ref().is_none_or(|owner| record.owner == *owner)
                && query.tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
        };
        let keys = records.by_id.range((start, Bound::Unbounded)).map(|(_, record)| record).filter(is_asked_for);
        let keys = keys.take(usize::from(query.page_size()) + 1).cloned().collect();
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
