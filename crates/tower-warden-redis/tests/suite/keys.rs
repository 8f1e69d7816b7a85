//! Changes of keys that are published on a real Redis server.

use std::{sync::Arc, time::Duration};

use tower_warden::{
    Environment, Eventual, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyDigest, KeyError, KeyFormat, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore, KeyUse, MemoryKeyStore,
        NewKey,
    },
    layer::AuthLayer,
};
use tower_warden_redis::RedisNotifiedKeyStore;

use crate::{
    server::Redis,
    support::{App, authenticated, bearer, connection, imported, seconds, send, unknown_key, until},
};

/// A node that caches keys for an hour, on a store that other nodes share without notifications.
pub(crate) struct Node {
    store: Arc<RedisNotifiedKeyStore<Unwatched>>,
    pub(crate) keys: ApiKeys,
    app: App,
}

/// A store that does not report changes, as a store in another process does not.
pub(crate) struct Unwatched(pub(crate) Arc<MemoryKeyStore>);

impl Node {
    async fn start(redis: &Redis, store: &Arc<MemoryKeyStore>) -> Self {
        Self::start_in(redis, store, &Environment::default()).await
    }

    pub(crate) async fn start_in(redis: &Redis, store: &Arc<MemoryKeyStore>, environment: &Environment) -> Self {
        let (store, connection) = (Unwatched(Arc::clone(store)), connection(redis, seconds(10)).await);
        let store = RedisNotifiedKeyStore::listen(store, connection.environment(environment), redis.client()).await;
        let store = Arc::new(store);
        let keys = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap());
        let keys = keys.positive_ttl(seconds(3_600)).negative_ttl(seconds(3_600)).build();
        Self { app: authenticated(&AuthLayer::new(keys.clone())), keys, store }
    }

    pub(crate) async fn status(&self, key: &str) -> u16 {
        send(&self.app, bearer(key)).await.status.as_u16()
    }
}

impl KeyStore for Unwatched {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.0.find(digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.0.get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.0.insert(record)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.0.revoke(id, at)
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.0.rotate(id, successor, until)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.0.list(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.0.touch(uses)
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_revocation_on_one_node_reaches_the_other_over_redis() {
    let (redis, store) = (Redis::shared().await, Arc::default());
    let (one, other) = (Node::start(&redis, &store).await, Node::start(&redis, &store).await);
    let mut latencies = Vec::new();
    for _ in 0..20 {
        let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
        assert_eq!((one.status(key.expose()).await, other.status(key.expose()).await), (200, 200));
        one.keys.revoke(&record.id).await.unwrap();
        assert_eq!(one.status(key.expose()).await, 401, "at once on the node itself");
        latencies.push(until(async || other.status(key.expose()).await == 401, "the revocation").await);
    }
    latencies.sort();
    println!("revocation to the other node: median {:?}, max {:?}", latencies[10], latencies[19]);
    // The documented bound, far more than the usual time.
    assert!(latencies[10] < Duration::from_millis(100), "{latencies:?}");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_key_that_was_unknown_is_valid_on_all_nodes_once_it_is_added() {
    let (redis, store) = (Redis::shared().await, Arc::default());
    let (one, other) = (Node::start(&redis, &store).await, Node::start(&redis, &store).await);
    let unknown = unknown_key();
    assert_eq!(other.status(unknown.expose()).await, 401);
    let record = imported("key_1", unknown.expose());
    one.store.insert(record).wait().await.unwrap();
    until(async || other.status(unknown.expose()).await == 200, "the new key").await;
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_that_loses_redis_drops_what_it_has_cached() {
    let (redis, store) = (Redis::start().await, Arc::<MemoryKeyStore>::default());
    let node = Node::start(&redis, &store).await;
    let (record, key) = node.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(node.status(key.expose()).await, 200);
    // Bypasses the wrapper: a subscribed node cannot know.
    store.revoke(&record.id, UnixTime::from_secs(1)).wait().await.unwrap();
    assert_eq!(node.status(key.expose()).await, 200);
    redis.kill();
    until(async || node.status(key.expose()).await == 401, "cached keys are dropped").await;
    redis.launch().await;
    let (_, key) = node.keys.mint(NewKey::new("bob")).await.unwrap();
    assert_eq!(node.status(key.expose()).await, 200);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_change_during_an_outage_is_published_when_redis_is_available() {
    let (redis, store) = (Redis::start().await, Arc::default());
    let (one, other) = (Node::start(&redis, &store).await, Node::start(&redis, &store).await);
    let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(other.status(key.expose()).await, 200);
    redis.kill();
    one.keys.revoke(&record.id).await.unwrap();
    assert_eq!(one.status(key.expose()).await, 401);
    redis.launch().await;
    until(async || other.status(key.expose()).await == 401, "the revocation").await;
}
