//! The cache against revocations, stampedes, cancelled requests and stores that are down.

use std::sync::Arc;

use futures_util::{FutureExt, future::join_all};
use tower_warden::{
    Environment, ManualClock, UnixTime,
    api_key::{
        ApiKeys, KeyChange, KeyErrorKind, KeyFormat, KeyId, KeyQuery, KeyStore, KeyWatcher, MemoryKeyStore, NewKey,
    },
    layer::AuthLayer,
};

use crate::support::{Mode, START, Stack, app, assert_kind, bearer, imported, request, seconds, send, unknown_key};

#[tokio::test]
async fn a_good_key_is_looked_up_once_in_its_lifetime() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for _ in 0..10 {
        stack.bearer(key.expose()).await.assert_subject("alice");
    }
    stack.clock.advance(seconds(29));
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.finds(), 1);
    stack.clock.advance(seconds(1));
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.finds(), 2, "nothing is served past its lifetime");
}

#[tokio::test]
async fn a_bad_key_is_looked_up_once_in_its_shorter_lifetime() {
    // (1)
    let stack = Stack::new();
    let key = unknown_key();
    for _ in 0..10 {
        stack.bearer(key.expose()).await.assert_invalid("key_unknown");
    }
    assert_eq!(stack.store.finds(), 1);
    stack.clock.advance(seconds(5));
    stack.bearer(key.expose()).await.assert_invalid("key_unknown");
    assert_eq!(stack.store.finds(), 2);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_entries_stale() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.clock.set(UnixTime::from_secs(1));
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.finds(), 2);
}

#[tokio::test]
async fn what_was_cached_before_the_clock_was_set_back_does_not_come_back_with_the_time() {
    let stack = Stack::new();
    let ((record, key), (_, other)) = (stack.alice().await, stack.mint(NewKey::new("bob")).await);
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.bearer(other.expose()).await.assert_subject("bob");
    stack.clock.set(UnixTime::from_secs(START.as_secs() - 3600));
    // One use of anything that was cached is enough for all of it.
    stack.bearer(other.expose()).await.assert_subject("bob");
    stack.store.revoke(&record.id, START).wait().await.unwrap();
    stack.clock.set(START + seconds(1));
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_though_it_is_cached() {
    // (4)
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    let (_, other) = stack.mint(NewKey::new("bob")).await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.bearer(other.expose()).await.assert_subject("bob");
    stack.keys.revoke(&record.id).await.unwrap();
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
    stack.bearer(other.expose()).await.assert_subject("bob");
    assert_eq!(stack.store.finds(), 3, "the other key stays cached");
}

#[tokio::test]
async fn a_look_up_that_was_stopped_half_way_does_not_revive_a_revoked_key() {
    // (5): the store has read the key as active; then it is revoked; then the store answers.
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    let in_flight = tokio::spawn({
        let (stack, key) = (stack.clone(), key.expose().to_owned());
        async move { stack.bearer(&key).await }
    });
    stack.store.arrived().await;
    stack.keys.revoke(&record.id).await.unwrap();
    stack.store.set(Mode::Answer);

    // One that comes while the old look-up is still in flight joins it, but does not believe it.
    let joined = tokio::spawn({
        let (stack, key) = (stack.clone(), key.expose().to_owned());
        async move { stack.bearer(&key).await }
    });
    tokio::task::yield_now().await;
    stack.store.release();
    in_flight.await.unwrap().assert_invalid("key_revoked");
    joined.await.unwrap().assert_invalid("key_revoked");
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_revocation_that_fails_lets_the_good_key_in_again() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.store.set(Mode::Fail);
    assert_kind(stack.keys.revoke(&record.id).await, KeyErrorKind::Unavailable);
    stack.bearer(key.expose()).await.assert_unavailable("key_store_unavailable");
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn more_revocations_than_are_remembered_drop_old_entries_and_no_right() {
    let stack = Stack::new();
    let (first, first_key) = stack.alice().await;
    let (_, good) = stack.mint(NewKey::new("bob")).await;
    stack.bearer(first_key.expose()).await.assert_subject("alice");
    stack.bearer(good.expose()).await.assert_subject("bob");
    stack.keys.revoke(&first.id).await.unwrap();
    for _ in 0..5000 {
        let (record, _) = stack.mint(NewKey::new("short-lived")).await;
        stack.keys.revoke(&record.id).await.unwrap();
    }
    stack.bearer(first_key.expose()).await.assert_invalid("key_revoked");
    stack.bearer(good.expose()).await.assert_subject("bob");
}

#[tokio::test]
async fn a_key_that_was_unknown_is_good_as_soon_as_it_is_there() {
    let store = Arc::new(MemoryKeyStore::default());
    let keys = ApiKeys::new(Arc::clone(&store), KeyFormat::opaque("legacy-").unwrap());
    let app = app(&AuthLayer::new(keys).environment(&Environment::default().with_clock(ManualClock::at(START))));
    send(app.clone(), bearer("legacy-key")).await.assert_invalid("key_unknown");
    // The store tells of it.
    store.insert(imported("old", "legacy-key")).wait().await.unwrap();
    send(app.clone(), bearer("legacy-key")).await.assert_subject("imported");
    // And of a revocation that was made on the store itself.
    store.revoke(&KeyId::parse("old").unwrap(), START).wait().await.unwrap();
    send(app, bearer("legacy-key")).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn ten_thousand_requests_for_one_cold_key_are_one_look_up() {
    // (19)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let answers = join_all((0..10_000).map(|_| stack.bearer(key.expose()))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(stack.store.finds(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_on_two_threads_for_one_cold_key_are_one_look_up() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    let tasks: Vec<_> = (0..2000)
        .map(|_| {
            let (stack, key) = (stack.clone(), key.expose().to_owned());
            tokio::spawn(async move { stack.bearer(&key).await })
        })
        .collect();
    stack.store.arrived().await;
    stack.store.release();
    for task in tasks {
        task.await.unwrap().assert_subject("alice");
    }
    assert_eq!(stack.store.finds(), 1);
}

#[tokio::test]
async fn a_cancelled_leader_does_not_fail_the_others() {
    // (19)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    let mut leader = Box::pin(stack.bearer(key.expose()));
    assert!(leader.as_mut().now_or_never().is_none());
    stack.store.arrived().await;
    let mut follower = Box::pin(stack.bearer(key.expose()));
    assert!(follower.as_mut().now_or_never().is_none());
    drop(leader);
    stack.store.release();
    follower.await.assert_subject("alice");
    assert_eq!(stack.store.finds(), 1, "the look-up went on");
}

#[tokio::test]
async fn a_look_up_that_everybody_left_is_begun_anew() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Hang);
    let mut leader = Box::pin(stack.bearer(key.expose()));
    assert!(leader.as_mut().now_or_never().is_none());
    drop(leader);
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.finds(), 2);
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_never_cached() {
    // (17)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Fail);
    for _ in 0..3 {
        stack.bearer(key.expose()).await.assert_unavailable("key_store_unavailable");
        stack.bearer(unknown_key().expose()).await.assert_unavailable("key_store_unavailable");
    }
    assert_eq!(stack.store.finds(), 6);
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_503_after_the_timeout_and_never_cached() {
    // (17)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Hang);
    let before = tokio::time::Instant::now();
    stack.bearer(key.expose()).await.assert_unavailable("key_store_timeout");
    assert_eq!(before.elapsed().as_secs(), 2);
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test(start_paused = true)]
async fn management_of_a_store_that_hangs_is_unavailable_after_the_timeout() {
    let stack = Stack::new();
    let (record, _) = stack.alice().await;
    stack.store.set(Mode::Hang);
    assert_kind(stack.keys.revoke(&record.id).await, KeyErrorKind::Unavailable);
    assert_kind(stack.keys.mint(NewKey::new("bob")).await.map(drop), KeyErrorKind::Unavailable);
    assert_kind(stack.keys.rotate(&record.id, seconds(0)).await.map(drop), KeyErrorKind::Unavailable);
    assert_kind(stack.keys.list(&KeyQuery::default()).await.map(drop), KeyErrorKind::Unavailable);
}

#[tokio::test]
async fn a_cached_key_outlives_an_outage_of_the_store_for_its_lifetime() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.store.set(Mode::Fail);
    stack.clock.advance(seconds(29));
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.clock.advance(seconds(1));
    stack.bearer(key.expose()).await.assert_unavailable("key_store_unavailable");
}

#[tokio::test]
async fn a_flood_of_made_up_keys_evicts_no_good_one() {
    // (8)
    let stack = Stack::with(|keys| keys.positive_capacity(100).negative_capacity(100), |layer| layer);
    let mut good = Vec::new();
    for _ in 0..50 {
        let (_, key) = stack.alice().await;
        stack.bearer(key.expose()).await.assert_subject("alice");
        good.push(key);
    }
    for _ in 0..2000 {
        stack.bearer(unknown_key().expose()).await.assert_invalid("key_unknown");
    }
    let before = stack.store.finds();
    // On another thread, which has no cache of its own yet.
    tokio::task::spawn_blocking({
        let stack = stack.clone();
        move || {
            for key in good {
                stack.bearer(key.expose()).now_or_never().expect("it is cached").assert_subject("alice");
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(stack.store.finds(), before, "they were still cached");
}

#[tokio::test]
async fn a_flood_of_made_up_keys_is_looked_up_a_few_at_a_time() {
    // (8)
    let stack = Stack::with(|keys| keys.max_lookups(10.try_into().unwrap()), |layer| layer);
    stack.store.set(Mode::Hold);
    let keys: Vec<_> = (0..1000).map(|_| unknown_key()).collect();
    let mut flood = Box::pin(join_all(keys.iter().map(|key| stack.bearer(key.expose()))));
    assert!(flood.as_mut().now_or_never().is_none());
    assert_eq!(stack.store.finds(), 10);
    stack.store.set(Mode::Answer);
    (0..10).for_each(|_| stack.store.release());
    assert!(flood.await.iter().all(|answer| answer.status == 401));
    assert_eq!(stack.store.finds(), 1000);
}

#[tokio::test]
async fn an_unknown_key_is_refused_while_keys_are_being_added() {
    // Every key that is added makes refusals count no more. Who asked before is refused all the same; who asked after is
    // not refused by a look-up that began before.
    let stack = Stack::new();
    let key = unknown_key();
    stack.store.set(Mode::Hold);
    let mut before = Box::pin(stack.bearer(key.expose()));
    assert!(before.as_mut().now_or_never().is_none());
    for _ in 0..10 {
        stack.store.tell(&KeyChange::Added);
    }
    let mut after = Box::pin(stack.bearer(key.expose()));
    assert!(after.as_mut().now_or_never().is_none());
    stack.store.set(Mode::Answer);
    stack.store.release();
    before.await.assert_invalid("key_unknown");
    assert_eq!(stack.store.finds(), 1);
    after.await.assert_invalid("key_unknown");
    assert_eq!(stack.store.finds(), 2);
}

#[tokio::test]
async fn what_may_have_been_missed_drops_all_that_is_cached() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    let (_, other) = stack.mint(NewKey::new("bob")).await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.bearer(other.expose()).await.assert_subject("bob");

    // Revoked behind the back of this process.
    stack.store.revoke(&record.id, START).wait().await.unwrap();
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.tell(&KeyChange::Changed(record.id.clone())), [std::ops::ControlFlow::Continue(())]);
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
    stack.bearer(other.expose()).await.assert_subject("bob");
    assert_eq!(stack.store.finds(), 3);

    stack.store.tell(&KeyChange::Missed);
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
    stack.bearer(other.expose()).await.assert_subject("bob");
    assert_eq!(stack.store.finds(), 5, "everything was looked up again");

    let Stack { store, keys, app, .. } = stack;
    drop((keys, app));
    assert_eq!(store.tell(&KeyChange::Missed), [std::ops::ControlFlow::Break(())]);
}

#[tokio::test]
async fn a_watcher_that_panics_keeps_no_other_from_hearing() {
    let store = Arc::new(MemoryKeyStore::default());
    store.watch(KeyWatcher::new(|_| panic!("a watcher panics")));
    let keys = ApiKeys::new(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap());
    let (record, key) = keys.mint(NewKey::new("alice")).await.unwrap();
    let app = app(&AuthLayer::new(keys));
    send(app.clone(), bearer(key.expose())).await.assert_subject("alice");
    store.revoke(&record.id, START).wait().await.unwrap();
    send(app, bearer(key.expose())).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_store_that_panics_is_500_without_detail_and_nothing_is_poisoned() {
    // (141)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Panic);
    let answers = join_all([stack.bearer(key.expose()), stack.bearer(key.expose())]).await;
    for answer in answers {
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("panicked")));
        assert!(!answer.body.contains("store"), "{answer:?}");
    }
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.send(request()).await.assert_missing("credential_missing");
}
