//! The last uses of keys, written in the background and never during a request.

use std::time::Duration;

use tower_warden::{
    api_key::{KeyErrorKind, KeyUse, NewKey},
    request::Peer,
};

use crate::{
    secrets::listen,
    support::{Mode, START, Stack, assert_kind, bearer, seconds},
};

async fn last_used(stack: &Stack, id: &tower_warden::api_key::KeyId) -> Option<u64> {
    stack.keys.get(id).await.unwrap().unwrap().last_used_at.map(|time| time.as_secs() - START.as_secs())
}

#[tokio::test]
async fn a_flush_writes_the_last_use_of_each_key_once() {
    let stack = Stack::new();
    let (alice, alice_key) = stack.alice().await;
    let (bob, bob_key) = stack.mint(NewKey::new("bob")).await;
    for _ in 0..5 {
        stack.bearer(alice_key.expose()).await.assert_subject("alice");
        stack.clock.advance(seconds(1));
    }
    stack.bearer(bob_key.expose()).await.assert_subject("bob");
    assert_eq!(last_used(&stack, &alice.id).await, None, "not during the request");
    stack.keys.flush().await.unwrap();
    assert_eq!(last_used(&stack, &alice.id).await, Some(4));
    assert_eq!(last_used(&stack, &bob.id).await, Some(5));
    assert_eq!(stack.store.touches.lock().unwrap().len(), 1, "one batch");
    stack.keys.flush().await.unwrap();
    assert_eq!(stack.store.touches.lock().unwrap().len(), 1, "nothing is left to write");
}

#[tokio::test]
async fn a_use_after_a_flush_is_written_by_the_next() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    for expected in [0, 7, 14] {
        stack.bearer(key.expose()).await.assert_subject("alice");
        stack.keys.flush().await.unwrap();
        assert_eq!(last_used(&stack, &record.id).await, Some(expected));
        stack.clock.advance(seconds(7));
    }
}

#[tokio::test(start_paused = true)]
async fn uses_are_written_after_the_interval_without_a_call() {
    let stack = Stack::with(|keys| keys.flush_interval(seconds(10)), |layer| layer);
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    tokio::time::sleep(seconds(9)).await; // of the paused clock
    assert_eq!(last_used(&stack, &record.id).await, None);
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(last_used(&stack, &record.id).await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_loses_no_use_and_refuses_no_request() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.store.set(Mode::Fail);
    assert_kind(stack.keys.flush().await, KeyErrorKind::Unavailable);
    stack.store.set(Mode::Hang);
    assert_kind(stack.keys.flush().await, KeyErrorKind::Unavailable);
    stack.clock.advance(seconds(3));
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.store.set(Mode::Answer);
    stack.keys.flush().await.unwrap();
    assert_eq!(last_used(&stack, &record.id).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_the_one_in_progress() {
    let stack = Stack::with(|keys| keys.flush_interval(seconds(10)), |layer| layer);
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.store.set(Mode::Hang);
    tokio::time::sleep(seconds(11)).await; // of the paused clock: the flush in the background hangs
    stack.store.set(Mode::Answer);
    // That one times out and queues its uses again; this one writes them.
    stack.keys.flush().await.unwrap();
    assert_eq!(last_used(&stack, &record.id).await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_fails_at_once_is_repeated_once_a_second() {
    let (log, _guard) = listen();
    let stack = Stack::with(|keys| keys.flush_interval(seconds(0)), |layer| layer);
    let (record, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.store.set(Mode::Fail);
    tokio::time::sleep(Duration::from_millis(3_500)).await; // of the paused clock
    assert_eq!(log.text().matches("could not be written").count(), 4, "{}", log.text());
    stack.store.set(Mode::Answer);
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(last_used(&stack, &record.id).await, Some(0));
}

#[test]
fn uses_are_written_in_the_background_again_after_a_runtime_has_shut_down() {
    let stack = Stack::with(|keys| keys.flush_interval(seconds(10)), |layer| layer);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let key = runtime().block_on(async {
        let (record, key) = stack.alice().await;
        stack.bearer(key.expose()).await.assert_subject("alice");
        (record, key)
    });
    // The background task was dropped with its runtime, before it wrote anything.
    stack.clock.advance(seconds(20));
    runtime().block_on(async {
        stack.bearer(key.1.expose()).await.assert_subject("alice");
        tokio::time::sleep(seconds(11)).await;
        assert_eq!(last_used(&stack, &key.0.id).await, Some(20));
    });
}

#[tokio::test]
async fn a_refused_request_is_not_a_use() {
    let stack = Stack::new();
    let (restricted, restricted_key) = stack.mint(NewKey::new("alice").networks(["10.0.0.0/8".parse().unwrap()])).await;
    let (short, short_key) = stack.mint(NewKey::new("bob").expires_in(seconds(1))).await;
    stack.clock.advance(seconds(1));
    let outside = bearer(restricted_key.expose()).extension(Peer::new("11.0.0.1:1".parse().unwrap()));
    stack.send(outside).await.assert_invalid("network_forbidden");
    stack.bearer(short_key.expose()).await.assert_invalid("expired");
    stack.keys.flush().await.unwrap();
    assert_eq!(last_used(&stack, &restricted.id).await, None);
    assert_eq!(last_used(&stack, &short.id).await, None);
}

#[tokio::test]
async fn many_keys_are_written_in_batches() {
    let stack = Stack::new();
    for index in 0..1200 {
        let (_, key) = stack.mint(NewKey::new(format!("{index}"))).await;
        stack.bearer(key.expose()).await.assert_subject(&index.to_string());
    }
    stack.keys.flush().await.unwrap();
    let touches: Vec<Vec<KeyUse>> = stack.store.touches.lock().unwrap().clone();
    assert_eq!(touches.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 200]);
}
