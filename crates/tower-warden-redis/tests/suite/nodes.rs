//! Nodes that share everything, on any deployment of Redis.
#![cfg_attr(not(any(feature = "cluster", feature = "sentinel")), expect(dead_code, reason = "only those use it"))]

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use tower_warden::{
    api_key::{ApiKeys, KeyChange, KeyFormat, KeyStore, KeyWatcher, MemoryKeyStore, NewKey},
    rate_limit::{Decision, LimitRequest, Quota, QuotaSet, RateLimiter},
    replay::{ReplayGuard, ReplayVerdict},
    revocation::{Revocation, RevocationList},
};
use tower_warden_redis::{
    OnOutage, RedisClient, RedisConnection, RedisNotifiedKeyStore, RedisRateLimiter, RedisReplayGuard,
    RedisRevocationList,
};

use crate::{
    keys::Unwatched,
    proofs::proof,
    revocations::later,
    support::{ISSUER, limit_key, secret, token, until, until_some},
};

/// A node with all that can be shared.
pub(crate) struct Node {
    pub(crate) connection: RedisConnection,
    pub(crate) list: RedisRevocationList,
    keys: ApiKeys,
    store: Arc<RedisNotifiedKeyStore<Unwatched>>,
}

impl Node {
    pub(crate) async fn start(client: RedisClient, keys: &Arc<MemoryKeyStore>) -> Self {
        let connection =
            RedisConnection::connect(client.clone(), "test".parse().unwrap()).await.timeout(Duration::from_millis(500));
        let list = RedisRevocationList::listen(connection.clone(), client.clone()).await;
        let store = RedisNotifiedKeyStore::listen(Unwatched(Arc::clone(keys)), connection.clone(), client).await;
        let store = Arc::new(store);
        let keys = ApiKeys::new(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap());
        Self { connection, list, keys, store }
    }
}

/// Waits until what one node does takes effect on the other.
pub(crate) async fn all_is_shared(one: &Node, other: &Node, what: &str) {
    until(async || one.list.is_complete() && other.list.is_complete(), "the copies are complete").await;
    let revoke = async || one.list.revoke(Revocation::token(ISSUER, what), later()).await.is_ok();
    until(revoke, "it is revoked").await;
    until(async || other.list.is_revoked(&token(what)).wait().await.is_ok_and(|revoked| revoked), "the revocation")
        .await;

    let (record, _) = one.keys.mint(NewKey::new("alice")).await.unwrap();
    let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
    other.store.watch(KeyWatcher::new(move |change| {
        let _ = sender.send(change.clone());
        ControlFlow::Continue(())
    }));
    one.keys.revoke(&record.id).await.unwrap();
    // A node that was not subscribed is notified that it has missed changes.
    let is_notified = |change: KeyChange| match change {
        KeyChange::Changed(id) => id == record.id,
        change => change == KeyChange::Missed,
    };
    until(async || std::iter::from_fn(|| changes.try_recv().ok()).any(is_notified), "the change of the key").await;

    let (key, quotas) = (limit_key(what), QuotaSet::from(Quota::per_day(1)));
    let takes = async |node: &Node| {
        let limiter = RedisRateLimiter::new(node.connection.clone(), secret()).on_outage(OnOutage::Refuse);
        limiter.take(&LimitRequest::new(&key, &quotas)).wait().await.ok()
    };
    until_some(async || takes(one).await, "a decision").await;
    let decision = until_some(async || takes(other).await, "a decision of the other").await;
    assert!(matches!(decision, Decision::Refused(_)), "{what}");

    let replayed = async |node: &Node| {
        let guard = RedisReplayGuard::new(node.connection.clone());
        guard.record(&proof("key", what, 60)).wait().await.ok()
    };
    until_some(async || replayed(one).await, "a verdict").await;
    let verdict = until_some(async || replayed(other).await, "a verdict of the other").await;
    assert_eq!(verdict, ReplayVerdict::Replayed, "{what}");
}
