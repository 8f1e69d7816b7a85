//! Revocations on a real Redis, which every node hears of.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tower_warden::{
    AuthMethod, Clock, Identity, SystemClock, UnixTime,
    redis::RedisConnection,
    revocation::{RedisRevocationList, Revocation, RevocationErrorKind, RevocationList},
};

use crate::{
    redis_server::{PATIENCE, Redis},
    support::seconds,
};

const ISSUER: &str = "https://auth.example.com";

async fn node(redis: &Redis) -> RedisRevocationList {
    let line = RedisConnection::connect(redis.client()).await.patience(seconds(10));
    RedisRevocationList::listen(line, redis.client()).await
}

fn token(id: &str) -> Identity {
    let mut identity = Identity::new("alice", AuthMethod::Jwt);
    (identity.issuer, identity.token_id) = (Some(ISSUER.into()), Some(id.into()));
    identity
}

fn later() -> UnixTime {
    SystemClock::default().now() + seconds(3_600)
}

async fn is_revoked(node: &RedisRevocationList, identity: &Identity) -> bool {
    node.is_revoked(identity).wait().await.unwrap()
}

async fn until(mut holds: impl AsyncFnMut() -> bool, what: &str) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_revocation_reaches_every_node_and_those_that_start_later() {
    let redis = Redis::start().await;
    let (one, other) = (node(&redis).await, node(&redis).await);
    until(async || one.is_complete() && other.is_complete(), "both know all of it").await;
    let mut latencies = Vec::new();
    for number in 0..20 {
        let identity = token(&format!("token {number}\n"));
        assert!(!is_revoked(&other, &identity).await);
        one.revoke(Revocation::token(ISSUER, format!("token {number}\n")), later()).await.unwrap();
        assert!(is_revoked(&one, &identity).await, "at once on the node itself");
        latencies.push(until(async || is_revoked(&other, &identity).await, "the revocation").await);
    }
    latencies.sort();
    println!("revocation to the other node: median {:?}, max {:?}", latencies[10], latencies[19]);
    assert!(latencies[10] < Duration::from_millis(100), "{latencies:?}");
    let third = node(&redis).await;
    assert!(is_revoked(&third, &token("token 7\n")).await && !is_revoked(&third, &token("token")).await);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn what_was_issued_later_still_counts_and_what_is_revoked_again_is_widened() {
    let redis = Redis::start().await;
    let (one, other) = (node(&redis).await, node(&redis).await);
    let mut alice = token("1");
    for (issued_until, expected) in
        [(100, [true, false, false]), (50, [true, false, false]), (200, [true, true, false])]
    {
        let revocation = Revocation::subject(ISSUER, "alice", UnixTime::from_secs(issued_until));
        one.revoke(revocation, later()).await.unwrap();
        for (issued_at, expected) in [100, 150, 250].into_iter().zip(expected) {
            alice.issued_at = Some(UnixTime::from_secs(issued_at));
            let holds =
                async || is_revoked(&other, &alice).await == expected && is_revoked(&one, &alice).await == expected;
            until(holds, "both say the same").await;
        }
    }
    let past = UnixTime::from_secs(1);
    let kind = |result: Result<(), _>| result.map_err(|error: tower_warden::revocation::RevocationError| error.kind());
    assert_eq!(kind(one.revoke(Revocation::key("key"), past).await), Err(RevocationErrorKind::Ended));
    let long = "x".repeat(2_000);
    assert_eq!(kind(one.revoke(Revocation::key(long), later()).await), Err(RevocationErrorKind::TooLong));
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_that_hears_nothing_asks_and_one_that_gets_no_answer_refuses() {
    let redis = Redis::start().await;
    let line = RedisConnection::connect(redis.client()).await.patience(Duration::from_millis(200));
    let node = RedisRevocationList::listen(line, redis.client()).await;
    node.revoke(Revocation::token(ISSUER, "known"), later()).await.unwrap();
    until(async || node.is_complete(), "it knows all").await;
    for (stop, start) in [(true, false), (false, true)] {
        if stop {
            redis.pause()
        } else {
            redis.kill()
        }
        until(async || !node.is_complete(), "it notices").await;
        // Never let in, and what is known is refused all the same.
        assert!(node.is_revoked(&token("other")).wait().await.is_err());
        assert!(is_revoked(&node, &token("known")).await);
        let refused = node.revoke(Revocation::token(ISSUER, "lost"), later()).await.unwrap_err();
        assert_eq!(refused.kind(), RevocationErrorKind::Unavailable);
        if start {
            redis.launch().await
        } else {
            redis.resume()
        }
        until(async || node.is_complete(), "it knows all again").await;
        assert!(!is_revoked(&node, &token("other")).await);
    }
}
