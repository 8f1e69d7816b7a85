//! The conformance suites of `tower-warden`, and what they do not cover: texts with NUL, imports, failed changes that must
//! not be reported.

#[cfg(feature = "sqlite")]
use std::sync::atomic::{AtomicU32, Ordering};
use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tower_warden::api_key::{
    KeyChange, KeyDigest, KeyErrorKind, KeyQuery, KeyRecord, KeyStore, MemoryKeyStore, Replacement, export, import,
};
#[cfg(feature = "sqlite")]
use tower_warden::testing::conformance::{
    key_store, key_store_changes, key_store_management, key_store_management_changes,
};
#[cfg(feature = "sqlite")]
use tower_warden_sql::SqlKeyStore;

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
    key_that_was_revoked_is_not_rotated,
    record_is_read_as_it_was_written,
    successor_is_read_as_it_was_written_and_replaces_once,
    keys_are_listed_by_owner_and_tenant,
    exported_keys_are_imported_once,
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

async fn key_that_was_revoked_is_not_rotated(store: &dyn KeyStore) {
    store.insert(record("key_1")).wait().await.unwrap();
    store.revoke(&id("key_1"), at(20)).wait().await.unwrap();
    let rotated = store.rotate(&id("key_1"), record("key_2"), at(40)).wait().await;
    assert_eq!(kind(rotated), KeyErrorKind::Inactive);
    assert_eq!(store.get(&id("key_2")).wait().await.unwrap(), None);
}

async fn successor_is_read_as_it_was_written_and_replaces_once(store: &dyn KeyStore) {
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
#[tokio::test(flavor = "multi_thread")]
async fn file_of_sqlite_follows_the_suites() {
    let (directory, number) = (tempfile::tempdir().unwrap(), AtomicU32::new(0));
    let make = async || {
        let name = format!("{}.db", number.fetch_add(1, Ordering::Relaxed));
        SqlKeyStore::connect(&format!("sqlite://{}", directory.path().join(name).display())).await.unwrap()
    };
    key_store(make).await;
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_memory_follows_the_suites() {
    let make = async || SqlKeyStore::connect("sqlite::memory:").await.unwrap();
    key_store(make).await;
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn connecting_works_in_a_spawned_task() {
    let connecting = tokio::spawn(async { SqlKeyStore::connect("sqlite::memory:").await });
    assert!(connecting.await.unwrap().is_ok());
}
