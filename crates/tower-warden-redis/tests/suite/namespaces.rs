//! Services with different namespaces on one Redis server.

use std::sync::Arc;

use redis::AsyncCommands;
use tower_warden::{
    Clock, Environment, SystemClock,
    api_key::{MemoryKeyStore, NewKey},
    rate_limit::{Decision, LimitRequest, Quota, QuotaSet, RateLimiter},
    replay::{ReplayGuard, ReplayVerdict},
    revocation::{Revocation, RevocationList},
};
use tower_warden_redis::{RedisConnection, RedisRateLimiter, RedisReplayGuard, RedisRevocationList};

use crate::{
    keys::Node,
    proofs::proof,
    server::Redis,
    support::{ISSUER, connection, limit_key, seconds, secret, token, until},
};

fn environments() -> [Environment; 3] {
    let named = |name: &str| Environment::default().with_namespace(name.parse().unwrap());
    [named("search"), named("billing"), named("tower-warden")]
}

/// One connection for all: the namespace belongs to the handle.
async fn handles(redis: &Redis) -> [RedisConnection; 3] {
    let connection = connection(redis, seconds(10)).await;
    environments().map(|environment| connection.clone().environment(&environment))
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn two_namespaces_on_one_server_share_neither_limits_nor_revocations_nor_proofs_nor_key_changes() {
    let redis = Redis::start().await;
    let handles = handles(&redis).await;

    let (key, quotas) = (limit_key("alice"), QuotaSet::from(Quota::per_day(1)));
    for handle in &handles {
        for expected in [true, false] {
            // A new node each time, which knows no exhausted keys.
            let limiter = RedisRateLimiter::new(handle.clone(), secret());
            let decision = limiter.take(&LimitRequest::new(&key, &quotas)).wait().await.unwrap();
            assert_eq!(matches!(decision, Decision::Admitted(_)), expected);
            assert_eq!(limiter.counts().redis, 1);
        }
    }

    for handle in &handles {
        let guard = RedisReplayGuard::new(handle.clone());
        for expected in [ReplayVerdict::New, ReplayVerdict::Replayed] {
            assert_eq!(guard.record(&proof("key", "1", 60)).wait().await.unwrap(), expected);
        }
    }

    let mut lists = Vec::new();
    for handle in &handles {
        let list = RedisRevocationList::listen(handle.clone(), redis.client()).await;
        until(async || list.is_complete(), "the copy is complete").await;
        lists.push(list);
    }
    let end = SystemClock::default().now() + seconds(3_600);
    for (index, list) in lists.iter().enumerate() {
        list.revoke(Revocation::token(ISSUER, index.to_string()), end).await.unwrap();
    }
    for (index, handle) in handles.iter().enumerate() {
        let later = RedisRevocationList::listen(handle.clone(), redis.client()).await;
        for id in 0..lists.len() {
            let token = token(&id.to_string());
            for list in [&lists[index], &later] {
                assert_eq!(list.is_revoked(&token).wait().await.unwrap(), id == index, "token {id} on list {index}");
            }
        }
    }

    let store = Arc::<MemoryKeyStore>::default();
    let mut nodes = Vec::new();
    for environment in &environments()[..2] {
        nodes.push(Node::start_in(&redis, &store, environment).await);
        nodes.push(Node::start_in(&redis, &store, environment).await);
    }
    let (record, secret) = nodes[0].keys.mint(NewKey::new("alice")).await.unwrap();
    for node in &nodes {
        assert_eq!(node.status(secret.expose()).await, 200);
    }
    nodes[0].keys.revoke(&record.id).await.unwrap();
    until(async || nodes[1].status(secret.expose()).await == 401, "the change in the same namespace").await;
    assert_eq!((nodes[2].status(secret.expose()).await, nodes[3].status(secret.expose()).await), (200, 200));
    nodes[2].keys.revoke(&record.id).await.unwrap();
    until(async || nodes[3].status(secret.expose()).await == 401, "the change in the same namespace").await;

    let names: Vec<String> = redis.connection().await.keys("*").await.unwrap();
    // A quota, the proofs of a key, and the two keys of the list; in each of three namespaces.
    assert_eq!(names.len(), 12, "{names:?}");
    let count = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    for namespace in ["search", "billing", "tower-warden"] {
        let count = |prefix: &str| count(&format!("{namespace}:tower-warden:{prefix}"));
        assert_eq!(
            (count(""), count("{revoked:1}:"), count("limit:2:{"), count("proof:2:")),
            (4, 2, 1, 1),
            "{names:?}"
        );
    }
}
