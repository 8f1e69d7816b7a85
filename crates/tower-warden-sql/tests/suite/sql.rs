//! What every key store does alike.

use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

use tower_warden::{
    Digest, UnixTime,
    api_key::{
        KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeyStore, KeyUse, KeyWatcher,
        MemoryKeyStore, Replacement, SqlKeyStore, export, import,
    },
    caller::Confirmation,
    scope::Scopes,
};

/// Lists what every store does: each by name, on a store of its own.
macro_rules! behaviours {
    ($($name:ident,)*) => {
        /// Puts a store to every test, each time a fresh one.
        pub(crate) async fn behaves<K: KeyStore, F: Future<Output = K>>(fresh: impl Fn() -> F) {
            $($name(&fresh().await).await;)*
        }

        mod memory {
            use super::*;

            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&MemoryKeyStore::default()).await;
                }
            )*
        }

        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    let directory = tempfile::tempdir().unwrap();
                    super::$name(&crate::sqlite::open(&directory).await).await;
                }
            )*
        }

        mod sqlite_in_memory {
            use super::*;

            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&SqlKeyStore::connect("sqlite::memory:").await.unwrap()).await;
                }
            )*
        }
    };
}

behaviours! {
    a_change_is_told_unless_it_was_not_made,
    a_key_is_revoked_once,
    a_record_comes_back_as_it_went,
    a_rotation_leaves_nothing_half_done,
    a_second_key_with_the_id_or_the_digest_is_refused,
    a_successor_replaces_its_key_once,
    keys_are_listed_by_owner_and_tenant,
    pages_follow_the_order_of_ids,
    the_latest_use_stays,
    what_was_exported_is_imported_once,
    what_was_not_inserted_is_not_found,
}

async fn what_was_not_inserted_is_not_found(store: &dyn KeyStore) {
    store.insert(record("key_1")).wait().await.unwrap();
    assert_eq!(store.get(&id("key_2")).wait().await.unwrap(), None);
    assert_eq!(store.find(&KeyDigest::sha256("key_2")).wait().await.unwrap(), None);
    assert_eq!(kind(store.revoke(&id("key_2"), at(1)).wait().await), KeyErrorKind::NotFound);
    assert_eq!(kind(store.rotate(&id("key_2"), record("key_3"), at(1)).wait().await), KeyErrorKind::NotFound);
    assert_eq!(store.get(&id("key_3")).wait().await.unwrap(), None);
}

async fn a_record_comes_back_as_it_went(store: &dyn KeyStore) {
    let plain = record("key_1");
    for record in [&plain, &full("key_2")] {
        store.insert(record.clone()).wait().await.unwrap();
        assert_eq!(store.get(&record.id).wait().await.unwrap().as_deref(), Some(record));
        assert_eq!(store.find(&record.digest).wait().await.unwrap().as_deref(), Some(record));
    }
    let listed = store.list(&KeyQuery::default()).wait().await.unwrap();
    assert_eq!(listed.keys, [Arc::new(plain), Arc::new(full("key_2"))]);
}

async fn a_second_key_with_the_id_or_the_digest_is_refused(store: &dyn KeyStore) {
    let first = record("key_1");
    store.insert(first.clone()).wait().await.unwrap();
    let same_id = KeyRecord::new(id("key_1"), KeyDigest::sha256("another"), "mallory", at(1));
    let same_digest = KeyRecord::new(id("key_2"), first.digest.clone(), "mallory", at(1));
    for second in [same_id, same_digest] {
        assert_eq!(kind(store.insert(second).wait().await), KeyErrorKind::Conflict);
    }
    assert_eq!(store.find(&first.digest).wait().await.unwrap().as_deref(), Some(&first));
    assert_eq!(store.get(&id("key_2")).wait().await.unwrap(), None);
}

async fn a_key_is_revoked_once(store: &dyn KeyStore) {
    let key = record("key_1");
    store.insert(key.clone()).wait().await.unwrap();
    for time in [20, 10, 30] {
        store.revoke(&key.id, at(time)).wait().await.unwrap();
        assert_eq!(store.find(&key.digest).wait().await.unwrap().unwrap().revoked_at, Some(at(20)));
    }
    let rotated = store.rotate(&key.id, record("key_2"), at(40)).wait().await;
    assert_eq!(kind(rotated), KeyErrorKind::Inactive);
    assert_eq!(store.get(&id("key_2")).wait().await.unwrap(), None);
}

async fn a_successor_replaces_its_key_once(store: &dyn KeyStore) {
    let (old, new) = (record("key_1"), full("key_2"));
    store.insert(old.clone()).wait().await.unwrap();
    store.rotate(&old.id, new.clone(), at(50)).wait().await.unwrap();
    let replaced = KeyRecord::clone(&*store.get(&old.id).wait().await.unwrap().unwrap()).replaced;
    assert_eq!(replaced, Some(Replacement::new(id("key_2"), at(50))));
    assert_eq!(store.find(&new.digest).wait().await.unwrap().as_deref(), Some(&new));
    let again = store.rotate(&old.id, record("key_3"), at(60)).wait().await;
    assert_eq!(kind(again), KeyErrorKind::Inactive);
    assert_eq!(store.get(&id("key_3")).wait().await.unwrap(), None);
}

async fn a_rotation_leaves_nothing_half_done(store: &dyn KeyStore) {
    let (old, other) = (record("key_1"), record("key_2"));
    store.insert(old.clone()).wait().await.unwrap();
    store.insert(other.clone()).wait().await.unwrap();
    let same_digest = KeyRecord::new(id("key_3"), other.digest.clone(), "agent-7", at(1));
    for successor in [other.clone(), old.clone(), same_digest] {
        assert_eq!(kind(store.rotate(&old.id, successor, at(50)).wait().await), KeyErrorKind::Conflict);
        assert_eq!(store.get(&old.id).wait().await.unwrap().as_deref(), Some(&old));
    }
    assert_eq!(store.get(&id("key_3")).wait().await.unwrap(), None);
    store.rotate(&old.id, record("key_3"), at(50)).wait().await.unwrap();
}

async fn pages_follow_the_order_of_ids(store: &dyn KeyStore) {
    // Neither the order of insertion nor that of a dictionary.
    let ids = ["b", "_", "a", "B", "A-1", "A.1", "A", "10", "9", "-"];
    for id in ids {
        store.insert(record(id)).wait().await.unwrap();
    }
    let sorted: BTreeSet<_> = ids.into_iter().map(id).collect();
    for size in [1, 3, 5, 10, 11] {
        let (mut query, mut listed) = (KeyQuery::default().limit(NonZeroU16::new(size).unwrap()), Vec::new());
        loop {
            let page = store.list(&query).wait().await.unwrap();
            assert!(page.keys.len() <= usize::from(size) && !page.keys.is_empty());
            listed.extend(page.keys.iter().map(|key| key.id.clone()));
            match page.next {
                Some(next) => query = query.after(next),
                None => break,
            }
        }
        assert!(listed.iter().eq(&sorted), "{listed:?}");
    }
}

async fn keys_are_listed_by_owner_and_tenant(store: &dyn KeyStore) {
    let keys = [("1", "ada", Some("acme")), ("2", "ada", None), ("3", "bob", Some("acme")), ("4", "ada", Some("acme"))];
    for (name, owner, tenant) in keys {
        let mut key = KeyRecord::new(id(name), KeyDigest::sha256(name), owner, at(1));
        key.tenant = tenant.map(Into::into);
        store.insert(key).wait().await.unwrap();
    }
    let query = KeyQuery::default;
    let asked = [
        (query(), vec!["1", "2", "3", "4"]),
        (query().owner("ada"), vec!["1", "2", "4"]),
        (query().tenant("acme"), vec!["1", "3", "4"]),
        (query().owner("ada").tenant("acme"), vec!["1", "4"]),
        (query().owner("ada").tenant("acme").after(id("1")), vec!["4"]),
        (query().owner("ada").after(id("4")), vec![]),
        (query().owner("Ada"), vec![]),
        (query().owner(""), vec![]),
        (query().owner("' OR '1' = '1"), vec![]),
        (query().tenant("ac\0me"), vec![]),
    ];
    for (query, expected) in asked {
        let page = store.list(&query).wait().await.unwrap();
        let listed: Vec<_> = page.keys.iter().map(|key| key.id.as_str()).collect();
        assert_eq!((listed, page.next), (expected, None), "{query:?}");
    }
}

async fn the_latest_use_stays(store: &dyn KeyStore) {
    let used = |name, time| KeyUse::new(id(name), at(time));
    for name in ["key_1", "key_2"] {
        store.insert(record(name)).wait().await.unwrap();
    }
    let batches = [
        vec![],
        vec![used("key_1", 20), used("key_9", 90), used("key_2", 7)],
        vec![used("key_2", 9), used("key_1", 10), used("key_2", 8)],
        vec![used("key_1", 5)],
    ];
    for batch in batches {
        store.touch(&batch).wait().await.unwrap();
    }
    for (name, time) in [("key_1", 20), ("key_2", 9)] {
        assert_eq!(store.get(&id(name)).wait().await.unwrap().unwrap().last_used_at, Some(at(time)));
    }
    assert_eq!(store.get(&id("key_9")).wait().await.unwrap(), None);
}

async fn a_change_is_told_unless_it_was_not_made(store: &dyn KeyStore) {
    let mut changes = watch(store);
    store.insert(record("key_1")).wait().await.unwrap();
    assert_eq!(changes.try_recv().ok(), Some(KeyChange::Added));
    store.rotate(&id("key_1"), record("key_2"), at(9)).wait().await.unwrap();
    store.revoke(&id("key_9"), at(9)).wait().await.unwrap_err();
    store.rotate(&id("key_8"), record("key_7"), at(9)).wait().await.unwrap_err();
    store.revoke(&id("key_2"), at(9)).wait().await.unwrap();
    // Postgres may tell twice, so that only the ids are looked at.
    let told = std::iter::from_fn(|| changes.try_recv().ok());
    let ids = told.filter_map(|change| if let KeyChange::Changed(id) = change { Some(id) } else { None });
    assert_eq!(ids.collect::<BTreeSet<_>>(), BTreeSet::from([id("key_1"), id("key_2")]));
}

async fn what_was_exported_is_imported_once(store: &dyn KeyStore) {
    let source = MemoryKeyStore::default();
    for record in [record("key_1"), full("key_2"), full("key_3")] {
        source.insert(record).wait().await.unwrap();
    }
    let mut lines = Vec::new();
    assert_eq!(export(&source, &mut lines).await.unwrap(), 3);
    for (added, skipped) in [(3, 0), (0, 3)] {
        let imported = import(store, &mut lines.as_slice()).await.unwrap();
        assert_eq!((imported.added, imported.skipped), (added, skipped));
    }
    let mut again = Vec::new();
    export(store, &mut again).await.unwrap();
    assert_eq!(String::from_utf8(again), String::from_utf8(lines));
}

/// A key with nothing but what it needs.
pub(crate) fn record(name: &str) -> KeyRecord {
    KeyRecord::new(id(name), KeyDigest::sha256(name), "agent-7", at(1_000))
}

/// A key with every field set.
pub(crate) fn full(name: &str) -> KeyRecord {
    let mut record = KeyRecord::new(id(name), KeyDigest::sha256(name), "Größe \u{1F511} 'o''\"; --", at(1_000));
    record.tenant = Some("Ā\u{308} \\ %_".into());
    record.name = "nightly\n\treconciliation".into();
    record.scopes = Scopes::parse("billing:read billing:write *").unwrap();
    record.tier = Some(String::new());
    record.confirmation = Some(Confirmation::certificate(Digest::of(name.as_bytes())));
    record.networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"].map(|text| text.parse().unwrap()).into();
    record.expires_at = Some(at(5_000));
    record.revoked_at = Some(at(4_000));
    record.last_used_at = Some(at(3_000));
    record.replaced = Some(Replacement::new(id("another"), at(2_000)));
    record.metadata =
        [("team", "Zürich"), ("", "\0"), ("json", "{\"a\": [1]}")].map(|(k, v)| (k.into(), v.into())).into();
    record
}

pub(crate) fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

pub(crate) const fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

pub(crate) fn kind<T>(result: Result<T, KeyError>) -> KeyErrorKind {
    result.err().expect("it is refused").kind()
}

/// Collects what a store tells.
pub(crate) fn watch(store: &dyn KeyStore) -> tokio::sync::mpsc::UnboundedReceiver<KeyChange> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    store.watch(KeyWatcher::new(move |change| match sender.send(change.clone()) {
        Ok(()) => std::ops::ControlFlow::Continue(()),
        Err(_) => std::ops::ControlFlow::Break(()),
    }));
    receiver
}
