//! The parts that are specific to SQLite: a file that other processes open too, and may have filled with anything.

use std::{error::Error, num::NonZeroU16, path::Path};

use sqlx::{SqlitePool, query, query_scalar};
use tempfile::TempDir;
use tower_warden::{
    api_key::{ApiKeys, KeyChange, KeyErrorKind, KeyFormat, KeyQuery, KeyStore, KeyUse, NewKey},
    layer::AuthLayer,
};
use tower_warden_sql::SqlKeyStore;

use crate::support::{app, at, bearer, full, id, kind, record, send, watch};

#[tokio::test]
async fn reopened_file_has_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).await.insert(full("key_1")).wait().await.unwrap();
    let reopened = open(&directory).await;
    assert_eq!(reopened.get(&id("key_1")).wait().await.unwrap().as_deref(), Some(&full("key_1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_file_wait_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [open(&directory).await, open(&directory).await];
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let store = stores[writer % 2].clone();
        writers.spawn(async move {
            for turn in 0..3 {
                let (old, new) = (format!("{writer}-{turn}-old"), format!("{writer}-{turn}-new"));
                store.insert(record(&old)).wait().await.unwrap();
                store.rotate(&id(&old), record(&new), at(9)).wait().await.unwrap();
                store.touch(&[KeyUse::new(id(&new), at(5))]).wait().await.unwrap();
                store.revoke(&id(&new), at(9)).wait().await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let page = stores[0].list(&KeyQuery::default().limit(NonZeroU16::MAX)).wait().await.unwrap();
    assert_eq!(page.keys.len(), 36);
    assert!(page.keys.iter().all(|key| key.revoked_at.is_some() != key.replaced.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_concurrent_rotations_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [open(&directory).await, open(&directory).await];
    stores[0].insert(record("key")).wait().await.unwrap();
    let rotate = |index: usize| stores[index].rotate(&id("key"), record(["new_0", "new_1"][index]), at(9)).wait();
    let (first, second) = tokio::join!(rotate(0), rotate(1));
    assert!(first.is_ok() != second.is_ok());
    assert_eq!(first.and(second).unwrap_err().kind(), KeyErrorKind::Inactive);
    assert_eq!(stores[0].list(&KeyQuery::default()).wait().await.unwrap().keys.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_file_is_migrated_once_by_concurrent_stores() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let stores = tokio::join!(open(&directory), open(&directory), open(&directory));
        stores.0.insert(record("key_1")).wait().await.unwrap();
        assert!(stores.2.get(&id("key_1")).wait().await.unwrap().is_some());
        let versions = query_scalar::<_, i64>("SELECT count(*) FROM tower_warden_schema");
        assert_eq!(versions.fetch_one(&raw(&directory).await).await.unwrap(), 3);
    }
}

#[tokio::test]
async fn key_with_malformed_scopes_is_503_and_never_admitted() {
    // Input 21 of the table of hostile inputs.
    let directory = tempfile::tempdir().unwrap();
    let keys = ApiKeys::new(open(&directory).await, KeyFormat::new("sk_agent").unwrap());
    let (record, key) = keys.mint(NewKey::new("alice")).await.unwrap();
    let (_, valid) = keys.mint(NewKey::new("bob")).await.unwrap();
    let corrupt = query("UPDATE tower_warden_api_keys SET scopes = 'billing:read \"*\"' WHERE id = $1");
    corrupt.bind(record.id.as_str()).execute(&raw(&directory).await).await.unwrap();
    let app = app(&AuthLayer::new(keys));
    send(app.clone(), bearer(key.expose())).await.assert_unavailable("key_store_unavailable");
    send(app, bearer(valid.expose())).await.assert_subject("bob");
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory).await);
    query("INSERT INTO tower_warden_schema VALUES (1000)").execute(&raw(&directory).await).await.unwrap();
    let error = SqlKeyStore::connect(&url(directory.path())).await.unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Configuration);
    assert!(chain(&error).contains("newer version"), "{}", chain(&error));
}

#[tokio::test]
async fn malformed_column_never_removes_a_restriction() {
    let malformed = [
        ("scopes", "'billing:read evil\"scope'"),
        ("scopes", "x'ff00'"),
        ("networks", "'10.0.0.0/8,evil'"),
        ("metadata", "'evil'"),
        ("metadata", "'[]'"),
        ("digest", "'evil'"),
        ("created_at", "'evil'"),
        ("expires_at", "-1"),
        ("revoked_at", "'evil'"),
        ("replaced_by", "'evil key'"),
        ("replaced_until", "NULL"),
        ("confirmation", "''"),
        ("confirmation", "'{}'"),
        ("confirmation", "'null'"),
        ("confirmation", "'{\"jkt\": \"evil\"}'"),
        ("confirmation", "'{\"evil\": 7}'"),
    ];
    for (column, value) in malformed {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        store.insert(full("key_1")).wait().await.unwrap();
        let update = format!("UPDATE tower_warden_api_keys SET {column} = {value}");
        query(&update).execute(&raw(&directory).await).await.unwrap();
        let shown = chain(&store.get(&id("key_1")).wait().await.unwrap_err());
        assert!(shown.contains(column) && shown.contains("key_1") && !shown.contains("evil"), "{shown}");
        assert!(store.list(&KeyQuery::default()).wait().await.is_err());
        if column != "digest" {
            assert!(store.find(&full("key_1").digest).wait().await.is_err());
        }
    }
}

#[tokio::test]
async fn keys_are_revoked_with_those_whose_rows_are_malformed() {
    for (column, value) in [("scopes", "'billing:read evil\"scope'"), ("created_at", "'evil'"), ("networks", "'evil'")]
    {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        let keys = ApiKeys::builder(store, KeyFormat::new("sk_agent").unwrap()).tenant("acme").build();
        let mint = async |owner: &str| keys.mint(NewKey::new(owner).tenant("acme")).await.unwrap();
        let ((bad, bad_key), (_, key), (_, other)) = (mint("alice").await, mint("alice").await, mint("bob").await);
        let damage = format!("UPDATE tower_warden_api_keys SET {column} = {value} WHERE id = $1");
        query(&damage).bind(bad.id.as_str()).execute(&raw(&directory).await).await.unwrap();
        assert_eq!(keys.revoke_all(&KeyQuery::default().owner("alice")).await.unwrap(), 2, "{column}");
        assert_eq!(keys.revoke_all(&KeyQuery::default().owner("alice")).await.unwrap(), 0, "{column}");
        let repair = format!(
            "UPDATE tower_warden_api_keys SET {column} = (SELECT {column} FROM tower_warden_api_keys WHERE owner = 'bob')"
        );
        query(&repair).execute(&raw(&directory).await).await.unwrap();
        let app = app(&AuthLayer::new(keys));
        for revoked in [bad_key, key] {
            assert_eq!(send(app.clone(), bearer(revoked.expose())).await.reason, Some("key_revoked"), "{column}");
        }
        send(app, bearer(other.expose())).await.assert_subject("bob");
    }
}

#[tokio::test]
async fn malformed_id_is_not_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.insert(record("key_1")).wait().await.unwrap();
    query("UPDATE tower_warden_api_keys SET id = 'evil id'").execute(&raw(&directory).await).await.unwrap();
    let shown = chain(&store.find(&record("key_1").digest).wait().await.unwrap_err());
    assert!(shown.contains("`id`") && !shown.contains("evil"), "{shown}");
}

#[tokio::test]
async fn file_is_in_wal_mode() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(&directory).await;
    let mode = query_scalar::<_, String>("PRAGMA journal_mode").fetch_one(&raw(&directory).await).await;
    assert_eq!(mode.unwrap(), "wal");
}

#[tokio::test]
async fn pool_and_database_of_the_application_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let pool = SqlitePool::connect(&format!("{}?mode=rwc", url(directory.path()))).await.unwrap();
    query("CREATE TABLE _sqlx_migrations (version BIGINT)").execute(&pool).await.unwrap();
    let store = SqlKeyStore::sqlite(pool).await.unwrap();
    store.insert(record("key_1")).wait().await.unwrap();
    assert!(open(&directory).await.get(&id("key_1")).wait().await.unwrap().is_some());
}

#[tokio::test]
async fn change_completes_after_its_future_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.insert(record("key_1")).wait().await.unwrap();
    let mut changes = watch(&store);
    let mut revoking = Box::pin(store.revoke(&id("key_1"), at(9)).wait());
    assert!(futures_util::poll!(&mut revoking).is_pending());
    drop(revoking);
    assert_eq!(changes.recv().await, Some(KeyChange::Changed(id("key_1"))));
    assert!(store.get(&id("key_1")).wait().await.unwrap().unwrap().revoked_at.is_some());
}

#[tokio::test]
async fn text_with_nul_is_refused() {
    let store = SqlKeyStore::connect("sqlite::memory:").await.unwrap();
    let mut key = record("key_1");
    key.name = "night\0ly".into();
    assert_eq!(kind(store.insert(key).wait().await), KeyErrorKind::Invalid);
}

#[tokio::test]
async fn urls_of_other_databases_are_refused() {
    for url in ["mysql://root@localhost/keys", "keys.db", "", "sqlite://keys.db?mode=often"] {
        let error = SqlKeyStore::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Configuration, "{url}");
    }
    let nowhere = SqlKeyStore::connect("sqlite:///there/is/no/such/folder/keys.db").await.unwrap_err();
    assert_eq!(nowhere.kind(), KeyErrorKind::Unavailable);
}

#[tokio::test]
async fn debug_output_does_not_contain_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let shown = format!("{:?}", open(&directory).await);
    assert_eq!(shown, "SqlKeyStore { database: \"sqlite\", .. }");
}

/// An error and its causes, as `Display` and as `Debug`.
fn chain(error: &dyn Error) -> String {
    let causes = error.source().map(chain).unwrap_or_default();
    format!("{error}: {error:?}: {causes}")
}

pub async fn open(directory: &TempDir) -> SqlKeyStore {
    SqlKeyStore::connect(&url(directory.path())).await.unwrap()
}

/// The file without a store.
async fn raw(directory: &TempDir) -> SqlitePool {
    SqlitePool::connect(&url(directory.path())).await.unwrap()
}

fn url(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("keys.db").display())
}
