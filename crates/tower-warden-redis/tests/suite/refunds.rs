//! Costs that are corrected while the limiter decides without Redis, or after that.

use tower_warden::rate_limit::{DecidedBy, Decision, LimitRequest, LimitStatus, Quota, QuotaSet, RateLimiter};
use tower_warden_redis::RedisRateLimiter;

use crate::{
    limits::{node, number, take},
    server::Redis,
    support::{limit_key, until},
};

/// Takes units of alice, which must be available.
async fn status(limiter: &RedisRateLimiter, quotas: &QuotaSet, cost: u32) -> LimitStatus {
    match take(limiter, "alice", quotas, cost).await {
        Decision::Admitted(status) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn units_that_were_taken_locally_in_an_outage_are_not_returned_to_redis() {
    let redis = Redis::absent();
    let (one, key, quotas) = (node(&redis).await, limit_key("alice"), QuotaSet::from(Quota::per_day(10)));
    let mut five = LimitRequest::new(&key, &quotas).cost(number(5));
    five.by_substitute = status(&one, &quotas, 5).await.decided_by == DecidedBy::Substitute;
    assert!(five.by_substitute);
    match take(&one, "alice", &quotas, 6).await {
        Decision::Refused(exceeded) => assert_eq!(exceeded.status.decided_by, DecidedBy::Substitute),
        other => panic!("{other:?}"),
    }
    redis.launch().await;
    let other = node(&redis).await;
    assert_eq!(status(&other, &quotas, 5).await.remaining, 5);
    until(async || one.check().await.is_ok(), "the node uses Redis").await;
    one.settle(&five.settled(6), 4).wait().await.unwrap();
    one.settle(&five.settled(4), 0).wait().await.unwrap();
    assert_eq!(status(&other, &quotas, 1).await.remaining, 4);
    one.settle(&five, 7).wait().await.unwrap();
    let last = status(&other, &quotas, 1).await;
    assert_eq!((last.remaining, last.decided_by), (1, DecidedBy::Store), "further units are taken from Redis");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn in_an_outage_a_node_returns_the_units_that_it_took_itself_and_no_others() {
    let redis = Redis::start().await;
    let (one, key, quotas) = (node(&redis).await, limit_key("alice"), QuotaSet::from(Quota::per_day(20)));
    let of_redis = LimitRequest::new(&key, &quotas).cost(number(5));
    assert_eq!(status(&one, &quotas, 5).await.remaining, 15);
    redis.kill();
    until(async || one.check().await.is_err(), "the outage").await;
    let mut local = LimitRequest::new(&key, &quotas).cost(number(6));
    let taken = status(&one, &quotas, 6).await;
    assert_eq!((taken.remaining, taken.decided_by), (14, DecidedBy::Substitute));
    local.by_substitute = true;
    one.settle(&of_redis, 0).wait().await.unwrap();
    assert_eq!(status(&one, &quotas, 1).await.remaining, 13);
    one.settle(&of_redis, 7).wait().await.unwrap();
    assert_eq!(status(&one, &quotas, 1).await.remaining, 10, "further units are taken");
    one.settle(&local, 2).wait().await.unwrap();
    assert_eq!(status(&one, &quotas, 1).await.remaining, 13);
    // Where the units above the admitted cost were taken is not known.
    one.settle(&local.settled(9), 2).wait().await.unwrap();
    assert_eq!(status(&one, &quotas, 1).await.remaining, 16);
}
