//! Revocations on a real Redis server, of which every node has a copy.

use std::time::Duration;

use tower_warden::{
    Clock, Environment, Identity, ManualClock, SystemClock, UnixTime,
    audit::{AuditChannel, AuditLog, ChangeOutcome, EventKind, Notice},
    revocation::{Revocation, RevocationErrorKind, RevocationList},
};
use tower_warden_redis::RedisRevocationList;

use crate::{
    server::Redis,
    support::{ISSUER, connection, seconds, token, until},
};

async fn node(redis: &Redis) -> RedisRevocationList {
    RedisRevocationList::listen(connection(redis, seconds(10)).await, redis.client()).await
}

pub(crate) fn later() -> UnixTime {
    SystemClock::default().now() + seconds(3_600)
}

async fn is_revoked(node: &RedisRevocationList, identity: &Identity) -> bool {
    node.is_revoked(identity).wait().await.unwrap()
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_revocation_reaches_every_node_and_those_that_start_later() {
    let redis = Redis::start().await;
    let (one, other) = (node(&redis).await, node(&redis).await);
    until(async || one.is_complete() && other.is_complete(), "both copies are complete").await;
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
    // A list is read again at most once a second: these were messages. Usually, they take less than a millisecond.
    assert!(latencies[10] < seconds(1), "{latencies:?}");
    let third = node(&redis).await;
    assert!(is_revoked(&third, &token("token 7\n")).await && !is_revoked(&third, &token("token")).await);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn later_credentials_stay_valid_and_revoking_again_extends_a_revocation() {
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
            until(holds, "both nodes agree").await;
        }
    }
    let past = UnixTime::from_secs(1);
    let kind = |result: Result<(), _>| result.map_err(|error: tower_warden::revocation::RevocationError| error.kind());
    assert_eq!(kind(one.revoke(Revocation::key("key"), past).await), Err(RevocationErrorKind::Expired));
    let long = "x".repeat(2_000);
    assert_eq!(kind(one.revoke(Revocation::key(long), later()).await), Err(RevocationErrorKind::TooLong));
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_without_messages_queries_redis_and_refuses_credentials_without_a_reply() {
    let redis = Redis::start().await;
    let connection = connection(&redis, seconds(10)).await;
    let node = RedisRevocationList::listen(connection.clone(), redis.client()).await;
    node.revoke(Revocation::token(ISSUER, "known"), later()).await.unwrap();
    until(async || node.is_complete(), "the copy is complete").await;
    // For all clones.
    let _ = connection.timeout(Duration::from_millis(200));
    for (stop, start) in [(true, false), (false, true)] {
        if stop {
            redis.pause()
        } else {
            redis.kill()
        }
        until(async || !node.is_complete(), "the copy is incomplete").await;
        // Never admitted, and a revocation that was received still applies.
        assert!(node.is_revoked(&token("other")).wait().await.is_err());
        assert!(is_revoked(&node, &token("known")).await);
        let refused = node.revoke(Revocation::token(ISSUER, "lost"), later()).await.unwrap_err();
        assert_eq!(refused.kind(), RevocationErrorKind::Unavailable);
        if start {
            redis.launch().await
        } else {
            redis.resume()
        }
        until(async || node.is_complete(), "the copy is complete again").await;
        assert!(!is_revoked(&node, &token("other")).await);
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn the_expiry_of_a_revocation_is_checked_with_the_clock_of_the_environment() {
    let redis = Redis::start().await;
    let clock = ManualClock::at(later() + seconds(3_600));
    let environment = Environment::default().with_clock(clock.clone());
    let connection = connection(&redis, seconds(10)).await.environment(&environment);
    let node = RedisRevocationList::listen(connection, redis.client()).await;
    let refused = node.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap_err();
    assert_eq!(refused.kind(), RevocationErrorKind::Expired);
    clock.set(SystemClock::default().now());
    node.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    assert!(is_revoked(&node, &token("1")).await);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_revocation_is_a_notice_on_the_node_that_revokes() {
    let redis = Redis::start().await;
    let observed = async || {
        let (sink, events) = AuditChannel::new(10);
        let environment = Environment::default().with_observer(AuditLog::new(sink));
        let connection = connection(&redis, seconds(10)).await.environment(&environment);
        (RedisRevocationList::listen(connection.clone(), redis.client()).await, events, connection)
    };
    let (one, mut events, connection_of_one) = observed().await;
    let (other, mut events_of_other, _) = observed().await;
    one.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    one.revoke(Revocation::key("key-1"), None).await.unwrap();
    let mut notice = || match events.try_recv().map(|event| event.kind) {
        Some(EventKind::Notice(Notice::Revoked { kind, outcome, issuer, name })) => {
            Some((kind, outcome, issuer.as_deref().map(str::to_owned), name.to_string()))
        }
        None => None,
        other => panic!("unexpected: {other:?}"),
    };
    assert_eq!(notice(), Some(("token", ChangeOutcome::Done, Some(ISSUER.to_owned()), "1".to_owned())));
    assert_eq!(notice(), Some(("key", ChangeOutcome::Done, None, "key-1".to_owned())));
    until(async || is_revoked(&other, &token("1")).await, "the revocation").await;
    assert!(events_of_other.try_recv().is_none(), "it was added on the other node");

    // What is not stored is no notice. What may be stored is one, also if the caller does not wait for the reply.
    one.revoke(Revocation::key("key-2"), UnixTime::from_secs(1)).await.unwrap_err();
    assert_eq!(notice(), None);
    redis.pause();
    // For all clones.
    let _ = connection_of_one.timeout(Duration::from_millis(200));
    assert!(futures_util::poll!(std::pin::pin!(one.revoke(Revocation::key("key-3"), None))).is_pending());
    assert_eq!(notice(), Some(("key", ChangeOutcome::Unknown, None, "key-3".to_owned())));
    one.revoke(Revocation::key("key-4"), None).await.unwrap_err();
    assert_eq!(notice(), Some(("key", ChangeOutcome::Unknown, None, "key-4".to_owned())));
    assert_eq!(notice(), None);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn each_subscription_has_a_channel_of_heartbeats_of_its_own() {
    let redis = Redis::start().await;
    let channels = async || {
        let reply = redis.command("PUBSUB CHANNELS *}:*").await.unwrap();
        redis::from_redis_value::<Vec<String>>(reply).unwrap()
    };
    let node = node(&redis).await;
    until(async || node.is_complete(), "the copy is complete").await;
    let first = channels().await;
    assert_eq!(first.len(), 1, "{first:?}");
    redis.command("CLIENT KILL TYPE pubsub").await.unwrap();
    let is_another = async || matches!(&channels().await[..], [other] if *other != first[0]);
    until(async || node.is_complete() && is_another().await, "another channel").await;
}
