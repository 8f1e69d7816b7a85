//! A user with the least rights, as the documentation of the crate lists them.

use tower_warden::{
    api_key::{KeyStore, MemoryKeyStore},
    rate_limit::{Decision, LimitRequest, Quota, QuotaSet, RateLimiter},
    replay::{ReplayGuard, ReplayVerdict},
    revocation::{Revocation, RevocationList},
};
use tower_warden_redis::{
    OnOutage, RedisConnection, RedisNotifiedKeyStore, RedisRateLimiter, RedisReplayGuard, RedisRevocationList,
};

use crate::{
    proofs::proof,
    revocations::later,
    server::Redis,
    support::{ISSUER, imported, limit_key, seconds, secret, token, until},
};

/// The line of the documentation, without the prompt and with a password.
pub(crate) fn documented() -> String {
    let documentation = include_str!("../../src/lib.rs");
    let line = documentation.lines().find_map(|line| line.strip_prefix("//! ACL SETUSER "));
    format!("ACL SETUSER {}", line.expect("the documentation lists the rights").replace(">PASSWORD", ">word"))
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn the_documented_rights_are_enough_for_all_stores() {
    let redis = Redis::start().await;
    redis.command(&documented()).await.unwrap();
    let client = redis::Client::open(format!("redis://billing:word@127.0.0.1:{}/", redis.port)).unwrap();
    let connection = RedisConnection::connect(client.clone(), "billing".parse().unwrap()).await.timeout(seconds(10));
    assert_eq!(connection.problem(), None);

    let limiter = RedisRateLimiter::new(connection.clone(), secret()).on_outage(OnOutage::Refuse);
    let (key, quotas) = (limit_key("alice"), QuotaSet::from(Quota::per_day(1)));
    for expected in [true, false] {
        let decision = limiter.take(&LimitRequest::new(&key, &quotas)).wait().await.unwrap();
        assert_eq!(matches!(decision, Decision::Admitted(_)), expected);
    }

    let guard = RedisReplayGuard::new(connection.clone());
    for expected in [ReplayVerdict::New, ReplayVerdict::Replayed] {
        assert_eq!(guard.record(&proof("key", "1", 60)).wait().await.unwrap(), expected);
    }

    let list = RedisRevocationList::listen(connection.clone(), client.clone()).await;
    until(async || list.is_complete(), "the copy is complete").await;
    for _ in 0..2 {
        list.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    }
    // A node that does not listen queries.
    let elsewhere = Redis::start().await;
    let other = RedisRevocationList::listen(connection.clone(), elsewhere.client()).await;
    for node in [&list, &other] {
        assert!(node.is_revoked(&token("1")).wait().await.unwrap());
        assert!(!node.is_revoked(&token("2")).wait().await.unwrap());
    }

    let store = RedisNotifiedKeyStore::listen(MemoryKeyStore::default(), connection.clone(), client).await;
    store.insert(imported("key_1", "key")).wait().await.unwrap();
    assert_eq!(connection.problem(), None);

    // The user can do nothing else.
    let denied: Vec<Vec<redis::Value>> = redis::from_redis_value(redis.command("ACL LOG").await.unwrap()).unwrap();
    let denied: Vec<_> = denied.into_iter().map(|entry| format!("{entry:?}")).collect();
    assert!(denied.iter().all(|entry| entry.contains("client|setinfo")), "{denied:?}");
}
