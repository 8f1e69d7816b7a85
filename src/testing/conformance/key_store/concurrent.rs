//! Rules of calls that are made at once.

use std::sync::Arc;

use super::{answered, assert_refused, at, at_once, find, get, id, insert, list, record};
use crate::api_key::{KeyDigest, KeyErrorKind, KeyQuery, KeyRecord, KeyStore, KeyUse};

pub(super) async fn one_of_a_hundred_concurrent_rotations_succeeds(store: &Arc<dyn KeyStore>) {
    let rule = "of 100 concurrent rotations of a key, exactly one succeeds";
    insert(store, [record("key")]).await;
    let rotations = (0..100).map(|number| {
        let (store, successor) = (Arc::clone(store), record(&format!("successor-{number}")));
        async move { (successor.id.clone(), store.rotate(&id("key"), successor, at(50)).wait().await) }
    });
    let (succeeded, refused): (Vec<_>, Vec<_>) =
        at_once(rotations).await.into_iter().partition(|(_, rotated)| rotated.is_ok());
    assert!(succeeded.len() == 1, "{rule}: {} did", succeeded.len());
    for (_, rotated) in refused {
        assert_refused(&rotated, KeyErrorKind::Inactive, rule);
    }
    let successor = &succeeded[0].0;
    assert_eq!(list(store, &KeyQuery::default()).await, [id("key"), successor.clone()], "{rule}");
    let replaced = get(store, &id("key")).await.and_then(|record| record.replaced);
    assert_eq!(replaced.map(|replaced| replaced.by).as_ref(), Some(successor), "{rule}");
}

pub(super) async fn one_of_a_hundred_concurrent_insertions_succeeds(store: &Arc<dyn KeyStore>) {
    let by_id = |number| KeyRecord { digest: KeyDigest::sha256(&format!("{number}")), ..record("key") };
    let by_digest = |number| KeyRecord { digest: KeyDigest::sha256("digest"), ..record(&format!("key-{number}")) };
    let cases: [(&str, &(dyn Fn(usize) -> KeyRecord + Sync)); 2] = [
        ("of 100 concurrent insertions with one id, exactly one succeeds", &by_id),
        ("of 100 concurrent insertions with one digest, exactly one succeeds", &by_digest),
    ];
    for (number, (rule, make)) in cases.into_iter().enumerate() {
        let insertions = (0..100).map(|number| {
            let (store, record) = (Arc::clone(store), make(number));
            async move { (record.digest.clone(), store.insert(record).wait().await) }
        });
        let (succeeded, refused): (Vec<_>, Vec<_>) =
            at_once(insertions).await.into_iter().partition(|(_, inserted)| inserted.is_ok());
        assert!(succeeded.len() == 1, "{rule}: {} did", succeeded.len());
        for (_, inserted) in refused {
            assert_refused(&inserted, KeyErrorKind::Conflict, rule);
        }
        assert!(find(store, &succeeded[0].0).await.is_some(), "{rule}: it is not found");
        assert_eq!(list(store, &KeyQuery::default()).await.len(), number + 1, "{rule}");
    }
}

/// A store that reads a record, changes it and writes it back loses what was changed meanwhile.
pub(super) async fn concurrent_changes_of_a_key_are_all_kept(store: &Arc<dyn KeyStore>) {
    let names: Vec<_> = (0..25).map(|number| format!("key-{number:02}")).collect();
    insert(store, names.iter().map(|name| record(name))).await;
    let changes = names.iter().flat_map(|name| (0..4).map(move |change| (id(name), change))).collect::<Vec<_>>();
    let changes = changes.into_iter().map(|(key, change)| {
        let store = Arc::clone(store);
        async move {
            match change {
                0 => answered(store.revoke(&key, at(20)).wait().await),
                1 => answered(store.touch(&[KeyUse::new(key.clone(), at(30))]).wait().await),
                2 => answered(store.touch(&[KeyUse::new(key.clone(), at(40))]).wait().await),
                _ => {
                    let successor = record(&format!("{key}-successor"));
                    let rotated = store.rotate(&key, successor, at(50)).wait().await;
                    return Some((key, rotated));
                }
            }
            None
        }
    });
    let rotations: Vec<_> = at_once(changes).await.into_iter().flatten().collect();
    let rule = "concurrent changes of a key are all kept";
    for (key, rotated) in rotations {
        let found = get(store, &key).await.unwrap_or_else(|| panic!("{rule}: {key} is lost"));
        assert_eq!(found.revoked_at, Some(at(20)), "{rule}: the revocation of {key}");
        assert_eq!(found.last_used_at, Some(at(40)), "{rule}: the last use of {key}");
        assert_eq!(found.replaced.is_some(), rotated.is_ok(), "{rule}: the rotation of {key}, {rotated:?}");
        let successor = get(store, &id(&format!("{key}-successor"))).await;
        assert_eq!(successor.is_some(), rotated.is_ok(), "{rule}: the successor of {key}, {rotated:?}");
        if rotated.is_err() {
            assert_refused(&rotated, KeyErrorKind::Inactive, rule);
        }
    }
}
