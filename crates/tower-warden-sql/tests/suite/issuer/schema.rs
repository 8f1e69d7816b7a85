//! Connecting and migrations.

use tower_warden::api_key::KeyStore;
use tower_warden_sql::{IssuerStoreErrorKind, SqlIssuerStore, SqlKeyStore};

use super::{
    on_both_databases,
    support::{NOW, client, execute},
};
use crate::support::record;

on_both_databases! {
    a_new_database_is_migrated_once_by_concurrent_stores,
    a_newer_schema_is_refused,
    keys_and_issuer_share_a_database,
}

async fn a_new_database_is_migrated_once_by_concurrent_stores(url: &str) {
    let connect = || async { SqlIssuerStore::connect(url).await.unwrap() };
    let stores = tokio::join!(connect(), connect(), connect());
    stores.0.clients().insert(&client("agent")).await.unwrap();
    assert!(stores.2.clients().get("agent").await.unwrap().is_some());
    // The only row, which the migrations have recorded: another one would violate the primary key.
    execute(url, "UPDATE tower_warden_issuer_schema SET version = 1000").await;
    assert!(SqlIssuerStore::connect(url).await.is_err());
}

async fn a_newer_schema_is_refused(url: &str) {
    drop(SqlIssuerStore::connect(url).await.unwrap());
    execute(url, "INSERT INTO tower_warden_issuer_schema VALUES (1000)").await;
    let error = SqlIssuerStore::connect(url).await.unwrap_err();
    assert_eq!(error.kind(), IssuerStoreErrorKind::Configuration);
    assert!(format!("{error:?}").contains("newer version"), "{error:?}");
}

async fn keys_and_issuer_share_a_database(url: &str) {
    let keys = SqlKeyStore::connect(url).await.unwrap();
    let issuer = SqlIssuerStore::connect(url).await.unwrap();
    keys.insert(record("key_1")).wait().await.unwrap();
    issuer.clients().insert(&client("agent")).await.unwrap();
    issuer.clients().suspend("agent", NOW).await.unwrap();
    // Neither needs the tables of the other one.
    execute(url, "DROP TABLE tower_warden_api_keys").await;
    SqlIssuerStore::connect(url).await.unwrap();
}

#[tokio::test]
async fn urls_of_other_databases_are_refused() {
    for url in ["mysql://root@localhost/issuer", "issuer.db", ""] {
        let error = SqlIssuerStore::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), IssuerStoreErrorKind::Configuration, "{url}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn debug_output_does_not_contain_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("s3cret.db").display());
    let store = SqlIssuerStore::connect(&url).await.unwrap();
    let shown = format!("{store:?} {:?} {:?} {:?}", store.clients(), store.refresh_tokens(), store.signing_keys());
    assert!(!shown.contains("s3cret") && shown.contains(r#"database: "sqlite""#), "{shown}");
}
