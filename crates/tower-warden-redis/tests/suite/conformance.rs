//! The conformance suites of `tower-warden`, on one server: each instance has its own namespace.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use redis::Client;
use tower_warden::{
    Environment, Eventual, Identity, Unavailable, UnixTime,
    api_key::{
        KeyAddition, KeyDigest, KeyError, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore, KeyUpdate, KeyUse, KeyWatcher,
        MemoryKeyStore,
    },
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
    revocation::RevocationList,
    testing::conformance::{
        LimiterTime, ReplayCapacity, RevocationEntry, RevokedBy, key_store, key_store_changes, key_store_management,
        key_store_management_changes, rate_limiter, replay_guard, revocation_list,
    },
};
use tower_warden_redis::{
    OnOutage, RedisConnection, RedisNotifiedKeyStore, RedisRateLimiter, RedisReplayGuard, RedisRevocationList,
};

use crate::{
    keys::Unwatched,
    limits::{UNHURRIED, number},
    revocations::later,
    server::Redis,
    support::{connection, seconds, secret},
};

/// A namespace that no other instance uses.
fn namespace() -> Environment {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("conformance-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    Environment::default().with_namespace(name.parse().unwrap())
}

/// The same connection in another namespace.
fn fresh(connection: &RedisConnection) -> RedisConnection {
    connection.clone().environment(&namespace())
}

/// A limiter that makes no decision without Redis: an outage fails the suite.
fn limiter(connection: &RedisConnection) -> RedisRateLimiter {
    RedisRateLimiter::new(fresh(connection), secret()).on_outage(OnOutage::Refuse)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn rate_limiter_conforms() {
    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    rate_limiter(LimiterTime::Real, async || limiter(&connection)).await;
}

/// A lease of one unit keeps nothing back, so the suite allows it; larger leases lose units, as documented.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn rate_limiter_with_leases_of_one_unit_conforms() {
    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    rate_limiter(LimiterTime::Real, async || limiter(&connection).leased(number(1), seconds(60))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn revocation_list_conforms() {
    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    let make = async || RedisRevocationList::listen(fresh(&connection), redis.client()).await;
    let revoke = async |list: &RedisRevocationList, entry: RevocationEntry<'_>| {
        list.revoke(entry.revocation(), later()).await.unwrap();
    };
    revocation_list(&RevokedBy::ALL, make, revoke).await;
}

/// Each credential is checked by another node, which reads the revocations from Redis when it starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn revocation_list_conforms_on_nodes_that_start_later() {
    struct StartingNodes {
        first: RedisRevocationList,
        connection: RedisConnection,
        client: Client,
    }

    impl RevocationList for StartingNodes {
        fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
            let (connection, client, identity) = (self.connection.clone(), self.client.clone(), identity.clone());
            Eventual::later(async move {
                RedisRevocationList::listen(connection, client).await.is_revoked(&identity).wait().await
            })
        }
    }

    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    let make = async || {
        let (connection, client) = (fresh(&connection), redis.client());
        let first = RedisRevocationList::listen(connection.clone(), client.clone()).await;
        StartingNodes { first, connection, client }
    };
    let revoke = async |nodes: &StartingNodes, entry: RevocationEntry<'_>| {
        nodes.first.revoke(entry.revocation(), later()).await.unwrap();
    };
    revocation_list(&RevokedBy::ALL, make, revoke).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn replay_guard_conforms() {
    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    replay_guard(ReplayCapacity::Unbounded, async || RedisReplayGuard::new(fresh(&connection))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn replay_guard_of_two_nodes_conforms() {
    /// Two nodes that take turns.
    struct Nodes {
        guards: [RedisReplayGuard; 2],
        uses: AtomicUsize,
    }

    impl ReplayGuard for Nodes {
        fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
            self.guards[self.uses.fetch_add(1, Ordering::Relaxed) % 2].record(proof)
        }
    }

    let redis = Redis::shared().await;
    let (one, other) = (connection(&redis, UNHURRIED).await, connection(&redis, UNHURRIED).await);
    let make = async || {
        let namespace = namespace();
        let guards = [&one, &other].map(|node| RedisReplayGuard::new(node.clone().environment(&namespace)));
        Nodes { guards, uses: AtomicUsize::new(0) }
    };
    replay_guard(ReplayCapacity::Unbounded, make).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn notified_key_store_conforms() {
    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    let make =
        async || RedisNotifiedKeyStore::listen(MemoryKeyStore::default(), fresh(&connection), redis.client()).await;
    key_store(make).await;
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn changes_of_one_node_are_reported_on_the_other_as_the_suite_demands() {
    let redis = Redis::shared().await;
    let connection = connection(&redis, UNHURRIED).await;
    let make = async || {
        let (store, connection) = (Arc::<MemoryKeyStore>::default(), fresh(&connection));
        let listen =
            || RedisNotifiedKeyStore::listen(Unwatched(Arc::clone(&store)), connection.clone(), redis.client());
        TwoNodes { changed: listen().await, watched: listen().await }
    };
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

/// Two nodes on a store that reports no changes itself: keys are changed on one, and watched and read on the other.
struct TwoNodes {
    changed: RedisNotifiedKeyStore<Unwatched>,
    watched: RedisNotifiedKeyStore<Unwatched>,
}

impl KeyStore for TwoNodes {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.watched.find(digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.watched.get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.changed.insert(record)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.changed.revoke(id, at)
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.changed.rotate(id, successor, until)
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        self.changed.append(addition)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.changed.update(id, update)
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.changed.purge(id, at)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.watched.list(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.changed.touch(uses)
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.watched.watch(watcher);
    }
}
