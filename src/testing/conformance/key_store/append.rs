//! Rules of records that are appended.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join;

use super::{answered, assert_refused, at, at_once, find, get, id, insert, list, pages_of, record};
use crate::api_key::{KeyAddition, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeyStore, KeyUpdate, KeyUse, Replacement};

pub(super) async fn appended_records_are_in_the_order_of_their_addition(store: &dyn KeyStore) {
    let rule = "an appended record follows those that were appended before, whatever the clocks of nodes";
    let mut ids = Vec::new();
    // Of a node whose clock is right, of nodes whose clocks are behind, twice at one position, and ahead.
    for (number, position) in [500, 499, 100, 500, 500, 501, 900, 700].into_iter().enumerate() {
        let proposed = generated(position, number);
        let appended = record_of(&proposed, number);
        let id = answered(store.append(KeyAddition::new(appended.clone())).wait().await);
        let expected = KeyRecord { id: id.clone(), ..appended };
        assert_eq!(get(store, &id).await.as_ref(), Some(&expected), "an appended record is read under the returned id");
        assert_eq!(find(store, &expected.digest).await, Some(expected), "an appended record is found by its digest");
        if ids.iter().all(|known: &KeyId| known.position() < proposed.position()) {
            assert_eq!(id, proposed, "{rule}, and keeps its id if it follows them already");
        }
        ids.push(id);
    }
    assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "{rule}: {ids:?}");
    assert_eq!(list(store, &KeyQuery::default()).await, ids, "{rule}");
}

pub(super) async fn appended_record_with_a_custom_id_keeps_it(store: &dyn KeyStore) {
    for name in ["b", "a", "key_1"] {
        let appended = answered(store.append(KeyAddition::new(record(name))).wait().await);
        assert_eq!(appended, id(name), "an id that was not generated is not changed");
    }
}

pub(super) async fn appended_successor_replaces_the_key_under_the_returned_id(store: &dyn KeyStore) {
    let latest = record_of(&generated(500, 1), 1);
    answered(store.append(KeyAddition::new(latest.clone())).wait().await);
    insert(store, [record("key"), record("revoked")]).await;
    answered(store.revoke(&id("revoked"), at(20)).wait().await);
    let successor = record_of(&generated(400, 2), 2);
    let replacing = |name: &str| KeyAddition::replacing(successor.clone(), id(name), at(50));

    for (name, kind) in [("unknown", KeyErrorKind::NotFound), ("revoked", KeyErrorKind::Inactive)] {
        let refused = store.append(replacing(name)).wait().await.map(drop);
        assert_refused(&refused, kind, "a successor is appended by the rules of a rotation");
        assert_eq!(find(store, &successor.digest).await, None, "a refused rotation adds nothing");
    }
    let added = answered(store.append(replacing("key")).wait().await);
    assert!(added > latest.id, "a successor follows the records that were appended before: {added}");
    let replaced = get(store, &id("key")).await.and_then(|key| key.replaced);
    assert_eq!(replaced, Some(Replacement::new(added.clone(), at(50))), "the key is replaced by the returned id");
    let expected = KeyRecord { id: added, ..successor.clone() };
    assert_eq!(find(store, &successor.digest).await, Some(expected), "the successor is added byte for byte");
    let again = store.append(replacing("key")).wait().await.map(drop);
    assert_refused(&again, KeyErrorKind::Inactive, "a key is replaced once");
}

pub(super) async fn appended_successor_of_a_changed_key_is_a_conflict(store: &dyn KeyStore) {
    let rule = "a successor whose rights were copied before the key was updated is a conflict, and changes nothing";
    let networks = ["192.0.2.0/24".parse().expect("a network")];
    let updates = [
        KeyUpdate::default().scopes("a"),
        KeyUpdate::default().tier("free"),
        KeyUpdate::default().networks(networks),
        KeyUpdate::default().expires_at(at(77)),
        KeyUpdate::default().name("new"),
        KeyUpdate::default().metadata([("a".into(), "b".into())].into()),
    ];
    for (number, update) in updates.iter().enumerate() {
        let name = format!("key-{number}");
        insert(store, [record(&name)]).await;
        let replacing = |old: Option<KeyRecord>| {
            let successor = record_of(&generated(500, number), number);
            let addition = KeyAddition::replacing(successor, id(&name), at(50));
            addition.copied_from(Arc::new(old.expect("the key exists")))
        };
        let stale = replacing(get(store, &id(&name)).await);
        answered(store.update(&id(&name), update).wait().await);
        let updated = get(store, &id(&name)).await;
        let refused = store.append(stale).wait().await.map(drop);
        assert_refused(&refused, KeyErrorKind::Conflict, rule);
        assert_eq!(get(store, &id(&name)).await, updated, "{rule}");
        assert_eq!(find(store, &record_of(&generated(500, number), number).digest).await, None, "{rule}");

        // The last use is no right, and is written at any time.
        let current = replacing(updated);
        answered(store.touch(&[KeyUse::new(id(&name), at(40))]).wait().await);
        let appended = store.append(current).wait().await;
        assert!(appended.is_ok(), "a successor of a key that was not updated is appended: {appended:?}");
    }
}

pub(super) async fn appended_record_with_a_known_digest_is_a_conflict(store: &dyn KeyStore) {
    let rule = "an appended record with a known digest is a conflict, and changes nothing";
    insert(store, [record("key")]).await;
    let second = KeyRecord { id: generated(500, 1), ..record("key") };
    assert_refused(&store.append(KeyAddition::new(second)).wait().await.map(drop), KeyErrorKind::Conflict, rule);
    assert_eq!(list(store, &KeyQuery::default()).await, [id("key")], "{rule}");
}

/// A client that continues a list after the last id that it has seen.
pub(super) async fn no_appended_record_is_missed_by_a_client_that_continues_a_list(store: &Arc<dyn KeyStore>) {
    const WRITERS: usize = 8;
    const RECORDS: usize = 25;
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(store);
        async move {
            for number in 0..RECORDS {
                // Each writer is a node with a clock of its own.
                let (position, number) = ((number * 3 + writer * 7) as u64, writer * RECORDS + number);
                let appended = record_of(&generated(position, number), number);
                answered(store.append(KeyAddition::new(appended)).wait().await);
            }
        }
    });
    let reading = async {
        let mut seen: Vec<KeyId> = Vec::new();
        let mut idle = 0_u32;
        // Until all were seen, or too many pages in a row were empty after the last one was added.
        while seen.len() < WRITERS * RECORDS && idle < 1_000 {
            let mut query = pages_of(7);
            query.after = seen.last().cloned();
            let page = answered(store.list(&query).wait().await);
            let is_complete = list(store, &KeyQuery::default()).await.len() == WRITERS * RECORDS;
            idle = if page.keys.is_empty() && is_complete { idle + 1 } else { 0 };
            seen.extend(page.keys.iter().map(|record| record.id.clone()));
            tokio::task::yield_now().await;
        }
        seen
    };
    let (_, seen) = join(at_once(writers), reading).await;
    let all = list(store, &KeyQuery::default()).await;
    assert_eq!(all.len(), WRITERS * RECORDS, "all records are added");
    assert_eq!(seen, all, "no appended record is missed by a client that continues a list");
}

/// A generated id at this position.
fn generated(position: u64, number: usize) -> KeyId {
    id(&format!("key_{position:016x}{number:016x}"))
}

fn record_of(id: &KeyId, number: usize) -> KeyRecord {
    KeyRecord { id: id.clone(), ..record(&format!("record-{number}")) }
}
