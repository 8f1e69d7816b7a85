//! Rules of revocations.

use super::{answered, assert_refused, at, find, get, id, insert, list, pages_of, record, records::full};
use crate::api_key::{KeyErrorKind, KeyQuery, KeyRecord, KeyStore};

pub(super) async fn revocation_keeps_its_first_time(store: &dyn KeyStore) {
    let key = record("key");
    insert(store, [key.clone()]).await;
    for time in [20, 10, 30, 20] {
        let revoked = store.revoke(&key.id, at(time)).wait().await;
        assert!(revoked.is_ok(), "a key can be revoked again: {revoked:?}");
        for found in [get(store, &key.id).await, find(store, &key.digest).await] {
            let revoked_at = found.and_then(|record| record.revoked_at);
            assert_eq!(
                revoked_at,
                Some(at(20)),
                "a revoked key is still found, and keeps its first time of revocation"
            );
        }
    }
}

pub(super) async fn revocation_changes_nothing_else(store: &dyn KeyStore) {
    let (key, other) = (KeyRecord { revoked_at: None, ..full("key") }, record("other"));
    insert(store, [key.clone(), other.clone()]).await;
    let revoked = store.revoke(&key.id, at(20)).wait().await;
    assert!(revoked.is_ok(), "a key can be revoked, also when it is replaced: {revoked:?}");
    let expected = KeyRecord { revoked_at: Some(at(20)), ..key };
    assert_eq!(get(store, &expected.id).await, Some(expected), "a revocation changes nothing else of the key");
    assert_eq!(get(store, &other.id).await, Some(other), "a revocation changes no other key");
}

pub(super) async fn revocation_of_an_unknown_key_is_not_found(store: &dyn KeyStore) {
    let rule = "a revocation of an unknown key is not found, and adds nothing";
    insert(store, [record("key")]).await;
    assert_refused(&store.revoke(&id("KEY"), at(20)).wait().await, KeyErrorKind::NotFound, rule);
    assert_eq!(list(store, &KeyQuery::default()).await, [id("key")], "{rule}");
    assert_eq!(get(store, &id("key")).await, Some(record("key")), "{rule}");
}

pub(super) async fn unrevoked_keys_are_listed(store: &dyn KeyStore) {
    let rule = "the keys that a query selects and that are not revoked are listed, in the order of their ids";
    let of = |name: &str, owner: &str, tenant: Option<&str>| KeyRecord {
        owner: owner.into(),
        tenant: tenant.map(Into::into),
        ..record(name)
    };
    let revoked = KeyRecord { revoked_at: Some(at(20)), ..of("key-1", "a", Some("t")) };
    let keys = ["key-2", "key-3", "key-4"].map(|name| of(name, "a", Some("t")));
    insert(store, [revoked, of("key-5", "a", None), of("key-6", "b", Some("t"))].into_iter().chain(keys)).await;
    let queries = [
        (KeyQuery::default(), &["key-2", "key-3", "key-4", "key-5", "key-6"][..]),
        (KeyQuery::default().owner("a"), &["key-2", "key-3", "key-4", "key-5"]),
        (KeyQuery::default().tenant("t"), &["key-2", "key-3", "key-4", "key-6"]),
        (pages_of(2).owner("a").tenant("t"), &["key-2", "key-3", "key-4"]),
    ];
    for (mut query, expected) in queries {
        let mut listed = Vec::new();
        loop {
            let page = answered(store.list_unrevoked(&query).wait().await);
            listed.extend(page.keys);
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
        let expected: Vec<_> = expected.iter().map(|name| (id(name), record(name).created_at)).collect();
        assert!(listed == expected, "{rule}: {listed:?}");
    }
}
