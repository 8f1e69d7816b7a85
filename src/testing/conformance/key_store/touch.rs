//! Rules of last uses.

use super::{answered, at, get, id, insert, list, record, records::full};
use crate::api_key::{KeyQuery, KeyRecord, KeyStore, KeyUse};

pub(super) async fn latest_use_is_kept(store: &dyn KeyStore) {
    insert(store, [record("one"), record("two")]).await;
    let batches: [(&[(&str, u64)], [Option<u64>; 2]); 6] = [
        (&[], [None, None]),
        (&[("one", 20)], [Some(20), None]),
        (&[("two", 9), ("one", 10), ("two", 8)], [Some(20), Some(9)]),
        (&[("one", 5)], [Some(20), Some(9)]),
        (&[("two", 10), ("two", 12), ("two", 11)], [Some(20), Some(12)]),
        (&[("one", 21), ("two", 1)], [Some(21), Some(12)]),
    ];
    for (uses, expected) in batches {
        touch(store, uses).await;
        for (name, expected) in ["one", "two"].into_iter().zip(expected) {
            let used = get(store, &id(name)).await.and_then(|record| record.last_used_at);
            assert_eq!(used, expected.map(at), "the latest use of a key is kept: {name} after {uses:?}");
        }
    }
}

pub(super) async fn use_of_an_unknown_key_is_ignored(store: &dyn KeyStore) {
    insert(store, [record("key")]).await;
    touch(store, &[("unknown", 90), ("key", 20), ("KEY", 30)]).await;
    assert_eq!(list(store, &KeyQuery::default()).await, [id("key")], "a use of an unknown key adds nothing");
    let used = get(store, &id("key")).await.and_then(|record| record.last_used_at);
    assert_eq!(used, Some(at(20)), "a use of an unknown key does not keep the uses of others from being stored");
}

pub(super) async fn use_changes_nothing_else(store: &dyn KeyStore) {
    let (key, other) = (full("key"), full("other"));
    insert(store, [key.clone(), other.clone()]).await;
    touch(store, &[("key", 4_000)]).await;
    let expected = KeyRecord { last_used_at: Some(at(4_000)), ..key };
    assert_eq!(get(store, &expected.id).await, Some(expected), "a use changes nothing else of the key");
    assert_eq!(get(store, &other.id).await, Some(other), "a use changes no other key");
}

async fn touch(store: &dyn KeyStore, uses: &[(&str, u64)]) {
    let uses: Vec<_> = uses.iter().map(|(name, time)| KeyUse::new(id(name), at(*time))).collect();
    answered(store.touch(&uses).wait().await);
}
