//! API keys in a plain file, one JSON object on a line.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore, KeyUse, KeyWatcher,
        KeyWatchers, Replacement,
    },
};

/// Keeps keys in a file that is rewritten with each change: for a handful of keys on one node.
#[derive(Debug)]
pub struct FileKeyStore {
    path: PathBuf,
    /// Held from reading the file to replacing it, so that no change is lost.
    changing: Mutex<()>,
    watchers: KeyWatchers,
}

impl FileKeyStore {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), changing: Mutex::default(), watchers: KeyWatchers::default() }
    }

    /// All records, in the order of their ids.
    fn read(&self) -> Result<Vec<KeyRecord>, Unavailable> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| Unavailable::new("the key file").because(error);
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error.into())),
        };
        let records = text.lines().map(|line| serde_json::from_str::<KeyRecord>(line));
        let mut records = records.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.into()))?;
        records.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(records)
    }

    /// Replaces the file as a whole: a reader sees the old or the new one.
    fn write(&self, records: &[KeyRecord]) -> Result<(), Unavailable> {
        let lines = records.iter().map(|record| {
            let mut line = serde_json::to_value(record)?;
            // A serialised record leaves its digest out.
            line["digest"] = record.digest.to_string().into();
            Ok(line.to_string() + "\n")
        });
        let text = lines.collect::<Result<String, serde_json::Error>>();
        let failed = |error: io::Error| Unavailable::new("the key file").because(error);
        let text = text.map_err(|error| failed(error.into()))?;
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path)).map_err(failed)
    }

    fn change(
        &self,
        change: &KeyChange,
        edit: impl FnOnce(&mut Vec<KeyRecord>) -> Result<(), KeyError>,
    ) -> Eventual<Result<(), KeyError>> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.read().map_err(KeyError::from).and_then(|mut records| {
            edit(&mut records)?;
            Ok(self.write(&records)?)
        });
        drop(changing);
        if done.is_ok() {
            self.watchers.notify(change);
        }
        Eventual::Now(done)
    }

    fn find_by(&self, is_it: impl Fn(&KeyRecord) -> bool) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Eventual::Now(self.read().map(|records| records.into_iter().find(is_it).map(Arc::new)))
    }
}

fn insert(records: &mut Vec<KeyRecord>, record: KeyRecord) -> Result<(), KeyError> {
    if records.iter().any(|known| known.id == record.id || known.digest == record.digest) {
        return Err(KeyError::new(KeyErrorKind::Conflict));
    }
    records.push(record);
    Ok(())
}

fn get<'a>(records: &'a mut [KeyRecord], id: &KeyId) -> Result<&'a mut KeyRecord, KeyError> {
    records.iter_mut().find(|record| record.id == *id).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
}

impl KeyStore for FileKeyStore {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.find_by(|record| record.digest == *digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.find_by(|record| record.id == *id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Added, |records| insert(records, record))
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Changed(id.clone()), |records| {
            get(records, id)?.revoked_at.get_or_insert(at);
            Ok(())
        })
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Changed(id.clone()), |records| {
            let old = get(records, id)?;
            if old.revoked_at.is_some() || old.replaced.is_some() {
                return Err(KeyError::new(KeyErrorKind::Inactive));
            }
            old.replaced = Some(Replacement::new(successor.id.clone(), until));
            insert(records, successor)
        })
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        Eventual::Now(self.read().map(|records| {
            let is_requested = |record: &KeyRecord| {
                query.after.as_ref().is_none_or(|after| record.id > *after)
                    && query.owner.as_ref().is_none_or(|owner| record.owner == *owner)
                    && query.tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
            };
            let keys = records.into_iter().filter(is_requested).take(usize::from(query.page_size()) + 1);
            KeyPage::cut(keys.map(Arc::new).collect(), query)
        }))
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let touched = self.read().and_then(|mut records| {
            for used in uses {
                if let Ok(record) = get(&mut records, &used.id) {
                    record.last_used_at = record.last_used_at.max(Some(used.at));
                }
            }
            self.write(&records)
        });
        drop(changing);
        Eventual::Now(touched)
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.watchers.add(watcher);
    }
}
