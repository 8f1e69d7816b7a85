//! Nodes that hear of changed keys over a real Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyDigest, KeyError, KeyFormat, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore, KeyUse, MemoryKeyStore,
        NewKey, RedisNotifiedKeyStore,
    },
    layer::AuthLayer,
    redis::RedisConnection,
};

use crate::{
    redis_server::{PATIENCE, Redis},
    support::{App, app, bearer, seconds, send},
};

/// A node with a cache that would last for an hour, on a store that it shares with others without a word.
struct Node {
    store: Arc<RedisNotifiedKeyStore<Deaf>>,
    keys: ApiKeys,
    app: App,
}

/// A store whose changes are heard of by nobody: a process of its own would not hear of them either.
struct Deaf(Arc<MemoryKeyStore>);

impl Node {
    async fn start(redis: &Redis, store: &Arc<MemoryKeyStore>) -> Self {
        let line = RedisConnection::connect(redis.client()).await.patience(seconds(10));
        let store = Arc::new(RedisNotifiedKeyStore::listen(Deaf(Arc::clone(store)), line, redis.client()).await);
        let keys = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap());
        let keys = keys.positive_ttl(seconds(3_600)).negative_ttl(seconds(3_600)).build();
        Self { app: app(&AuthLayer::new(keys.clone())), keys, store }
    }

    async fn status(&self, key: &str) -> u16 {
        send(self.app.clone(), bearer(key)).await.status.as_u16()
    }
}

impl KeyStore for Deaf {
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
    // What is promised, far more than it takes.
    assert!(latencies[10] < Duration::from_millis(100), "{latencies:?}");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_key_that_was_unknown_is_good_everywhere_once_it_is_there() {
    let (redis, store) = (Redis::shared().await, Arc::default());
    let (one, other) = (Node::start(&redis, &store).await, Node::start(&redis, &store).await);
    let unknown = crate::support::unknown_key();
    assert_eq!(other.status(unknown.expose()).await, 401);
    let record = crate::support::imported("key_1", unknown.expose());
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
    // Behind everybody's back: while the node listens, it cannot know.
    store.revoke(&record.id, UnixTime::from_secs(1)).wait().await.unwrap();
    assert_eq!(node.status(key.expose()).await, 200);
    redis.kill();
    until(async || node.status(key.expose()).await == 401, "what is cached is dropped").await;
    redis.launch().await;
    let (_, key) = node.keys.mint(NewKey::new("bob")).await.unwrap();
    assert_eq!(node.status(key.expose()).await, 200);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_change_that_was_made_while_redis_was_down_is_told_when_it_is_back() {
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
