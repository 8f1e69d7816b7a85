//! The cache under revocations, concurrent and cancelled requests, and outages of the store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use tower_warden::{
    Clock, Environment, ManualClock, UnixTime,
    api_key::{
        ApiKeys, KeyChange, KeyErrorKind, KeyFormat, KeyId, KeyQuery, KeyStore, KeyWatcher, MemoryKeyStore,
        MergedChanges, NewKey,
    },
    layer::AuthLayer,
};

use crate::support::{Mode, START, Stack, app, assert_kind, bearer, imported, request, seconds, send, unknown_key};

#[tokio::test]
async fn a_valid_key_is_looked_up_once_in_its_lifetime() {
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
async fn an_invalid_key_is_looked_up_once_in_its_shorter_lifetime() {
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
async fn entries_cached_before_the_clock_was_set_back_stay_invalid_when_the_time_returns() {
    let stack = Stack::new();
    let ((record, key), (_, other)) = (stack.alice().await, stack.mint(NewKey::new("bob")).await);
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.bearer(other.expose()).await.assert_subject("bob");
    stack.clock.set(UnixTime::from_secs(START.as_secs() - 3600));
    // One hit of any cached entry is enough to invalidate all of them.
    stack.bearer(other.expose()).await.assert_subject("bob");
    stack.store.revoke(&record.id, START).wait().await.unwrap();
    stack.clock.set(START + seconds(1));
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_although_it_is_cached() {
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

/// The first request of a thread looks a key up, the second finds it in the shared cache, and the third in its own.
const UNTIL_SEEN: usize = 3;

#[tokio::test]
async fn a_key_that_this_thread_has_seen_is_refused_at_once_when_it_is_revoked() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    for _ in 0..UNTIL_SEEN {
        stack.bearer(key.expose()).await.assert_subject("alice");
    }
    stack.keys.revoke(&record.id).await.unwrap();
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_key_that_this_thread_has_seen_is_looked_up_again_after_its_lifetime_and_when_the_clock_is_set_back() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for lookups in 1..=3 {
        for _ in 0..UNTIL_SEEN {
            stack.bearer(key.expose()).await.assert_subject("alice");
        }
        assert_eq!(stack.store.finds(), lookups);
        match lookups {
            1 => stack.clock.advance(seconds(30)),
            _ => stack.clock.set(START),
        }
    }
}

#[test]
fn a_key_that_several_threads_have_seen_is_refused_by_each_when_it_is_revoked() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stack = Stack::new();
    let (record, key) = runtime().block_on(stack.alice());
    // Looked up once, so that the threads find it in the shared cache.
    runtime().block_on(stack.bearer(key.expose())).assert_subject("alice");
    let (seen, revoked) = (std::sync::Barrier::new(3), std::sync::Barrier::new(3));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                runtime().block_on(async {
                    for _ in 0..UNTIL_SEEN {
                        stack.bearer(key.expose()).await.assert_subject("alice");
                    }
                    seen.wait();
                    revoked.wait();
                    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
                });
            });
        }
        seen.wait();
        runtime().block_on(stack.keys.revoke(&record.id)).unwrap();
        revoked.wait();
    });
}

#[tokio::test]
async fn a_revoked_key_is_refused_during_a_pending_lookup() {
    // (5): the store has read the key as active; then the key is revoked; then the store returns.
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

    // A request that arrives while the old look-up is in flight joins it, and does not accept its outcome.
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
async fn a_look_up_that_begins_again_after_seconds_invalidates_no_other_entry() {
    let stack = Stack::new();
    let ((record, key), (_, other)) = (stack.alice().await, stack.mint(NewKey::new("bob")).await);
    stack.store.set(Mode::Hold);
    let in_flight = tokio::spawn({
        let (stack, key) = (stack.clone(), key.expose().to_owned());
        async move { stack.bearer(&key).await }
    });
    stack.store.arrived().await;
    stack.store.set(Mode::Answer);
    stack.clock.advance(seconds(4));
    stack.bearer(other.expose()).await.assert_subject("bob");
    stack.keys.revoke(&record.id).await.unwrap();
    let finds = stack.store.finds();
    stack.store.release();
    in_flight.await.unwrap().assert_invalid("key_revoked");
    assert_eq!(stack.store.finds(), finds + 1, "the look-up began again");
    stack.bearer(other.expose()).await.assert_subject("bob");
    assert_eq!(stack.store.finds(), finds + 1, "the other key stays cached");
}

#[tokio::test]
async fn a_key_is_accepted_again_after_a_failed_revocation() {
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
async fn more_revocations_than_tombstones_invalidate_old_entries_only() {
    let stack = Stack::new();
    let (first, first_key) = stack.alice().await;
    let (_, valid) = stack.mint(NewKey::new("bob")).await;
    stack.bearer(first_key.expose()).await.assert_subject("alice");
    stack.bearer(valid.expose()).await.assert_subject("bob");
    stack.keys.revoke(&first.id).await.unwrap();
    for _ in 0..5000 {
        let (record, _) = stack.mint(NewKey::new("short-lived")).await;
        stack.keys.revoke(&record.id).await.unwrap();
    }
    stack.bearer(first_key.expose()).await.assert_invalid("key_revoked");
    stack.bearer(valid.expose()).await.assert_subject("bob");
}

#[tokio::test]
async fn an_unknown_key_is_accepted_as_soon_as_it_is_added() {
    let store = Arc::new(MemoryKeyStore::default());
    let keys = ApiKeys::new(Arc::clone(&store), KeyFormat::opaque("legacy-").unwrap());
    let app = app(&AuthLayer::new(keys).environment(&Environment::default().with_clock(ManualClock::at(START))));
    send(app.clone(), bearer("legacy-key")).await.assert_invalid("key_unknown");
    // The store reports the change.
    store.insert(imported("old", "legacy-key")).wait().await.unwrap();
    send(app.clone(), bearer("legacy-key")).await.assert_subject("imported");
    // And a revocation that was made on the store itself.
    store.revoke(&KeyId::parse("old").unwrap(), START).wait().await.unwrap();
    send(app, bearer("legacy-key")).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn ten_thousand_requests_for_one_uncached_key_are_one_lookup() {
    // (19)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let answers = join_all((0..10_000).map(|_| stack.bearer(key.expose()))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(stack.store.finds(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_on_two_threads_for_one_uncached_key_are_one_lookup() {
    let stack = Stack::with(|keys| keys.timeout(Duration::from_secs(60)), |layer| layer);
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
async fn a_lookup_continues_when_the_request_that_started_it_is_cancelled() {
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
    assert_eq!(stack.store.finds(), 1, "the look-up continued");
}

#[tokio::test]
async fn a_lookup_that_all_requests_left_is_started_again() {
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
async fn a_flood_of_made_up_keys_evicts_no_valid_key() {
    // (8)
    let stack = Stack::with(|keys| keys.positive_capacity(100).negative_capacity(100), |layer| layer);
    let mut valid = Vec::new();
    for _ in 0..50 {
        let (_, key) = stack.alice().await;
        stack.bearer(key.expose()).await.assert_subject("alice");
        valid.push(key);
    }
    for _ in 0..2000 {
        stack.bearer(unknown_key().expose()).await.assert_invalid("key_unknown");
    }
    let before = stack.store.finds();
    // On another thread, which has no cache of its own yet.
    tokio::task::spawn_blocking({
        let stack = stack.clone();
        move || {
            for key in valid {
                stack.bearer(key.expose()).now_or_never().expect("it is cached").assert_subject("alice");
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(stack.store.finds(), before, "they are still cached");
}

#[tokio::test]
async fn a_flood_of_made_up_keys_is_looked_up_a_few_at_a_time() {
    // (8)
    let stack =
        Stack::with(|keys| keys.max_lookups(10.try_into().unwrap()).timeout(Duration::from_secs(60)), |layer| layer);
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
    // Every added key invalidates all refusals. A request that arrived before is refused all the same; one that arrived
    // after is not refused by a look-up that began before.
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
async fn missed_changes_invalidate_the_whole_cache() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    let (_, other) = stack.mint(NewKey::new("bob")).await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.bearer(other.expose()).await.assert_subject("bob");

    // Revoked without `ApiKeys`, so no change is reported.
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
async fn a_watcher_that_panics_does_not_prevent_others_from_being_notified() {
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
async fn a_store_that_panics_is_500_without_detail_and_poisons_nothing() {
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

#[tokio::test]
async fn a_key_that_was_read_during_the_request_is_accepted_while_missed_changes_are_reported_without_end() {
    // A role that may send notifications repeats them; each of them invalidates everything.
    let stack = Stack::with(|keys| keys.timeout(Duration::from_secs(60)), |layer| layer);
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    for finds in 1..=3 {
        let mut request = Box::pin(stack.bearer(key.expose()));
        assert!(request.as_mut().now_or_never().is_none());
        (0..1000).for_each(|_| drop(stack.store.tell(&KeyChange::Missed)));
        stack.store.release();
        request.await.assert_subject("alice");
        assert_eq!(stack.store.finds(), finds, "what was read is used, and not cached");
    }
}

#[test]
fn reports_that_invalidate_more_than_one_key_are_merged_by_their_kind() {
    let (mut merged, start) = (MergedChanges::default(), Instant::now());
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let added = |merged: &mut MergedChanges, at| merged.receive(KeyChange::Added, at);
    assert_eq!(added(&mut merged, at(0)), Some(KeyChange::Added));
    assert_eq!(merged.receive(KeyChange::Missed, at(50)), Some(KeyChange::Missed));
    for _ in 0..1000 {
        assert_eq!(added(&mut merged, at(60)), None);
        assert_eq!(merged.receive(KeyChange::Missed, at(60)), None);
        let changed = KeyChange::Changed("key_1".parse().unwrap());
        assert_eq!(merged.receive(changed.clone(), at(60)), Some(changed), "not delayed");
    }
    assert_eq!((merged.take_due(at(99)), merged.wait(at(99))), (None, Some(Duration::from_millis(1))));
    assert_eq!((merged.take_due(at(100)), merged.take_due(at(100))), (Some(KeyChange::Added), None));
    assert_eq!(merged.wait(at(100)), Some(Duration::from_millis(50)));
    assert_eq!((merged.take_due(at(150)), merged.take_due(at(150))), (Some(KeyChange::Missed), None));
    assert_eq!((merged.wait(at(150)), added(&mut merged, at(200))), (None, Some(KeyChange::Added)));
}

#[tokio::test]
async fn a_request_after_missed_changes_does_not_use_a_lookup_that_began_before_them() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    let mut before = Box::pin(stack.bearer(key.expose()));
    assert!(before.as_mut().now_or_never().is_none());
    // Revoked without `ApiKeys`, so the change is not reported by itself.
    stack.store.revoke(&record.id, START).wait().await.unwrap();
    stack.store.tell(&KeyChange::Missed);
    let mut after = Box::pin(stack.bearer(key.expose()));
    assert!(after.as_mut().now_or_never().is_none());
    stack.store.set(Mode::Answer);
    stack.store.release();
    before.await.assert_subject("alice");
    after.await.assert_invalid("key_revoked");
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_key_that_is_revoked_among_missed_changes_is_refused_during_a_pending_lookup() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.store.set(Mode::Hold);
    let mut request = Box::pin(stack.bearer(key.expose()));
    assert!(request.as_mut().now_or_never().is_none());
    stack.store.tell(&KeyChange::Missed);
    stack.keys.revoke(&record.id).await.unwrap();
    stack.store.tell(&KeyChange::Missed);
    stack.store.set(Mode::Answer);
    stack.store.release();
    request.await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn a_key_that_was_read_during_the_request_is_accepted_while_changes_of_other_keys_are_reported() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let other = KeyId::parse("other").unwrap();
    stack.bearer(key.expose()).await.assert_subject("alice");
    (0..20_000).for_each(|_| drop(stack.store.tell(&KeyChange::Changed(other.clone()))));
    stack.bearer(key.expose()).await.assert_subject("alice");
    assert_eq!(stack.store.finds(), 1, "it stays cached");
}

#[tokio::test]
async fn keys_that_were_read_during_the_requests_are_accepted_while_changes_of_ever_new_keys_are_reported() {
    let stack = Stack::with(|keys| keys.timeout(Duration::from_secs(60)), |layer| layer);
    let mut keys = Vec::new();
    for _ in 0..100 {
        keys.push(stack.alice().await.1);
    }
    stack.store.set(Mode::Hold);
    let mut requests = Box::pin(join_all(keys.iter().map(|key| stack.bearer(key.expose()))));
    assert!(requests.as_mut().now_or_never().is_none());
    // More than there are tombstones.
    for number in 0..4_500 {
        let id = KeyId::parse(&format!("other-{number}")).unwrap();
        drop(stack.store.tell(&KeyChange::Changed(id)));
    }
    stack.store.set(Mode::Answer);
    keys.iter().for_each(|_| stack.store.release());
    for answer in requests.await {
        answer.assert_subject("alice");
    }
    // Two or three of them share a bucket with another key.
    assert!((100..150).contains(&stack.store.finds()), "{}", stack.store.finds());
}

#[tokio::test]
async fn a_key_revoked_while_the_clock_was_set_back_is_refused_when_the_time_returns_without_a_request_between() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    let unknown = unknown_key();
    stack.bearer(unknown.expose()).await.assert_invalid("key_unknown");
    stack.clock.set(UnixTime::from_secs(START.as_secs() - 3600));
    // By another node, whose report is lost.
    stack.store.revoke(&record.id, START).wait().await.unwrap();
    stack.clock.advance(seconds(3604));
    stack.bearer(key.expose()).await.assert_invalid("key_revoked");
    let before = stack.store.finds();
    stack.bearer(unknown.expose()).await.assert_invalid("key_unknown");
    assert_eq!(stack.store.finds(), before + 1, "a refusal is as old");
}

#[tokio::test]
async fn a_key_cached_before_the_clock_was_set_back_is_looked_up_again_if_another_request_saw_a_later_time() {
    /// A clock that has no steady time of its own.
    #[derive(Debug)]
    struct Wall(ManualClock);
    impl Clock for Wall {
        fn now(&self) -> UnixTime {
            self.0.now()
        }
    }
    let stack = Stack::new();
    let environment = Environment::default().with_clock(Wall(stack.clock.clone()));
    assert_eq!(environment.clock().steady(), START);
    let app = app(&AuthLayer::new(stack.keys.clone()).environment(&environment));
    let (record, key) = stack.alice().await;
    send(app.clone(), bearer(key.expose())).await.assert_subject("alice");
    stack.clock.advance(seconds(40));
    send(app.clone(), bearer(unknown_key().expose())).await.assert_invalid("key_unknown");
    stack.store.revoke(&record.id, START).wait().await.unwrap();
    stack.clock.set(START + seconds(20));
    send(app, bearer(key.expose())).await.assert_invalid("key_revoked");
}
