//! Changes of keys that are published on a real Redis server.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
    time::Instant,
};

use tower_warden::{
    Environment, Eventual, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyAddition, KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyPage, KeyQuery,
        KeyRecord, KeyStore, KeyUpdate, KeyUse, KeyWatcher, MemoryKeyStore, MergedChanges, NewKey,
    },
    layer::AuthLayer,
};
use tower_warden_redis::{RedisConnection, RedisNotifiedKeyStore};

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

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        self.0.append(addition)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.0.update(id, update)
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.0.purge(id, at)
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
    // A node without heartbeats drops its cached keys after three seconds: these were messages. Usually, they take less than a
    // millisecond.
    assert!(latencies[10] < seconds(3), "{latencies:?}");
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

/// A store that makes changes, and fails to report it.
struct Forgetful(Unwatched);

impl Forgetful {
    fn lose<T: Send + 'static>(outcome: Eventual<Result<T, KeyError>>) -> Eventual<Result<T, KeyError>> {
        outcome.map(|outcome| outcome.and_then(|_| Err(Unavailable::new("the test store").into())))
    }
}

impl KeyStore for Forgetful {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.0.find(digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.0.get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        Self::lose(self.0.insert(record))
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        // A panic is an unknown outcome too.
        let (revoked, panics) = (self.0.revoke(id, at), id.as_str() == "panics");
        Self::lose(revoked).map(move |lost| if panics { panic!("the test store panics") } else { lost })
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        Self::lose(self.0.rotate(id, successor, until))
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        Self::lose(self.0.append(addition))
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        Self::lose(self.0.update(id, update))
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        Self::lose(self.0.purge(id, at))
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.0.list(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.0.touch(uses)
    }
}

// (150)
#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_change_whose_outcome_is_unknown_is_published() {
    let (redis, store) = (Redis::shared().await, Arc::<MemoryKeyStore>::default());
    let environment = Environment::default().with_namespace("unknown-outcome".parse().unwrap());
    let other = Node::start_in(&redis, &store, &environment).await;
    let connection = connection(&redis, seconds(10)).await.environment(&environment);
    let lossy = Forgetful(Unwatched(Arc::clone(&store)));
    let lossy = RedisNotifiedKeyStore::listen(lossy, connection, redis.client()).await;

    type Change = fn(&dyn KeyStore, &KeyId) -> Eventual<Result<(), KeyError>>;
    let changes: [(&str, Change); 3] = [
        ("revoked", |store, id| store.revoke(id, UnixTime::from_secs(1))),
        ("replaced", |store, id| store.rotate(id, imported("successor", "successor"), UnixTime::from_secs(1))),
        ("updated", |store, id| store.update(id, &KeyUpdate::default().expires_at(UnixTime::from_secs(1)))),
    ];
    for (name, change) in changes {
        let key = unknown_key();
        store.insert(imported(name, key.expose())).wait().await.unwrap();
        until(async || other.status(key.expose()).await == 200, "the key").await;
        let outcome = change(&lossy, &KeyId::parse(name).unwrap()).wait().await;
        assert_eq!(outcome.unwrap_err().kind(), KeyErrorKind::Unavailable);
        until(async || other.status(key.expose()).await == 401, name).await;
    }

    let key = unknown_key();
    store.insert(imported("panics", key.expose())).wait().await.unwrap();
    until(async || other.status(key.expose()).await == 200, "the key").await;
    let outcome = lossy.revoke(&KeyId::parse("panics").unwrap(), UnixTime::from_secs(1)).wait().await;
    assert_eq!(outcome.unwrap_err().kind(), KeyErrorKind::Unavailable);
    until(async || other.status(key.expose()).await == 401, "the change of a store that panics").await;
}

/// A change that was certainly not made is not published: nobody must be able to empty caches with it.
#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_change_that_was_refused_is_not_published() {
    let (redis, store) = (Redis::shared().await, Arc::<MemoryKeyStore>::default());
    let environment = Environment::default().with_namespace("refused-change".parse().unwrap());
    let (one, other) =
        (Node::start_in(&redis, &store, &environment).await, Node::start_in(&redis, &store, &environment).await);
    let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(other.status(key.expose()).await, 200);
    // Bypasses the wrapper, so the other node learns of it only if a change of this key is published.
    store.revoke(&record.id, UnixTime::from_secs(1)).wait().await.unwrap();
    let refused = one.store.rotate(&record.id, imported("n", "n"), UnixTime::from_secs(9)).wait().await;
    assert_eq!(refused.unwrap_err().kind(), KeyErrorKind::Inactive);
    // Published after it, on the same connection.
    let (marker, marked) = one.keys.mint(NewKey::new("marker")).await.unwrap();
    assert_eq!(other.status(marked.expose()).await, 200);
    one.keys.revoke(&marker.id).await.unwrap();
    until(async || other.status(marked.expose()).await == 401, "the marker").await;
    assert_eq!(other.status(key.expose()).await, 200, "the refused change was published");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn an_update_on_one_node_reaches_the_other_over_redis() {
    let (redis, store) = (Redis::shared().await, Arc::default());
    let (one, other) = (Node::start(&redis, &store).await, Node::start(&redis, &store).await);
    let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(other.status(key.expose()).await, 200);
    one.keys.update(&record.id, KeyUpdate::default().expires_at(UnixTime::from_secs(1))).await.unwrap();
    until(async || other.status(key.expose()).await == 401, "the expiry").await;
    one.keys.update(&record.id, KeyUpdate::default().without_expiry()).await.unwrap();
    until(async || other.status(key.expose()).await == 200, "the key without expiry").await;
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn reports_of_added_keys_are_merged_however_often_they_are_published() {
    let redis = Redis::start().await;
    let node = Node::start(&redis, &Arc::default()).await;
    let (changes, start) = (watch(&*node.store), Instant::now());
    for message in [""; 300].into_iter().chain(["last"]) {
        redis.command(&format!("PUBLISH test:tower-warden:{{keys:1}} {message}")).await.unwrap();
    }
    let last = KeyChange::Changed(KeyId::parse("last").unwrap());
    until(async || changes.lock().unwrap().contains(&last), "all messages are received").await;
    let most = 1 + start.elapsed().as_millis() / MergedChanges::INTERVAL.as_millis();
    let added = changes.lock().unwrap().iter().filter(|change| **change == KeyChange::Added).count();
    assert!((1..=most).contains(&(added as u128)), "{added} of {most}");
}

/// The changes that are reported from now on.
fn watch(store: &impl KeyStore) -> Arc<Mutex<Vec<KeyChange>>> {
    let changes = Arc::<Mutex<Vec<_>>>::default();
    let seen = Arc::clone(&changes);
    store.watch(KeyWatcher::new(move |change| {
        seen.lock().unwrap().push(change.clone());
        ControlFlow::Continue(())
    }));
    changes
}

#[tokio::test]
async fn a_change_that_a_store_makes_at_once_is_reported_although_its_future_is_dropped_unpolled() {
    let client = redis::Client::open("redis://127.0.0.1:1/").unwrap();
    let connection = RedisConnection::connect(client.clone(), "test".parse().unwrap()).await;
    let store = RedisNotifiedKeyStore::listen(Unwatched(Arc::default()), connection, client).await;
    let id = KeyId::parse("key").unwrap();
    let record = KeyRecord::new(id.clone(), KeyDigest::sha256("key"), "alice", UnixTime::default());
    store.insert(record).wait().await.unwrap();
    let changes = watch(&store);
    drop(store.revoke(&id, UnixTime::default()));
    until(async || changes.lock().unwrap().contains(&KeyChange::Changed(id.clone())), "the change is reported").await;
}
