//! Rules of deletions.

use super::{answered, assert_refused, at, find, get, id, insert, list, record};
use crate::api_key::{KeyErrorKind, KeyQuery, KeyRecord, KeyStore, Replacement};

pub(super) async fn inactive_key_is_deleted(store: &dyn KeyStore) {
    let rule = "a key that was inactive at the given time is deleted";
    let other = record("other");
    insert(store, [other.clone()]).await;
    let replaced = || Some(Replacement::new(id("other"), at(50)));
    let keys = [
        KeyRecord { revoked_at: Some(at(50)), ..record("revoked") },
        KeyRecord { expires_at: Some(at(50)), ..record("expired") },
        KeyRecord { replaced: replaced(), ..record("replaced") },
        KeyRecord { revoked_at: Some(at(90)), expires_at: Some(at(50)), ..record("expired-then-revoked") },
        KeyRecord { revoked_at: Some(at(50)), expires_at: Some(at(900)), ..record("revoked-before-its-expiry") },
        KeyRecord { expires_at: Some(at(900)), replaced: replaced(), ..record("replaced-before-its-expiry") },
    ];
    for key in keys {
        insert(store, [key.clone()]).await;
        let early = store.purge(&key.id, at(49)).wait().await;
        assert_refused(&early, KeyErrorKind::Active, "a key that is not inactive at the given time is not deleted");
        assert_eq!(get(store, &key.id).await.as_ref(), Some(&key), "{rule}, and not before");
        let purged = store.purge(&key.id, at(50)).wait().await;
        assert!(purged.is_ok(), "{rule}: {}: {purged:?}", key.id);
        assert_eq!(get(store, &key.id).await, None, "{rule}: {}", key.id);
        assert_eq!(find(store, &key.digest).await, None, "{rule}: {}", key.id);
        let again = store.purge(&key.id, at(50)).wait().await;
        assert_refused(&again, KeyErrorKind::NotFound, "a key that was deleted is not found");
        // Its id and digest are free.
        insert(store, [key.clone()]).await;
        answered(store.purge(&key.id, at(50)).wait().await);
    }
    assert_eq!(list(store, &KeyQuery::default()).await, [id("other")], "{rule}, and no other");
    assert_eq!(get(store, &other.id).await, Some(other), "{rule}, and no other");
}

pub(super) async fn active_or_unknown_key_is_not_deleted(store: &dyn KeyStore) {
    let key = record("key");
    insert(store, [key.clone()]).await;
    let rule = "a key that is neither revoked nor expired is not deleted";
    assert_refused(&store.purge(&key.id, at(u64::MAX / 2)).wait().await, KeyErrorKind::Active, rule);
    assert_refused(&store.purge(&id("KEY"), at(90)).wait().await, KeyErrorKind::NotFound, rule);
    assert_eq!(get(store, &key.id).await, Some(key), "{rule}");
}
