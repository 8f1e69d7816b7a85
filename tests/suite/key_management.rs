//! Changes of keys: updates, deletions, revocations of many keys, the first key, and the order of ids.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tower_warden::{
    Environment, UnixTime,
    api_key::{ApiKeys, KeyErrorKind, KeyFormat, KeyId, KeyQuery, KeyStore, KeyUpdate, MemoryKeyStore, NewKey},
    layer::AuthLayer,
    request::Peer,
};

use crate::support::{App, Mode, START, Stack, app, assert_kind, bearer, imported, seconds, send};

/// A node on a store that it shares with others, whose cache lasts for an hour.
fn node(store: &Arc<MemoryKeyStore>) -> (ApiKeys, App) {
    let keys = ApiKeys::builder(Arc::clone(store), KeyFormat::new("sk_agent").unwrap());
    let keys = keys.positive_ttl(seconds(3_600)).negative_ttl(seconds(3_600)).build();
    (keys.clone(), app(&AuthLayer::new(keys)))
}

fn admin() -> NewKey {
    NewKey::new("operator").scopes("keys:admin")
}

#[tokio::test]
async fn an_update_applies_to_the_next_request_on_all_nodes() {
    let store = Arc::default();
    let ((one, own), (_, other)) = (node(&store), node(&store));
    let (record, key) = one.mint(NewKey::new("alice").tier("free")).await.unwrap();
    let peer = Peer::new(([192, 0, 2, 1], 4711).into());
    let assert_status = async |status: u16| {
        for app in [&own, &other] {
            let answer = send(app.clone(), bearer(key.expose()).extension(peer)).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
    };
    let elsewhere = || ["198.51.100.0/24".parse().unwrap()];
    assert_status(200).await;
    let steps = [
        (KeyUpdate::default().networks(elsewhere()), 401),
        (KeyUpdate::default().networks([]), 200),
        (KeyUpdate::default().expires_at(UnixTime::from_secs(1)), 401),
        (KeyUpdate::default().without_expiry(), 200),
    ];
    for (update, status) in steps {
        one.update(&record.id, update).await.unwrap();
        assert_status(status).await;
    }
    let update = KeyUpdate::default().name("nightly").tier("pro").scopes(["b", "a"]);
    let updated = one.update(&record.id, update).await.unwrap();
    assert_eq!(
        (&*updated.name, updated.tier.as_deref(), &*updated.scopes.to_string()),
        ("nightly", Some("pro"), "a b")
    );
    assert_eq!((&updated.owner, &updated.digest, &updated.id), (&record.owner, &record.digest, &record.id));
}

#[tokio::test]
async fn an_update_during_a_look_up_applies_to_it() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    let request = tokio::spawn({
        let (stack, key) = (stack.clone(), key.expose().to_owned());
        async move { stack.bearer(&key).await }
    });
    stack.store.arrived().await;
    stack.keys.update(&record.id, KeyUpdate::default().expires_at(START)).await.unwrap();
    stack.store.set(Mode::Answer);
    stack.store.release();
    request.await.unwrap().assert_invalid("expired");
}

#[tokio::test]
async fn an_update_that_fails_empties_the_cache_of_the_key() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    let finds = stack.store.finds();
    stack.store.set(Mode::Fail);
    assert_kind(stack.keys.update(&record.id, KeyUpdate::default().name("n")).await, KeyErrorKind::Unavailable);
    assert_kind(stack.keys.purge(&record.id).await, KeyErrorKind::Unavailable);
    assert_kind(stack.keys.revoke(&record.id).await, KeyErrorKind::Unavailable);
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.finds(), finds + 1);
}

#[tokio::test]
async fn an_update_that_is_invalid_changes_nothing() {
    let stack = Stack::new();
    let (record, _) = stack.alice().await;
    let updates = [
        KeyUpdate::default().name("n".repeat(257)),
        KeyUpdate::default().tier("t".repeat(257)),
        KeyUpdate::default().scopes("a\"b"),
        KeyUpdate::default().scopes(["a b"]).name("valid"),
        KeyUpdate::default().scopes((0..129).map(|number| format!("s{number}")).collect::<Vec<_>>()),
        KeyUpdate::default().metadata([("a".into(), "b".repeat(4_097))].into()),
        KeyUpdate::default().networks(vec!["10.0.0.0/8".parse().unwrap(); 65]),
    ];
    for update in updates {
        assert_kind(stack.keys.update(&record.id, update).await, KeyErrorKind::Invalid);
    }
    assert_eq!(stack.keys.get(&record.id).await.unwrap().as_deref(), Some(&record));
    let unknown = KeyId::parse("unknown").unwrap();
    assert_kind(stack.keys.update(&unknown, KeyUpdate::default()).await, KeyErrorKind::NotFound);
    stack.keys.revoke(&record.id).await.unwrap();
    assert_kind(stack.keys.update(&record.id, KeyUpdate::default()).await, KeyErrorKind::Inactive);
}

#[tokio::test]
async fn keys_of_another_tenant_are_neither_updated_nor_purged() {
    let stack = Stack::with(|keys| keys.tenant("acme"), |layer| layer);
    stack.store.insert(imported("other", "other")).wait().await.unwrap();
    let id = KeyId::parse("other").unwrap();
    assert_kind(stack.keys.update(&id, KeyUpdate::default()).await, KeyErrorKind::NotFound);
    stack.store.revoke(&id, START).wait().await.unwrap();
    assert_kind(stack.keys.purge(&id).await, KeyErrorKind::NotFound);
    assert_eq!(stack.keys.purge_inactive(&KeyQuery::default(), START).await.unwrap(), 0);
    assert!(stack.store.get(&id).wait().await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_is_purged_once_it_is_revoked_or_expired() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    assert_kind(stack.keys.purge(&record.id).await, KeyErrorKind::Active);
    stack.bearer(key.expose()).await.assert_subject("alice");
    // By a node whose clock is ahead.
    stack.store.revoke(&record.id, START + seconds(60)).wait().await.unwrap();
    stack.keys.purge(&record.id).await.unwrap();
    stack.bearer(key.expose()).await.assert_invalid("key_unknown");
    assert_kind(stack.keys.purge(&record.id).await, KeyErrorKind::NotFound);

    let (record, key) = stack.mint(NewKey::new("bob").expires_in(seconds(10))).await;
    stack.bearer(key.expose()).await.assert_subject("bob");
    assert_kind(stack.keys.purge(&record.id).await, KeyErrorKind::Active);
    stack.clock.advance(seconds(10));
    stack.keys.purge(&record.id).await.unwrap();
    stack.bearer(key.expose()).await.assert_invalid("key_unknown");
}

#[tokio::test]
async fn old_keys_are_purged_by_the_time_at_which_they_became_inactive() {
    let stack = Stack::new();
    let (active, _) = stack.mint(NewKey::new("active")).await;
    let (revoked, _) = stack.mint(NewKey::new("revoked")).await;
    let (expired, _) = stack.mint(NewKey::new("expired").expires_in(seconds(100))).await;
    let (replaced, _) = stack.mint(NewKey::new("replaced")).await;
    let (successor, _) = stack.keys.rotate(&replaced.id, seconds(200)).await.unwrap();
    stack.keys.revoke(&revoked.id).await.unwrap();
    stack.clock.advance(seconds(1_000));
    let ids = async || {
        let page = stack.keys.list(&KeyQuery::default()).await.unwrap();
        page.keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>()
    };
    let all = KeyQuery::default();
    for (after, purged) in [(0, 1), (99, 0), (100, 1), (199, 0), (10_000, 1)] {
        assert_eq!(stack.keys.purge_inactive(&all, START + seconds(after)).await.unwrap(), purged, "{after}");
    }
    assert_eq!(ids().await, [active.id, successor.id]);
    assert!(!ids().await.contains(&expired.id));
}

#[tokio::test]
async fn all_keys_of_an_owner_or_a_tenant_are_revoked() {
    let stack = Stack::new();
    let mut secrets = Vec::new();
    for number in 0..40 {
        let (owner, tenant) = (["alice", "bob"][number % 2], ["acme", "globex"][number / 2 % 2]);
        secrets.push((owner, tenant, stack.mint(NewKey::new(owner).tenant(tenant)).await.1));
    }
    let assert_active = async |is_active: fn(&str, &str) -> bool| {
        for (owner, tenant, secret) in &secrets {
            let answer = stack.bearer(secret.expose()).await;
            let expected = if is_active(owner, tenant) { 200 } else { 401 };
            assert_eq!(answer.status, expected, "{owner} of {tenant}: {answer:?}");
        }
    };
    assert_active(|_, _| true).await;
    let query = KeyQuery::default().owner("alice").tenant("acme").limit(3.try_into().unwrap());
    assert_eq!(stack.keys.revoke_all(&query).await.unwrap(), 10);
    assert_active(|owner, tenant| owner != "alice" || tenant != "acme").await;
    assert_eq!(stack.keys.revoke_all(&KeyQuery::default().tenant("acme")).await.unwrap(), 10);
    assert_active(|_, tenant| tenant != "acme").await;
    assert_eq!(stack.keys.revoke_all(&KeyQuery::default().owner("alice")).await.unwrap(), 10);
    assert_active(|owner, tenant| owner == "bob" && tenant == "globex").await;
    assert_eq!(stack.keys.revoke_all(&KeyQuery::default().owner("alice")).await.unwrap(), 0);
    assert_kind(stack.keys.revoke_all(&KeyQuery::default()).await, KeyErrorKind::Invalid);
    stack.store.set(Mode::Fail);
    let refused = stack.keys.revoke_all(&KeyQuery::default().owner("bob")).await;
    assert_kind(refused, KeyErrorKind::Unavailable);
}

#[tokio::test]
async fn the_first_key_is_minted_once() {
    let stack = Stack::new();
    let (record, secret) = stack.keys.bootstrap(admin()).await.unwrap().unwrap();
    assert_eq!((&*record.owner, &*record.scopes.to_string()), ("operator", "keys:admin"));
    stack.bearer(secret.expose()).await.assert_subject("operator");
    assert!(stack.keys.bootstrap(admin()).await.unwrap().is_none());
    // Also after it was replaced, revoked and deleted, as long as there is any key.
    stack.keys.rotate(&record.id, seconds(0)).await.unwrap();
    stack.keys.revoke(&record.id).await.unwrap();
    stack.keys.purge(&record.id).await.unwrap();
    assert!(stack.keys.bootstrap(admin()).await.unwrap().is_none());
    // A store whose last record was deleted is like a new one.
    let query = KeyQuery::default().owner("operator");
    stack.keys.revoke_all(&query).await.unwrap();
    assert_eq!(stack.keys.purge_inactive(&query, START).await.unwrap(), 1);
    assert!(stack.keys.bootstrap(admin()).await.unwrap().is_some());
}

#[tokio::test]
async fn the_first_key_of_each_tenant_is_minted_once() {
    let store = Arc::new(MemoryKeyStore::default());
    for tenant in ["acme", "globex"] {
        let keys = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap()).tenant(tenant).build();
        assert!(keys.bootstrap(admin().tenant(tenant)).await.unwrap().is_some());
        assert!(keys.bootstrap(admin().tenant(tenant)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_store_that_is_unavailable_mints_no_first_key() {
    let stack = Stack::new();
    stack.store.set(Mode::Fail);
    assert_kind(stack.keys.bootstrap(admin()).await, KeyErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_nodes_that_start_at_the_same_time_one_mints_the_first_key() {
    for _ in 0..50 {
        let (store, minted) = (Arc::<MemoryKeyStore>::default(), Arc::new(AtomicU64::new(0)));
        let barrier = Arc::new(tokio::sync::Barrier::new(8));
        let nodes: Vec<_> = (0..8)
            .map(|_| {
                let ((keys, _), minted, barrier) = (node(&store), Arc::clone(&minted), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    if keys.bootstrap(admin()).await.unwrap().is_some() {
                        minted.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for node in nodes {
            node.await.unwrap();
        }
        assert_eq!(minted.load(Ordering::Relaxed), 1);
        assert_eq!(store.list(&KeyQuery::default()).wait().await.unwrap().keys.len(), 1);
    }
}

#[tokio::test]
async fn ids_are_in_the_order_of_creation_within_a_second_and_when_clocks_differ() {
    let store = Arc::<MemoryKeyStore>::default();
    let clocks = [0, 5, 2].map(|ahead| tower_warden::ManualClock::at(START + seconds(ahead)));
    let nodes = clocks.clone().map(|clock| {
        let keys = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap());
        keys.environment(&Environment::default().with_clock(clock)).build()
    });
    let mut minted = Vec::new();
    for turn in 0..60 {
        let node = &nodes[turn * 7 % 3];
        let (record, _) = node.mint(NewKey::new("alice")).await.unwrap();
        if turn % 4 == 0 {
            let (successor, _) = nodes[turn % 3].rotate(&record.id, seconds(0)).await.unwrap();
            minted.extend([record.id, successor.id]);
        } else {
            minted.push(record.id);
        }
        if turn == 30 {
            clocks[0].set(START - seconds(3_600));
        }
    }
    // A client that continues behind the last id that it has seen.
    let (mut seen, mut query) = (Vec::new(), KeyQuery::default().limit(7.try_into().unwrap()));
    loop {
        let page = store.list(&query).wait().await.unwrap();
        seen.extend(page.keys.iter().map(|key| key.id.clone()));
        let Some(last) = page.keys.last() else { break };
        query = query.after(last.id.clone());
    }
    assert_eq!(seen, minted);
}

/// A store that was written for an earlier version of the trait.
#[tokio::test]
async fn ids_of_one_node_are_in_the_order_of_creation_on_any_store() {
    let stack = Stack::new();
    let mut minted = Vec::new();
    for turn in 0..50 {
        minted.push(stack.mint(NewKey::new("alice")).await.0.id);
        if turn == 20 {
            stack.clock.set(START - seconds(60));
        }
    }
    assert!(minted.is_sorted(), "{minted:?}");
    assert!(minted.iter().all(|id| id.position().is_some()));
}
