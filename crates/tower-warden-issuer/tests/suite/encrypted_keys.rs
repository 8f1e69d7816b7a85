//! The encryption of stored signing keys: wrong keys, and what somebody has altered who can write to the store.

use tower_warden::jwt::Algorithm;
use tower_warden_issuer::{
    EncryptedKeys, EncryptionKey, EncryptionKeys, MemoryClientStore, SigningKey, SigningKeys, SigningKeysError,
    TokenIssuer,
};

use crate::{
    key_rotation::{kids, signer},
    stored_keys::{Nodes, Store, encryption_key, load, load_with, one_key},
    support::{ISSUER, Setup},
};

#[tokio::test]
async fn a_wrong_encryption_key_is_an_error_at_start_that_says_so() {
    let store = Store::default();
    load(&store).await.unwrap();
    for (wrong, expected) in [
        (encryption_key("one", 2), "cannot be decrypted with the encryption key of this id"),
        (encryption_key("two", 1), "encrypted with a key that is not configured"),
    ] {
        let error = load_with(&store, ISSUER, EncryptionKeys::new(wrong)).await.unwrap_err();
        let shown = error.to_string();
        assert!(matches!(error, SigningKeysError::Configuration(_)));
        assert!(shown.contains(expected) && shown.contains("one"), "{shown}");
    }
    load(&store).await.unwrap();
}

#[tokio::test]
async fn an_encryption_key_is_replaced() {
    let store = Store::default();
    let first = signer(&Setup::with_keys(load(&store).await.unwrap(), |builder| builder)).await;
    let both = EncryptionKeys::new(encryption_key("two", 2)).or_read(encryption_key("one", 1)).unwrap();
    // First it is only read, which changes nothing.
    let reading = one_key().or_read(encryption_key("two", 2)).unwrap();
    load_with(&store, ISSUER, reading).await.unwrap();
    assert_eq!(store.get(ISSUER).version, 1);
    load_with(&store, ISSUER, both).await.unwrap();
    assert_eq!(store.get(ISSUER).version, 2);
    let new = load_with(&store, ISSUER, EncryptionKeys::new(encryption_key("two", 2))).await.unwrap();
    assert_eq!(signer(&Setup::with_keys(new, |builder| builder)).await, first);
    assert!(load(&store).await.is_err(), "the old key reads nothing any more");
}

#[tokio::test]
async fn keys_that_were_altered_are_refused() {
    let store = Store::default();
    load(&store).await.unwrap();
    let stored = store.get(ISSUER);
    let refused = async |keys: EncryptedKeys| {
        store.set(ISSUER, keys);
        matches!(load(&store).await, Err(SigningKeysError::Configuration(_)))
    };
    for position in 0..stored.document.len() {
        let mut document = stored.document.to_string().into_bytes();
        document[position] = if document[position] == b'A' { b'B' } else { b'A' };
        let document = String::from_utf8(document).unwrap();
        assert!(refused(EncryptedKeys::new(stored.version, document)).await, "{position}");
    }
    for document in ["", "v1", "v1.one", "v1.one.", "v1.one.AAAA", "v2.one.AAAA", "v1.ev il.AAAA"] {
        assert!(refused(EncryptedKeys::new(stored.version, document)).await, "{document}");
    }
    for version in [0, 2, u64::MAX] {
        assert!(refused(EncryptedKeys::new(version, stored.document.clone())).await, "{version}");
    }
    assert!(!refused(stored).await);
}

#[tokio::test]
async fn keys_of_two_issuers_cannot_be_swapped() {
    const OTHER: &str = "https://other.example.com";
    let store = Store::default();
    load(&store).await.unwrap();
    load_with(&store, OTHER, one_key()).await.unwrap();
    let (own, other) = (store.get(ISSUER), store.get(OTHER));
    store.set(ISSUER, other);
    store.set(OTHER, own);
    assert!(matches!(load(&store).await, Err(SigningKeysError::Configuration(_))));
    assert!(matches!(load_with(&store, OTHER, one_key()).await, Err(SigningKeysError::Configuration(_))));
}

#[tokio::test]
async fn keys_that_were_withdrawn_do_not_return_with_an_older_version() {
    let nodes = Nodes::start().await;
    let disclosed = signer(&nodes.here).await;
    let old = nodes.store.get(ISSUER);
    let next = SigningKey::generate(Algorithm::ES256).unwrap();
    nodes.here.issuer.rotate_keys(next.clone()).await.unwrap();
    nodes.here.issuer.withdraw_key(&disclosed).await.unwrap();
    // The old document under the version of the new one does not load at all, the old row not on a node that runs.
    let new = nodes.store.get(ISSUER);
    nodes.store.set(ISSUER, EncryptedKeys::new(new.version, old.document.clone()));
    assert!(load(&nodes.store).await.is_err());
    nodes.store.set(ISSUER, old);
    nodes.advance(30);
    assert_eq!(kids(&nodes.here).await, [next.kid()]);
    assert!(nodes.here.issuer.rotate_keys(SigningKey::generate(Algorithm::ES256).unwrap()).await.is_err());
    nodes.store.set(ISSUER, new);
    nodes.advance(5);
    assert_eq!(kids(&nodes.here).await, [next.kid()]);
}

#[tokio::test]
async fn keys_that_are_altered_while_a_node_runs_change_nothing() {
    let nodes = Nodes::start().await;
    let first = signer(&nodes.here).await;
    let stored = nodes.store.get(ISSUER);
    nodes.store.set(ISSUER, EncryptedKeys::new(stored.version + 1, stored.document.clone()));
    nodes.advance(30);
    assert_eq!((signer(&nodes.here).await, kids(&nodes.here).await), (first.clone(), vec![first.clone()]));
    nodes.store.stored.lock().unwrap().clear();
    nodes.advance(30);
    assert_eq!(signer(&nodes.here).await, first);
}

#[tokio::test]
async fn keys_of_another_issuer_are_refused_at_start() {
    let keys = load_with(&Store::default(), "https://other.example.com", one_key()).await.unwrap();
    let error = TokenIssuer::builder(ISSUER, MemoryClientStore::default(), keys).unwrap().build().unwrap_err();
    assert!(error.to_string().contains("another issuer"), "{error}");
}

#[tokio::test]
async fn neither_debug_nor_the_store_shows_a_key() {
    let store = Store::default();
    let keys = load(&store).await.unwrap();
    let encryption = one_key();
    let shown = format!(
        "{keys:?} {encryption:?} {:?} {:?}",
        store.get(ISSUER),
        SigningKeys::stored(ISSUER, store.clone(), encryption.clone())
    );
    assert!(!shown.contains(&store.get(ISSUER).document[10..]) && !shown.contains("AQEBAQ"), "{shown}");
    let document = store.get(ISSUER).document.to_string();
    let kid = kids(&Setup::with_keys(keys, |builder| builder)).await.remove(0);
    assert!(document.starts_with("v1.one.") && !document.contains(&kid), "{document}");
    // The same keys are another text each time: the nonce is random.
    let other = Store::default();
    load(&other).await.unwrap();
    assert_ne!(other.get(ISSUER).document, store.get(ISSUER).document);
}

#[test]
fn malformed_encryption_keys_are_refused_and_not_shown() {
    let valid = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert!(EncryptionKey::parse("one", &format!("{valid}\r\n")).is_ok());
    for text in ["", "AAEC", &valid[1..], &format!("{valid}{valid}"), &format!(" {valid}"), &valid.replace('=', "")] {
        let error = EncryptionKey::parse("one", text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(text.is_empty() || !shown.contains(text.trim()), "{shown}");
    }
    for id in ["", "a b", "a.b", "ä", &"x".repeat(65)] {
        assert!(EncryptionKey::parse(id, valid).is_err(), "{id}");
    }
    let file = std::env::temp_dir().join(format!("tower-warden-encryption-key-{}", std::process::id()));
    std::fs::write(&file, format!("{valid}\n")).unwrap();
    let read = EncryptionKey::from_file("one", &file);
    std::fs::remove_file(&file).unwrap();
    assert!(read.is_ok());
}
