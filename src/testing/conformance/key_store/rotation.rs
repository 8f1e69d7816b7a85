//! Rules of rotations.

use super::{assert_refused, at, find, get, id, insert, list, record, records::full};
use crate::api_key::{KeyErrorKind, KeyQuery, KeyRecord, KeyStore, Replacement};

pub(super) async fn rotation_adds_the_successor_and_marks_the_key(store: &dyn KeyStore) {
    let (key, other) = (KeyRecord { revoked_at: None, replaced: None, ..full("key") }, record("other"));
    let successor = KeyRecord { revoked_at: None, replaced: None, ..full("successor") };
    insert(store, [key.clone(), other.clone()]).await;
    let rotated = store.rotate(&key.id, successor.clone(), at(50)).wait().await;
    assert!(rotated.is_ok(), "a key that is neither revoked nor replaced can be rotated: {rotated:?}");

    let marked = KeyRecord { replaced: Some(Replacement::new(successor.id.clone(), at(50))), ..key };
    let rule =
        "a rotation marks the key as replaced by its successor until the given time, and changes nothing else of it";
    assert_eq!(get(store, &marked.id).await.as_ref(), Some(&marked), "{rule}");
    assert_eq!(find(store, &marked.digest).await.as_ref(), Some(&marked), "{rule}");
    let rule = "a rotation adds the successor byte for byte";
    assert_eq!(get(store, &successor.id).await.as_ref(), Some(&successor), "{rule}");
    assert_eq!(find(store, &successor.digest).await.as_ref(), Some(&successor), "{rule}");
    assert_eq!(get(store, &other.id).await, Some(other), "a rotation changes no other key");

    let again = store.rotate(&successor.id, record("next"), at(60)).wait().await;
    assert!(again.is_ok(), "a successor can be rotated itself: {again:?}");
}

pub(super) async fn rotation_of_an_unknown_key_is_not_found(store: &dyn KeyStore) {
    let rule = "a rotation of an unknown key is not found, and adds nothing";
    insert(store, [record("key")]).await;
    let rotated = store.rotate(&id("KEY"), record("successor"), at(50)).wait().await;
    assert_refused(&rotated, KeyErrorKind::NotFound, rule);
    assert_eq!(list(store, &KeyQuery::default()).await, [id("key")], "{rule}");
    assert_eq!(find(store, &record("successor").digest).await, None, "{rule}");
    assert_eq!(get(store, &id("key")).await, Some(record("key")), "{rule}");
}

pub(super) async fn rotation_of_an_inactive_key_is_refused(store: &dyn KeyStore) {
    let revoked = KeyRecord { revoked_at: Some(at(20)), ..record("revoked") };
    // Also while both keys may be used.
    let replaced = KeyRecord { replaced: Some(Replacement::new(id("by"), at(253_402_300_799))), ..record("replaced") };
    for (key, rule) in [
        (revoked, "a rotation of a revoked key is refused as inactive, and changes nothing"),
        (replaced, "a rotation of a replaced key is refused as inactive, and changes nothing"),
    ] {
        insert(store, [key.clone()]).await;
        let rotated = store.rotate(&key.id, record("successor"), at(50)).wait().await;
        assert_refused(&rotated, KeyErrorKind::Inactive, rule);
        assert_eq!(get(store, &key.id).await, Some(key), "{rule}");
        assert_eq!(get(store, &id("successor")).await, None, "{rule}");
        assert_eq!(find(store, &record("successor").digest).await, None, "{rule}");
    }
}

pub(super) async fn rotation_with_a_conflict_changes_nothing(store: &dyn KeyStore) {
    let rule = "a rotation is made as a whole or not at all: a conflict changes neither key";
    let (key, other) = (record("key"), full("other"));
    insert(store, [key.clone(), other.clone()]).await;
    let successors = [
        KeyRecord { digest: record("successor").digest, ..other.clone() },
        KeyRecord { digest: other.digest.clone(), ..record("successor") },
        KeyRecord { digest: record("successor").digest, ..key.clone() },
        KeyRecord { digest: key.digest.clone(), ..record("successor") },
        key.clone(),
    ];
    for successor in successors {
        let rotated = store.rotate(&key.id, successor, at(50)).wait().await;
        assert_refused(&rotated, KeyErrorKind::Conflict, rule);
        assert_eq!(get(store, &key.id).await.as_ref(), Some(&key), "{rule}");
        assert_eq!(find(store, &key.digest).await.as_ref(), Some(&key), "{rule}");
        assert_eq!(get(store, &other.id).await.as_ref(), Some(&other), "{rule}");
        assert_eq!(get(store, &id("successor")).await, None, "{rule}");
        assert_eq!(find(store, &record("successor").digest).await, None, "{rule}");
    }
    let rotated = store.rotate(&key.id, record("successor"), at(50)).wait().await;
    assert!(rotated.is_ok(), "a key can be rotated after a conflict: {rotated:?}");
}
