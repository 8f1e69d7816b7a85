//! Signing keys on two nodes.

use std::time::Duration;

use tower_warden::{Environment, jwt::Algorithm};
use tower_warden_issuer::{
    EncryptedKeys, EncryptionKey, EncryptionKeys, MemoryRefreshStore, SigningKey, SigningKeyStore, SigningKeys,
    SigningKeysError, TokenIssuer,
};
use tower_warden_sql::SqlIssuerStore;

use super::{
    on_both_databases,
    support::{ISSUER, NOW, Shared, client, credentials, execute},
};

on_both_databases! {
    nodes_that_start_at_the_same_time_have_one_key,
    one_node_creates_the_next_key_and_the_other_one_loads_it_before_it_signs,
    of_concurrent_changes_of_one_version_one_is_stored,
    keys_that_were_altered_are_refused,
    keys_of_two_issuers_cannot_be_swapped,
    a_wrong_encryption_key_is_an_error_at_start_that_says_so,
}

const ENCRYPTION_KEYS: [&str; 2] =
    ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4="];

async fn load(url: &str, issuer: &str, shared: &Shared, key: usize) -> Result<SigningKeys, SigningKeysError> {
    let store = SqlIssuerStore::connect(url).await.unwrap();
    let encryption = EncryptionKeys::new(EncryptionKey::parse("one", ENCRYPTION_KEYS[key]).unwrap());
    let environment = Environment::default().with_clock(shared.clock.clone());
    SigningKeys::stored(issuer, store.signing_keys(), encryption).environment(&environment).load().await
}

/// A node that replaces its key each day.
async fn node(url: &str, shared: &Shared) -> TokenIssuer {
    let keys = load(url, ISSUER, shared, 0).await.unwrap().rotate_every(Duration::from_secs(DAY)).unwrap();
    let store = SqlIssuerStore::connect(url).await.unwrap();
    let _ = store.clients().insert(&client("agent")).await;
    Shared { keys, ..shared.clone() }.issuer(store.clients(), MemoryRefreshStore::default())
}

async fn kids(issuer: &TokenIssuer) -> Vec<String> {
    let set: serde_json::Value = serde_json::from_str(&issuer.jwk_set().await).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn signer(issuer: &TokenIssuer) -> String {
    let reply = credentials(issuer, "s3cret").await;
    reply.assert_issued();
    super::support::header_of(reply.body["access_token"].as_str().unwrap())["kid"].as_str().unwrap().to_owned()
}

async fn nodes_that_start_at_the_same_time_have_one_key(url: &str) {
    let shared = Shared::new();
    let (one, two, three) = tokio::join!(node(url, &shared), node(url, &shared), node(url, &shared));
    let published = kids(&one).await;
    assert_eq!(published.len(), 1);
    assert_eq!((kids(&two).await, kids(&three).await), (published.clone(), published));
}

async fn one_node_creates_the_next_key_and_the_other_one_loads_it_before_it_signs(url: &str) {
    let shared = Shared::new();
    let (here, there) = (node(url, &shared).await, node(url, &shared).await);
    let first = signer(&here).await;
    shared.clock.advance(Duration::from_secs(DAY - 600));
    let (published, other) = tokio::join!(kids(&here), kids(&there));
    assert_eq!((published.len(), &other), (2, &published));
    shared.clock.advance(Duration::from_secs(599));
    assert_eq!((signer(&here).await, signer(&there).await), (first.clone(), first));
    shared.clock.advance(Duration::from_secs(1));
    assert_eq!((signer(&here).await, signer(&there).await), (published[1].clone(), published[1].clone()));
    // After a restart too.
    assert_eq!(kids(&node(url, &shared).await).await, published);

    let next = SigningKey::generate(Algorithm::EdDSA).unwrap();
    here.rotate_keys(next.clone()).await.unwrap();
    here.withdraw_key(&published[1]).await.unwrap();
    shared.clock.advance(Duration::from_secs(30));
    assert!(!kids(&there).await.contains(&published[1]));
    shared.clock.advance(Duration::from_secs(570));
    assert_eq!(signer(&there).await, next.kid());
}

async fn of_concurrent_changes_of_one_version_one_is_stored(url: &str) {
    let connect = async || SqlIssuerStore::connect(url).await.unwrap().signing_keys();
    let (here, there) = (connect().await, connect().await);
    for version in 1..=10 {
        let replace = |store: &tower_warden_sql::SqlSigningKeyStore, text: &str| {
            store.replace(ISSUER, EncryptedKeys::new(version, text)).wait()
        };
        let (one, other) = tokio::join!(replace(&here, "here"), replace(&there, "there"));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one != other, "{version}: {one} {other}");
        let stored = here.load(ISSUER).wait().await.unwrap().unwrap();
        assert_eq!((stored.version, &*stored.document), (version, if one { "here" } else { "there" }));
    }
    for version in [0, 1, 10, 12, u64::MAX] {
        let replaced = here.replace(ISSUER, EncryptedKeys::new(version, "other")).wait().await;
        assert!(!matches!(replaced, Ok(true)), "{version}");
    }
    assert!(here.load("unknown").wait().await.unwrap().is_none());
}

async fn keys_that_were_altered_are_refused(url: &str) {
    let shared = Shared::new();
    let node = node(url, &shared).await;
    let first = signer(&node).await;
    for (change, back) in [
        ("version = version + 1", "version = version - 1"),
        ("document = document || 'A'", "document = substr(document, 1, length(document) - 1)"),
        ("document = 'v2' || substr(document, 3)", "document = 'v1' || substr(document, 3)"),
        ("version = -1", "version = 1"),
    ] {
        execute(url, &format!("UPDATE tower_warden_signing_keys SET {change}")).await;
        assert!(load(url, ISSUER, &shared, 0).await.is_err(), "{change}");
        // A node that runs keeps what it has.
        shared.clock.advance(Duration::from_secs(60));
        assert_eq!(signer(&node).await, first);
        execute(url, &format!("UPDATE tower_warden_signing_keys SET {back}")).await;
        load(url, ISSUER, &shared, 0).await.unwrap();
    }
}

async fn keys_of_two_issuers_cannot_be_swapped(url: &str) {
    const OTHER: &str = "https://other.example.com";
    let shared = Shared::new();
    for issuer in [ISSUER, OTHER] {
        load(url, issuer, &shared, 0).await.unwrap();
    }
    for (from, to) in [(ISSUER, "swapped"), (OTHER, ISSUER), ("swapped", OTHER)] {
        execute(url, &format!("UPDATE tower_warden_signing_keys SET issuer = '{to}' WHERE issuer = '{from}'")).await;
    }
    for issuer in [ISSUER, OTHER] {
        assert!(matches!(load(url, issuer, &shared, 0).await, Err(SigningKeysError::Configuration(_))));
    }
}

async fn a_wrong_encryption_key_is_an_error_at_start_that_says_so(url: &str) {
    let shared = Shared::new();
    load(url, ISSUER, &shared, 0).await.unwrap();
    let error = load(url, ISSUER, &shared, 1).await.unwrap_err().to_string();
    assert!(error.contains("another key") && error.contains("one"), "{error}");
    assert!(!error.contains(ENCRYPTION_KEYS[1]), "{error}");
}

#[tokio::test]
#[cfg(feature = "sqlite")]
async fn the_loaded_key_signs_while_the_store_is_down() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let store = SqlIssuerStore::sqlite(pool.clone()).await.unwrap();
    let shared = Shared::new();
    let encryption = EncryptionKeys::new(EncryptionKey::parse("one", ENCRYPTION_KEYS[0]).unwrap());
    let environment = Environment::default().with_clock(shared.clock.clone());
    let keys = SigningKeys::stored(ISSUER, store.signing_keys(), encryption).environment(&environment).load().await;
    let clients = tower_warden_issuer::MemoryClientStore::default();
    clients.insert(client("agent"));
    let issuer = Shared { keys: keys.unwrap(), ..shared.clone() }.issuer(clients, MemoryRefreshStore::default());
    let first = signer(&issuer).await;
    pool.close().await;
    shared.clock.set(NOW + Duration::from_secs(DAY - 1));
    assert_eq!(signer(&issuer).await, first);
    shared.clock.set(NOW + Duration::from_secs(DAY));
    credentials(&issuer, "s3cret").await.assert_error(503, "temporarily_unavailable");
}

const DAY: u64 = 24 * 3600;
