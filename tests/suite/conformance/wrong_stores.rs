//! Key stores with one fault each.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use tokio::task::yield_now;
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore, KeyUse,
        KeyWatcher, KeyWatchers, Replacement,
    },
    testing::conformance::{key_store, key_store_changes},
};

use super::assert_violated;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    AddsUnknownUses,
    AddsWithoutMarkingTheOldKey,
    BeginsPagesAtTheirId,
    BeginsPagesAtTheSamePlace,
    ChecksThenInserts,
    ChecksThenRotates,
    FiltersPagesAfterCuttingThem,
    FindsBySubstring,
    ForgetsOrderOfNetworks,
    ForgetsRevocationWithUse,
    ForgetsUsesWithRevocation,
    GetsInAnyCase,
    HasALimitOfItsOwn,
    HasNoLimit,
    IsNotFresh,
    KeepsTheLastRevocation,
    KeepsTheLastUse,
    ListsInTheOrderOfInsertion,
    ListsOwnersInAnyCase,
    MarksThenFindsTheConflict,
    NamesANextPageAlways,
    None,
    OverwritesTheDigest,
    OverwritesTheId,
    ReadsThenWritesBack,
    ReportsAdditionsOnly,
    ReportsBeforeTheChange,
    ReportsNothing,
    ReportsTheSuccessor,
    ReportsToTheLastWatcher,
    RevokesUnknownKeys,
    RotatesInactiveKeys,
    RotatesUnknownKeys,
    TrimsTexts,
    WantsKnownIdsForPages,
}

type Records = Vec<KeyRecord>;

#[derive(Clone)]
struct Store(Arc<Inner>);

struct Inner {
    fault: Fault,
    /// The ids at which pages ended, and how many records were listed by then.
    places: Mutex<HashMap<KeyId, usize>>,
    records: Mutex<Records>,
    watchers: KeyWatchers,
    last_watcher: Mutex<Option<KeyWatcher>>,
}

fn refused<T>(kind: KeyErrorKind) -> Result<T, KeyError> {
    Err(KeyError::new(kind))
}

impl Store {
    fn new(fault: Fault) -> Self {
        let records = match fault {
            Fault::IsNotFresh => {
                let id = KeyId::parse("key").unwrap();
                vec![KeyRecord::new(id, KeyDigest::sha256("another"), "owner", UnixTime::default())]
            }
            _ => Vec::new(),
        };
        Self(Arc::new(Inner {
            fault,
            places: Mutex::default(),
            records: Mutex::new(records),
            watchers: KeyWatchers::default(),
            last_watcher: Mutex::default(),
        }))
    }

    fn is(&self, fault: Fault) -> bool {
        self.0.fault == fault
    }

    /// Changes the records; with some faults, what was read before others had their turn.
    fn change(
        &self,
        change: KeyChange,
        races: Fault,
        edit: impl FnOnce(&Self, &mut Records) -> Result<(), KeyError> + Send + 'static,
    ) -> Eventual<Result<(), KeyError>> {
        if self.is(Fault::ReportsBeforeTheChange) {
            let store = self.clone();
            return Eventual::later(async move {
                store.notify(&change);
                // As if it took a while.
                for _ in 0..10 {
                    yield_now().await;
                }
                edit(&store, &mut store.0.records.lock().unwrap())
            });
        }
        if self.is(races) {
            let (store, mut records) = (self.clone(), self.0.records.lock().unwrap().clone());
            return Eventual::later(async move {
                let before = records.clone();
                let done = edit(&store, &mut records);
                yield_now().await;
                let mut now = store.0.records.lock().unwrap();
                for record in records.into_iter().filter(|record| !before.contains(record)) {
                    now.retain(|other| other.id != record.id || store.is(Fault::ChecksThenInserts));
                    now.push(record);
                }
                done
            });
        }
        let done = edit(self, &mut self.0.records.lock().unwrap());
        if done.is_ok() {
            self.notify(&change);
        }
        Eventual::Now(done)
    }

    fn notify(&self, change: &KeyChange) {
        match self.0.fault {
            Fault::ReportsAdditionsOnly if *change != KeyChange::Added => {}
            Fault::ReportsNothing => {}
            Fault::ReportsToTheLastWatcher => {
                let watcher = self.0.last_watcher.lock().unwrap().clone();
                let _ = watcher.map_or(ControlFlow::Break(()), |watcher| watcher.notify(change));
            }
            _ => self.0.watchers.notify(change),
        }
    }

    fn insert_into(&self, records: &mut Records, mut record: KeyRecord) -> Result<(), KeyError> {
        let same_id = records.iter().position(|other| other.id == record.id);
        let same_digest = records.iter().position(|other| other.digest == record.digest);
        match (same_id, same_digest) {
            (Some(_), None) if self.is(Fault::OverwritesTheId) => {}
            (None, Some(other)) if self.is(Fault::OverwritesTheDigest) => drop(records.remove(other)),
            (None, None) => {}
            _ => return refused(KeyErrorKind::Conflict),
        }
        match self.0.fault {
            Fault::ForgetsOrderOfNetworks => record.networks.sort_by_key(ToString::to_string),
            Fault::TrimsTexts => record.tenant = record.tenant.map(|tenant| tenant.trim().into()),
            _ => {}
        }
        records.push(record);
        Ok(())
    }

    fn rotate_in(
        &self,
        records: &mut Records,
        id: &KeyId,
        successor: KeyRecord,
        until: UnixTime,
    ) -> Result<(), KeyError> {
        let Some(place) = records.iter().position(|record| record.id == *id) else {
            let is_wrong = self.is(Fault::RotatesUnknownKeys);
            return if is_wrong { self.insert_into(records, successor) } else { refused(KeyErrorKind::NotFound) };
        };
        let old = &mut records[place];
        if (old.revoked_at.is_some() || old.replaced.is_some()) && !self.is(Fault::RotatesInactiveKeys) {
            return refused(KeyErrorKind::Inactive);
        }
        let replacement = Replacement::new(successor.id.clone(), until);
        if self.is(Fault::MarksThenFindsTheConflict) {
            old.replaced = Some(replacement.clone());
        }
        self.insert_into(records, successor)?;
        if !self.is(Fault::AddsWithoutMarkingTheOldKey) {
            records[place].replaced = Some(replacement);
        }
        Ok(())
    }

    fn page(&self, query: &KeyQuery) -> KeyPage {
        let mut records = self.0.records.lock().unwrap().clone();
        if !self.is(Fault::ListsInTheOrderOfInsertion) {
            records.sort_by(|one, other| one.id.cmp(&other.id));
        }
        let mut skipped = 0;
        if let Some(after) = &query.after {
            let place = records.iter().position(|record| record.id == *after).map(|place| place + 1);
            let behind = records.iter().take_while(|record| record.id <= *after).count();
            skipped = match self.0.fault {
                Fault::BeginsPagesAtTheirId => behind.saturating_sub(1),
                Fault::BeginsPagesAtTheSamePlace => self.0.places.lock().unwrap().get(after).copied().unwrap_or(behind),
                Fault::ListsInTheOrderOfInsertion => place.unwrap_or_default(),
                Fault::WantsKnownIdsForPages => place.unwrap_or(records.len()),
                _ => behind,
            };
        }
        let is_owner = |owner: &String, record: &KeyRecord| match self.0.fault {
            Fault::ListsOwnersInAnyCase => owner.eq_ignore_ascii_case(&record.owner),
            _ => *owner == record.owner,
        };
        let matches = |record: &KeyRecord| {
            query.owner.as_ref().is_none_or(|owner| is_owner(owner, record))
                && query.tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
        };
        let rest = records.into_iter().skip(skipped).map(Arc::new);
        let size = usize::from(query.page_size()) + 1;
        let page = match self.0.fault {
            Fault::FiltersPagesAfterCuttingThem => {
                let mut page = KeyPage::cut(rest.take(size).collect(), query);
                page.keys.retain(|record| matches(record));
                page
            }
            Fault::HasALimitOfItsOwn => {
                let mut query = query.clone();
                query.limit = query.limit.or_else(|| 50.try_into().ok());
                let size = usize::from(query.page_size()) + 1;
                KeyPage::cut(rest.filter(|record| matches(record)).take(size).collect(), &query)
            }
            Fault::HasNoLimit if query.limit.is_some_and(|limit| limit.get() > 1_000) => {
                let mut page = KeyPage::default();
                page.keys = rest.filter(|record| matches(record)).collect();
                page
            }
            Fault::NamesANextPageAlways => {
                let mut page = KeyPage::cut(rest.filter(|record| matches(record)).take(size).collect(), query);
                page.next = page.keys.last().map(|record| record.id.clone());
                page
            }
            _ => KeyPage::cut(rest.filter(|record| matches(record)).take(size).collect(), query),
        };
        let is_filtered = query.owner.is_some() || query.tenant.is_some();
        if let Some(next) = page.next.as_ref().filter(|_| !is_filtered) {
            self.0.places.lock().unwrap().insert(next.clone(), skipped + page.keys.len());
        }
        page
    }

    fn first(&self, matches: impl Fn(&KeyRecord) -> bool) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let records = self.0.records.lock().unwrap();
        Eventual::Now(Ok(records.iter().find(|record| matches(record)).cloned().map(Arc::new)))
    }
}

impl KeyStore for Store {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let hex = |digest: &KeyDigest| digest.to_string().rsplit(':').next().map(ToOwned::to_owned);
        match self.0.fault {
            Fault::FindsBySubstring => self.first(|record| hex(&record.digest) == hex(digest)),
            _ => self.first(|record| record.digest == *digest),
        }
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        match self.0.fault {
            Fault::GetsInAnyCase => self.first(|record| record.id.as_str().eq_ignore_ascii_case(id.as_str())),
            _ => self.first(|record| record.id == *id),
        }
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.change(KeyChange::Added, Fault::ChecksThenInserts, |store, records| store.insert_into(records, record))
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let key = id.clone();
        self.change(KeyChange::Changed(id.clone()), Fault::ReadsThenWritesBack, move |store, records| {
            let Some(record) = records.iter_mut().find(|record| record.id == key) else {
                return if store.is(Fault::RevokesUnknownKeys) { Ok(()) } else { refused(KeyErrorKind::NotFound) };
            };
            match store.0.fault {
                Fault::ForgetsUsesWithRevocation => record.last_used_at = None,
                Fault::KeepsTheLastRevocation => record.revoked_at = None,
                _ => {}
            }
            record.revoked_at.get_or_insert(at);
            Ok(())
        })
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        let (key, reported) = match self.0.fault {
            Fault::ReportsTheSuccessor => (id.clone(), successor.id.clone()),
            _ => (id.clone(), id.clone()),
        };
        self.change(KeyChange::Changed(reported), Fault::ChecksThenRotates, move |store, records| {
            store.rotate_in(records, &key, successor, until)
        })
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        Eventual::Now(Ok(self.page(query)))
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        let mut records = self.0.records.lock().unwrap();
        for used in uses {
            let known = records.iter_mut().find(|record| record.id == used.id);
            match known {
                Some(record) if self.is(Fault::ForgetsRevocationWithUse) => {
                    record.revoked_at = None;
                    record.last_used_at = record.last_used_at.max(Some(used.at));
                }
                Some(record) if self.is(Fault::KeepsTheLastUse) => record.last_used_at = Some(used.at),
                Some(record) => record.last_used_at = record.last_used_at.max(Some(used.at)),
                None if self.is(Fault::AddsUnknownUses) => {
                    let digest = KeyDigest::sha256(used.id.as_str());
                    records.push(KeyRecord::new(used.id.clone(), digest, "owner", used.at));
                }
                None => {}
            }
        }
        Eventual::Now(Ok(()))
    }

    fn watch(&self, watcher: KeyWatcher) {
        *self.0.last_watcher.lock().unwrap() = Some(watcher.clone());
        self.0.watchers.add(watcher);
    }
}

#[tokio::test]
async fn naive_store_without_a_fault_passes() {
    key_store(async || Store::new(Fault::None)).await;
    key_store_changes(async || Store::new(Fault::None)).await;
}

#[tokio::test]
async fn store_without_reports_passes_the_other_rules() {
    key_store(async || Store::new(Fault::ReportsNothing)).await;
}

#[tokio::test]
async fn each_wrong_store_violates_its_rule() {
    let faults = [
        (Fault::IsNotFresh, "an empty store holds no keys"),
        (Fault::ForgetsOrderOfNetworks, "a record round-trips byte for byte"),
        (Fault::TrimsTexts, "a record round-trips byte for byte"),
        (Fault::FindsBySubstring, "a key is found by its exact digest"),
        (Fault::GetsInAnyCase, "ids are compared byte for byte"),
        (Fault::OverwritesTheId, "a second record with an id is a conflict"),
        (Fault::OverwritesTheDigest, "a second record with a digest is a conflict"),
        (Fault::KeepsTheLastRevocation, "keeps its first time of revocation"),
        (Fault::ForgetsUsesWithRevocation, "a revocation changes nothing else of the key"),
        (Fault::RevokesUnknownKeys, "a revocation of an unknown key is not found"),
        (Fault::AddsWithoutMarkingTheOldKey, "a rotation marks the key as replaced"),
        (Fault::RotatesUnknownKeys, "a rotation of an unknown key is not found"),
        (Fault::RotatesInactiveKeys, "a rotation of a revoked key is refused as inactive"),
        (Fault::MarksThenFindsTheConflict, "a rotation is made as a whole or not at all"),
        (Fault::ListsInTheOrderOfInsertion, "records are listed in the order of their ids"),
        (Fault::BeginsPagesAtTheirId, "pages hold each key once"),
        (Fault::NamesANextPageAlways, "the last page names no next one"),
        (Fault::WantsKnownIdsForPages, "a page begins behind the given id"),
        (Fault::HasALimitOfItsOwn, "a page holds 100 records by default, and 1000 at most"),
        (Fault::HasNoLimit, "a page holds 100 records by default, and 1000 at most"),
        (Fault::ListsOwnersInAnyCase, "owner and tenant are compared byte for byte"),
        (Fault::FiltersPagesAfterCuttingThem, "a page is full as long as records match"),
        (Fault::BeginsPagesAtTheSamePlace, "no key is listed twice while others are added"),
        (Fault::KeepsTheLastUse, "the latest use of a key is kept"),
        (Fault::ForgetsRevocationWithUse, "a use changes nothing else of the key"),
        (Fault::AddsUnknownUses, "a use of an unknown key adds nothing"),
        (Fault::ChecksThenRotates, "of 100 concurrent rotations of a key, exactly one succeeds"),
        (Fault::ChecksThenInserts, "of 100 concurrent insertions with one id, exactly one succeeds"),
        (Fault::ReadsThenWritesBack, "concurrent changes of a key are all kept"),
    ];
    for (fault, rule) in faults {
        assert_violated(fault, key_store(async || Store::new(fault)), rule).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_wrong_report_violates_its_rule() {
    let faults = [
        (Fault::ReportsNothing, "a watcher hears that keys were added"),
        (Fault::ReportsAdditionsOnly, "a watcher hears that a key was revoked"),
        (Fault::ReportsTheSuccessor, "a watcher hears that a key was replaced"),
        (Fault::ReportsToTheLastWatcher, "every watcher hears of every change"),
        (Fault::ReportsBeforeTheChange, "a change can be read as soon as it is reported"),
    ];
    for (fault, rule) in faults {
        assert_violated(fault, key_store_changes(async || Store::new(fault)), rule).await;
    }
}
