//! API keys in a plain file, one JSON object on a line.

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        KeyAddition, KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore,
        KeyUpdate, KeyUse, KeyWatcher, KeyWatchers, Replacement,
    },
};

/// Keeps keys in a file that is rewritten with each change: for a handful of keys on one node.
///
/// The file is read once: a file that two stores change at a time loses changes.
#[derive(Debug)]
pub struct FileKeyStore {
    path: PathBuf,
    /// The content of the file, once it was read. Locked until the file is replaced, so that no change is lost.
    records: Mutex<Option<Records>>,
    watchers: KeyWatchers,
}

type Records = BTreeMap<KeyId, Stored>;

impl FileKeyStore {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), records: Mutex::default(), watchers: KeyWatchers::default() }
    }

    fn read(&self) -> Result<Records, Unavailable> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut records = Records::new();
        for line in text.lines() {
            let stored = Stored::parse(line.to_owned())?;
            if let Some(known) = records.insert(stored.record.id.clone(), stored) {
                return Err(failed(format!("two records have the id {}", known.record.id)));
            }
        }
        Ok(records)
    }

    /// Replaces the file as a whole: a reader sees the old or the new one.
    fn write(&self, records: &Records) -> Result<(), Unavailable> {
        let text: String = records.values().flat_map(|stored| [&*stored.line, "\n"]).collect();
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path)).map_err(failed)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Records) -> T) -> Result<T, Unavailable> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let records = match &mut *records {
            Some(records) => records,
            unread => unread.insert(self.read()?),
        };
        Ok(work(records))
    }

    /// Adds or replaces the records that `edit` returns: in a copy, so that a change that is not written is not made.
    fn edit<E: From<Unavailable>>(&self, edit: impl FnOnce(&Records) -> Result<Vec<KeyRecord>, E>) -> Result<(), E> {
        self.rewrite(|records| {
            for record in edit(records)? {
                records.insert(record.id.clone(), Stored::new(&record)?);
            }
            Ok(())
        })
    }

    fn rewrite<T, E: From<Unavailable>>(&self, edit: impl FnOnce(&mut Records) -> Result<T, E>) -> Result<T, E> {
        self.with(|records| {
            let mut edited = records.clone();
            let value = edit(&mut edited)?;
            self.write(&edited)?;
            *records = edited;
            Ok(value)
        })?
    }

    fn change(
        &self,
        change: &KeyChange,
        edit: impl FnOnce(&Records) -> Result<Vec<KeyRecord>, KeyError>,
    ) -> Eventual<Result<(), KeyError>> {
        self.report(change, self.edit(edit))
    }

    /// Notifies the watchers, also if it is unknown whether the change was made.
    fn report<T>(&self, change: &KeyChange, done: Result<T, KeyError>) -> Eventual<Result<T, KeyError>> {
        if done.as_ref().err().is_none_or(|error| error.kind() == KeyErrorKind::Unavailable) {
            self.watchers.notify(change);
        }
        Eventual::Now(done)
    }
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("the key file").because(error)
}

/// A line of the file, and the record that is read from it.
#[derive(Clone, Debug)]
struct Stored {
    line: Arc<str>,
    record: Arc<KeyRecord>,
}

impl Stored {
    /// Returns what a later process will read, so that a record that JSON changes is not held unchanged in this one.
    fn new(record: &KeyRecord) -> Result<Self, Unavailable> {
        let line = Line { digest: record.digest.to_string(), record };
        Self::parse(serde_json::to_string(&line).map_err(failed)?)
    }

    fn parse(line: String) -> Result<Self, Unavailable> {
        let record = serde_json::from_str(&line).map_err(failed)?;
        Ok(Self { line: line.into(), record: Arc::new(record) })
    }
}

/// The members of a line, with the digest that a serialised record leaves out.
#[derive(Serialize)]
struct Line<'a> {
    digest: String,
    #[serde(flatten)]
    record: &'a KeyRecord,
}

fn check_new(records: &Records, record: &KeyRecord) -> Result<(), KeyError> {
    let has_digest = |known: &Stored| known.record.digest == record.digest;
    if records.contains_key(&record.id) || records.values().any(has_digest) {
        return Err(KeyError::new(KeyErrorKind::Conflict));
    }
    Ok(())
}

/// Returns the record of a key that another one replaces.
fn replace(records: &Records, id: &KeyId, successor: &KeyRecord, until: UnixTime) -> Result<KeyRecord, KeyError> {
    let mut old = get(records, id)?;
    if old.revoked_at.is_some() || old.replaced.is_some() {
        return Err(KeyError::new(KeyErrorKind::Inactive));
    }
    old.replaced = Some(Replacement::new(successor.id.clone(), until));
    Ok(old)
}

fn get(records: &Records, id: &KeyId) -> Result<KeyRecord, KeyError> {
    let stored = records.get(id).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))?;
    Ok(KeyRecord::clone(&stored.record))
}

impl KeyStore for FileKeyStore {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let is_it = |record: &&Arc<KeyRecord>| record.digest == *digest;
        Eventual::Now(self.with(|records| records.values().map(|stored| &stored.record).find(is_it).cloned()))
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Eventual::Now(self.with(|records| records.get(id).map(|stored| Arc::clone(&stored.record))))
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Added, |records| {
            check_new(records, &record)?;
            Ok(vec![record])
        })
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Changed(id.clone()), |records| {
            let mut record = get(records, id)?;
            record.revoked_at.get_or_insert(at);
            Ok(vec![record])
        })
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Changed(id.clone()), |records| {
            let old = replace(records, id, &successor, until)?;
            check_new(records, &successor)?;
            Ok(vec![old, successor])
        })
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        let KeyAddition { mut record, replaces, .. } = addition.clone();
        let change = replaces.as_ref().map_or(KeyChange::Added, |(old, _)| KeyChange::Changed(old.clone()));
        let added = self.rewrite(|records| {
            let latest = records.keys().filter_map(KeyId::position).max();
            record.id = latest.map_or_else(|| record.id.clone(), |latest| record.id.after(latest));
            let id = record.id.clone();
            let old = replaces.map(|(old, until)| replace(records, &old, &record, until)).transpose()?;
            if old.as_ref().is_some_and(|old| !addition.is_current(old)) {
                return Err(KeyError::new(KeyErrorKind::Conflict));
            }
            check_new(records, &record)?;
            for record in old.into_iter().chain([record]) {
                records.insert(record.id.clone(), Stored::new(&record)?);
            }
            Ok(id)
        });
        self.report(&change, added)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.change(&KeyChange::Changed(id.clone()), |records| {
            let mut record = get(records, id)?;
            if record.revoked_at.is_some() {
                return Err(KeyError::new(KeyErrorKind::Inactive));
            }
            if !update.is_current(&record) {
                return Err(KeyError::new(KeyErrorKind::Conflict));
            }
            update.apply_to(&mut record)?;
            Ok(vec![record])
        })
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let purged = self.rewrite(|records| {
            if get(records, id)?.inactive_since().is_none_or(|since| since > at) {
                return Err(KeyError::new(KeyErrorKind::Active));
            }
            records.remove(id);
            Ok(())
        });
        self.report(&KeyChange::Changed(id.clone()), purged)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        Eventual::Now(self.with(|records| {
            let is_requested = |record: &&Arc<KeyRecord>| {
                query.after.as_ref().is_none_or(|after| record.id > *after)
                    && query.owner.as_ref().is_none_or(|owner| record.owner == *owner)
                    && query.tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
            };
            let keys = records.values().map(|stored| &stored.record).filter(is_requested);
            KeyPage::cut(keys.take(usize::from(query.page_size()) + 1).cloned().collect(), query)
        }))
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        Eventual::Now(self.edit(|records| {
            let mut used: BTreeMap<&KeyId, KeyRecord> = BTreeMap::new();
            for KeyUse { id, at, .. } in uses {
                if let Ok(known) = get(records, id) {
                    let record = used.entry(id).or_insert(known);
                    record.last_used_at = record.last_used_at.max(Some(*at));
                }
            }
            Ok(used.into_values().collect())
        }))
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.watchers.add(watcher);
    }
}
