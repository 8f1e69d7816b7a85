//! Rules of lists.

use std::collections::BTreeSet;

use super::{answered, assert_refused, at, id, insert, list, pages_of, record};
use crate::api_key::{KeyDigest, KeyErrorKind, KeyId, KeyQuery, KeyRecord, KeyStore};

/// Neither in the order of a dictionary nor in their own.
const IDS: [&str; 13] = ["b", "_", "a", "B", "A-1", "A.1", "A", "10", "9", "-", "a_", "aB", "ab"];

pub(super) async fn records_are_listed_in_the_order_of_their_ids(store: &dyn KeyStore) {
    insert(store, IDS.map(record)).await;
    let page = answered(store.list(&KeyQuery::default()).wait().await);
    let listed: Vec<_> = page.keys.iter().map(|record| record.id.clone()).collect();
    assert_eq!(listed, sorted(&IDS), "records are listed in the order of their ids, byte by byte");
    assert_eq!(page.next, None, "the last page names no next one");
}

pub(super) async fn pages_hold_each_key_once(store: &dyn KeyStore) {
    insert(store, IDS.map(record)).await;
    for size in [1, 2, 5, 12, 13, 14] {
        let (mut query, mut left) = (pages_of(size), sorted(&IDS));
        while !left.is_empty() {
            let expected: Vec<_> = left.drain(..left.len().min(size.into())).collect();
            let page = answered(store.list(&query).wait().await);
            let listed: Vec<_> = page.keys.iter().map(|record| record.id.clone()).collect();
            assert_eq!(listed, expected, "pages hold each key once, and as many as the limit: of {size} each");
            let next = expected.last().filter(|_| !left.is_empty());
            assert_eq!(page.next.as_ref(), next, "a page names its last id if another page follows: of {size} each");
            query.after = page.next;
        }
    }
}

pub(super) async fn page_begins_behind_any_id(store: &dyn KeyStore) {
    insert(store, IDS.map(record)).await;
    // Also behind ids that are not in the store, and behind the last one.
    for after in ["-", "--", "0", "A", "A-", "A-2", "Z", "a", "aa", "b", "c"] {
        let listed = list(store, &KeyQuery::default().after(id(after))).await;
        let expected: Vec<_> = sorted(&IDS).into_iter().filter(|known| *known > id(after)).collect();
        assert_eq!(listed, expected, "a page begins behind the given id, which may be unknown: {after}");
    }
}

pub(super) async fn page_holds_a_hundred_records_by_default_and_a_thousand_at_most(store: &dyn KeyStore) {
    let names: Vec<_> = (0..1_001).map(|number| format!("key-{number:04}")).collect();
    insert(store, names.iter().map(|name| record(name))).await;
    for (query, size) in [
        (KeyQuery::default(), 100),
        (pages_of(999), 999),
        (pages_of(1_000), 1_000),
        (pages_of(1_001), 1_000),
        (pages_of(u16::MAX), 1_000),
    ] {
        let page = answered(store.list(&query).wait().await);
        let rule = "a page holds 100 records by default, and 1000 at most";
        assert_eq!(page.keys.len(), size, "{rule}: with the limit {:?}", query.limit);
        assert_eq!(page.next, Some(id(&names[size - 1])), "{rule}: with the limit {:?}", query.limit);
        let all = list(store, &query).await;
        assert!(all.iter().map(KeyId::as_str).eq(&names), "pages hold each key once: with the limit {:?}", query.limit);
    }
}

pub(super) async fn owner_and_tenant_are_compared_byte_for_byte(store: &dyn KeyStore) {
    let keys = [
        ("1", "ada", Some("acme")),
        ("2", "ada", None),
        ("3", "Ada", Some("acme")),
        ("4", "ada", Some("acme")),
        ("5", "ada", Some("")),
        ("6", "ada ", Some("acm\u{e9}")),
        ("7", "bob", Some("acme\u{301}")),
    ];
    insert(store, keys.map(|(name, owner, tenant)| of(name, owner, tenant))).await;
    let query = KeyQuery::default;
    for (query, expected) in [
        (query(), vec!["1", "2", "3", "4", "5", "6", "7"]),
        (query().owner("ada"), vec!["1", "2", "4", "5"]),
        (query().owner("Ada"), vec!["3"]),
        (query().owner("ADA"), vec![]),
        (query().owner("ada "), vec!["6"]),
        (query().owner("ad_"), vec![]),
        (query().owner("%"), vec![]),
        (query().owner(""), vec![]),
        (query().owner("' OR '1' = '1"), vec![]),
        (query().tenant("acme"), vec!["1", "3", "4"]),
        (query().tenant("acm\u{e9}"), vec!["6"]),
        (query().tenant(""), vec!["5"]),
        (query().tenant("null"), vec![]),
        (query().owner("ada").tenant("acme"), vec!["1", "4"]),
        (query().owner("acme").tenant("ada"), vec![]),
        (query().owner("ada").tenant("acme").after(id("1")), vec!["4"]),
        (query().owner("ada").after(id("5")), vec![]),
    ] {
        let listed = list(store, &query).await;
        let listed: Vec<_> = listed.iter().map(KeyId::as_str).collect();
        assert_eq!(listed, expected, "owner and tenant are compared byte for byte, and both must match: {query:?}");
    }
}

pub(super) async fn filtered_pages_are_full(store: &dyn KeyStore) {
    let names: Vec<_> = (0..30).map(|number| format!("{number:02}")).collect();
    let owners = ["ada", "bob", "eve"].into_iter().cycle();
    insert(store, names.iter().zip(owners).map(|(name, owner)| of(name, owner, None))).await;
    let expected: Vec<_> = names.iter().skip(1).step_by(3).map(|name| id(name)).collect();
    for size in [1, 3, 5, 10] {
        let query = pages_of(size).owner("bob");
        let page = answered(store.list(&query).wait().await);
        assert_eq!(page.keys.len(), usize::from(size), "a page is full as long as records match: {query:?}");
        assert_eq!(list(store, &query).await, expected, "filtered pages hold each matching key once: {query:?}");
    }
}

pub(super) async fn pages_are_complete_while_other_keys_change(store: &dyn KeyStore) {
    let names: Vec<_> = (0..40).map(|number| format!("key-{number:02}")).collect();
    insert(store, names.iter().map(|name| record(name))).await;
    let (mut query, mut listed, mut number) = (pages_of(7), Vec::new(), 0);
    loop {
        let page = answered(store.list(&query).wait().await);
        listed.extend(page.keys.iter().map(|record| record.id.clone()));
        let Some(next) = page.next else { break };
        // Before and behind the page, and a change of the key that the next page begins behind.
        number += 1;
        insert(store, [record(&format!("a-{number}")), record(&format!("key-{number:02}-{number}"))]).await;
        insert(store, [record(&format!("key-39-{number}"))]).await;
        answered(store.revoke(&next, at(20)).wait().await);
        let rotated = store.rotate(&next, record("successor"), at(20)).wait().await;
        assert_refused(&rotated, KeyErrorKind::Inactive, "a rotation of a revoked key is refused as inactive");
        query = query.after(next);
    }
    let unique: BTreeSet<_> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "no key is listed twice while others are added: {listed:?}");
    assert!(listed.is_sorted(), "pages stay in the order of ids while keys are added: {listed:?}");
    let lost: Vec<_> = names.iter().filter(|name| !unique.contains(&id(name))).collect();
    assert!(lost.is_empty(), "no key is left out while others are added and changed: {lost:?}");
}

fn of(name: &str, owner: &str, tenant: Option<&str>) -> KeyRecord {
    KeyRecord { tenant: tenant.map(Into::into), ..KeyRecord::new(id(name), KeyDigest::sha256(name), owner, at(1_000)) }
}

fn sorted(names: &[&str]) -> Vec<KeyId> {
    names.iter().map(|name| id(name)).collect::<BTreeSet<_>>().into_iter().collect()
}
