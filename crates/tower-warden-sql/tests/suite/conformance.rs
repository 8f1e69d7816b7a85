//! The behaviour that all key stores share.

use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

use serde_json::{Value, json};
use tower_warden::api_key::{
    KeyChange, KeyDigest, KeyErrorKind, KeyQuery, KeyRecord, KeyStore, KeyUse, MemoryKeyStore, Replacement, export,
    import,
};

use crate::support::{at, full, id, kind, record, watch};

/// Lists the behaviours by name; each one is tested on a new store.
macro_rules! behaviours {
    ($($name:ident,)*) => {
        /// Tests each behaviour on a store that `fresh` creates.
        #[cfg(feature = "postgres")]
        pub async fn assert_conforms<K: KeyStore, F: Future<Output = K>>(fresh: impl Fn() -> F) {
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

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    let directory = tempfile::tempdir().unwrap();
                    super::$name(&crate::sqlite::open(&directory).await).await;
                }
            )*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite_in_memory {
            use tower_warden_sql::SqlKeyStore;

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
    change_is_reported_unless_it_was_certainly_not_made,
    later_revocation_keeps_the_time_of_the_first_one,
    record_is_read_as_it_was_written,
    failed_rotation_changes_nothing,
    second_key_with_the_same_id_or_digest_is_refused,
    key_is_replaced_by_one_successor_only,
    keys_are_listed_by_owner_and_tenant,
    pages_follow_the_order_of_ids,
    latest_use_is_kept,
    exported_keys_are_imported_once,
    unknown_key_is_not_found,
}

async fn unknown_key_is_not_found(store: &dyn KeyStore) {
    store.insert(record("key_1")).wait().await.unwrap();
    assert_eq!(store.get(&id("key_2")).wait().await.unwrap(), None);
    assert_eq!(store.find(&KeyDigest::sha256("key_2")).wait().await.unwrap(), None);
    assert_eq!(kind(store.revoke(&id("key_2"), at(1)).wait().await), KeyErrorKind::NotFound);
    assert_eq!(kind(store.rotate(&id("key_2"), record("key_3"), at(1)).wait().await), KeyErrorKind::NotFound);
    assert_eq!(store.get(&id("key_3")).wait().await.unwrap(), None);
}

async fn record_is_read_as_it_was_written(store: &dyn KeyStore) {
    let plain = record("key_1");
    for record in [&plain, &full("key_2")] {
        store.insert(record.clone()).wait().await.unwrap();
        assert_eq!(store.get(&record.id).wait().await.unwrap().as_deref(), Some(record));
        assert_eq!(store.find(&record.digest).wait().await.unwrap().as_deref(), Some(record));
    }
    let listed = store.list(&KeyQuery::default()).wait().await.unwrap();
    assert_eq!(listed.keys, [Arc::new(plain), Arc::new(full("key_2"))]);
}

async fn second_key_with_the_same_id_or_digest_is_refused(store: &dyn KeyStore) {
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

async fn later_revocation_keeps_the_time_of_the_first_one(store: &dyn KeyStore) {
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

async fn key_is_replaced_by_one_successor_only(store: &dyn KeyStore) {
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

async fn failed_rotation_changes_nothing(store: &dyn KeyStore) {
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
    // Neither the order of insertion nor that of a locale.
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
    let queries = [
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
    for (query, expected) in queries {
        let page = store.list(&query).wait().await.unwrap();
        let listed: Vec<_> = page.keys.iter().map(|key| key.id.as_str()).collect();
        assert_eq!((listed, page.next), (expected, None), "{query:?}");
    }
}

async fn latest_use_is_kept(store: &dyn KeyStore) {
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

async fn change_is_reported_unless_it_was_certainly_not_made(store: &dyn KeyStore) {
    let mut changes = watch(store);
    store.insert(record("key_1")).wait().await.unwrap();
    assert_eq!(changes.try_recv().ok(), Some(KeyChange::Added));
    store.rotate(&id("key_1"), record("key_2"), at(9)).wait().await.unwrap();
    store.revoke(&id("key_9"), at(9)).wait().await.unwrap_err();
    store.rotate(&id("key_8"), record("key_7"), at(9)).wait().await.unwrap_err();
    store.revoke(&id("key_2"), at(9)).wait().await.unwrap();
    // Postgres may report a change twice, so that only the ids are compared.
    let reported = std::iter::from_fn(|| changes.try_recv().ok());
    let ids = reported.filter_map(|change| if let KeyChange::Changed(id) = change { Some(id) } else { None });
    assert_eq!(ids.collect::<BTreeSet<_>>(), BTreeSet::from([id("key_1"), id("key_2")]));
}

async fn exported_keys_are_imported_once(store: &dyn KeyStore) {
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

/// A new field of records needs a column: this fails until `full` sets it, and then the round trip fails.
#[test]
fn full_record_sets_every_field() {
    let Value::Object(fields) = serde_json::to_value(full("key_1")).unwrap() else { panic!("an object") };
    for (name, value) in fields {
        assert!([json!(null), json!([]), json!({})].iter().all(|unset| value != *unset), "{name}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn connecting_works_in_a_spawned_task() {
    let connecting = tokio::spawn(async { tower_warden_sql::SqlKeyStore::connect("sqlite::memory:").await });
    assert!(connecting.await.unwrap().is_ok());
}
