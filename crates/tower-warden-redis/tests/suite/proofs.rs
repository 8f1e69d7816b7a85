//! Used proofs that nodes share on a real Redis server.

use std::time::Duration;

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
    assert_eq!(keys.len(), 51);
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
