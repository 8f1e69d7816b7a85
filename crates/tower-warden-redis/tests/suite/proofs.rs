//! Used proofs that nodes share on a real Redis server.

use std::{num::NonZeroU32, time::Duration};

use redis::AsyncCommands;
use tower_warden::{
    Digest, UnixTime,
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
};
use tower_warden_redis::RedisReplayGuard;

use crate::{
    server::Redis,
    support::{connection, seconds},
};

async fn node(redis: &Redis, timeout: Duration) -> RedisReplayGuard {
    RedisReplayGuard::new(connection(redis, timeout).await)
}

pub(crate) fn proof(key: &str, id: &str, valid_for: u64) -> UsedProof {
    let now = UnixTime::from_secs(1_800_000_000);
    UsedProof::new(Digest::of(key.as_bytes()), Digest::of(id.as_bytes()), now + seconds(valid_for), now)
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_proof_is_accepted_by_one_node_only() {
    let redis = Redis::start().await;
    let nodes = [node(&redis, seconds(10)).await, node(&redis, seconds(10)).await];
    for number in 0..50 {
        let proof = proof("key", &number.to_string(), 60);
        let (one, other) = tokio::join!(nodes[0].record(&proof).wait(), nodes[1].record(&proof).wait());
        let mut verdicts = [one.unwrap(), other.unwrap()];
        verdicts.sort_by_key(|verdict| *verdict != ReplayVerdict::New);
        assert_eq!(verdicts, [ReplayVerdict::New, ReplayVerdict::Replayed]);
    }
    // Another key can use the same id.
    assert_eq!(nodes[0].record(&proof("other", "1", 60)).wait().await.unwrap(), ReplayVerdict::New);
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    assert_eq!(keys.len(), 2, "one set for each key");
    for key in keys {
        let lifetime: i64 = connection.ttl(&key).await.unwrap();
        assert!((100..=121).contains(&lifetime), "{key} lives for {lifetime} s");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn no_proof_is_accepted_while_redis_is_down() {
    let redis = Redis::start().await;
    let guard = node(&redis, Duration::from_millis(500)).await;
    redis.kill();
    for number in 0..5 {
        assert!(guard.record(&proof("key", &number.to_string(), 60)).wait().await.is_err());
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn proofs_of_one_key_are_bounded_and_leave_room_for_other_keys() {
    let redis = Redis::start().await;
    let guard = node(&redis, seconds(10)).await;
    let default = record_many(&guard, 5_000).await;
    // 10 a second, for 300 seconds and the minute for which they are stored longer.
    assert_eq!(default, 3_610);
    assert_eq!(guard.record(&proof("other", "1", 300)).wait().await.unwrap(), ReplayVerdict::New);
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    assert_eq!(keys.len(), 2);
}

/// The number of this many proofs of one key that are new; the others find no room.
async fn record_many(guard: &RedisReplayGuard, count: usize) -> usize {
    let mut new = 0;
    for number in 0..count {
        match guard.record(&proof("key", &number.to_string(), 300)).wait().await.unwrap() {
            ReplayVerdict::New => new += 1,
            verdict => assert_eq!(verdict, ReplayVerdict::KeyFull),
        }
    }
    new
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_full_key_has_room_after_the_reported_time_and_forgets_no_proof_before() {
    let redis = Redis::start().await;
    let nodes = [node(&redis, seconds(10)).await, node(&redis, seconds(10)).await]
        .map(|guard| guard.per_key(NonZeroU32::new(1).unwrap()));
    let at = |id: &str, now: u64| {
        let now = UnixTime::from_secs(1_800_000_000 + now);
        UsedProof::new(Digest::of(b"key"), Digest::of(id.as_bytes()), now + seconds(9), now)
    };
    // One a second, for ten seconds and a minute.
    for number in 0..70 {
        assert_eq!(nodes[0].record(&at(&number.to_string(), 0)).wait().await.unwrap(), ReplayVerdict::New);
    }
    let full = nodes[1].record_or_wait(&at("new", 5)).wait().await.unwrap();
    assert_eq!(full, (ReplayVerdict::KeyFull, seconds(65)));
    let mut used = at("0", 0);
    used.now = at("0", 5).now;
    assert_eq!(nodes[1].record(&used).wait().await.unwrap(), ReplayVerdict::Replayed);
    assert_eq!(nodes[1].record(&at("new", 69)).wait().await.unwrap(), ReplayVerdict::KeyFull);
    assert_eq!(nodes[1].record(&at("new", 70)).wait().await.unwrap(), ReplayVerdict::New);
    // The clock of the other node was not ahead; a proof that was removed is not new there.
    assert_eq!(nodes[0].record(&at("0", 0)).wait().await.unwrap(), ReplayVerdict::Replayed);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_whose_clock_is_set_back_accepts_no_proof_that_redis_has_removed() {
    let redis = Redis::start().await;
    let guard = node(&redis, seconds(10)).await;
    let first = proof("key", "1", 60);
    assert_eq!(guard.record(&first).wait().await.unwrap(), ReplayVerdict::New);
    let later = UnixTime::from_secs(first.until.as_secs() + 61);
    let other = UsedProof::new(Digest::of(b"other"), Digest::of(b"1"), later + seconds(60), later);
    assert_eq!(guard.record(&other).wait().await.unwrap(), ReplayVerdict::New);
    let mut connection = redis.connection().await;
    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    assert_eq!(guard.record(&first).wait().await.unwrap(), ReplayVerdict::Replayed);
}
