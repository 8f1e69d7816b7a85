//! Rate limits, revocations, used proofs and changes of API keys of [`tower-warden`](tower_warden), shared by many nodes
//! on Redis or Valkey.
//!
//! # Examples
//!
//! A service whose limits and revocations apply to all of its nodes:
//!
//! ```no_run
//! use tower_warden::{
//!     Environment,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
//!     layer::{AuthLayer, RateLimitLayer},
//!     rate_limit::{LimitBy, LimitSecret, Quota},
//! };
//! use tower_warden_redis::{RedisConnection, RedisNotifiedKeyStore, RedisRateLimiter, RedisRevocationList};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::default();
//! let client = redis::Client::open("redis://127.0.0.1/")?;
//! let connection = RedisConnection::connect(client.clone(), "billing".parse()?).await.environment(&environment);
//!
//! let store = MemoryKeyStore::default(); // in practice, a store that all nodes share
//! let store = RedisNotifiedKeyStore::listen(store, connection.clone(), client.clone()).await;
//! let keys = ApiKeys::builder(store, KeyFormat::new("sk_live")?).environment(&environment).build();
//!
//! let revocations = RedisRevocationList::listen(connection.clone(), client).await;
//! let auth = AuthLayer::new(keys).environment(&environment).revocations(revocations.clone());
//!
//! let limiter = RedisRateLimiter::new(connection, LimitSecret::new(std::env::var("LIMIT_SECRET")?)?);
//! let limit = RateLimitLayer::new("calls", limiter, LimitBy::principal(), Quota::per_second(50).burst(100));
//! # Ok(()) }
//! ```
//!
//! # Stores
//!
//! | type | implements | state in Redis | round trips |
//! |---|---|---|---|
//! | [`RedisRateLimiter`] | [`RateLimiter`](tower_warden::rate_limit::RateLimiter) | one key for each caller and quota, until the quota is unused again | one for each request, fewer with [leases](RedisRateLimiter::leased) |
//! | [`RedisRevocationList`] | [`RevocationList`](tower_warden::revocation::RevocationList) | a hash and a sorted set | none: each node has a copy |
//! | [`RedisReplayGuard`] | [`ReplayGuard`](tower_warden::replay::ReplayGuard) | one sorted set for each key of clients, until its proofs have expired | one for each proof |
//! | [`RedisNotifiedKeyStore`] | [`KeyStore`](tower_warden::api_key::KeyStore), around another store | none: messages only | one for each change of a key |
//!
//! All of them use a [`RedisConnection`], which is cheap to clone. All keys of one command are in the same slot of a cluster.
//!
//! # Topologies
//!
//! [`RedisClient`] is made from the client of one server, of sentinels or of a cluster. Each is tested with real servers:
//! Redis 7, and Valkey 8.
//!
//! | servers | cargo feature | after a failover |
//! |---|---|---|
//! | one address | | its server has to become the master again: a replica and a master that lacks replicas are not used |
//! | sentinels | `sentinel` | connections and subscriptions follow the master that the sentinels report, within about a second |
//! | a cluster | `cluster` | connections and subscriptions follow the slot |
//!
//! - **Sentinels**: list all of them. Set `min-replicas-to-write 1` and `min-replicas-max-lag 10` on the servers: a master
//!   that is cut off from its replicas refuses writes then (Redis 7, any Valkey), and nodes on its side of the network
//!   respond with 503 instead of admitting credentials that were revoked on the other side. Each [`RedisConnection`]
//!   queries the sentinels once a second, up to three at once, and each query connects to the master to verify its role.
//! - **Clusters**: call `ClusterClientBuilder::use_protocol(ProtocolVersion::RESP3)`, without which the crate `redis` cannot
//!   subscribe. Masters in the minority refuse writes after `cluster-node-timeout`.
//! - Listeners subscribe at the server that accepts writes and publish a heartbeat there, 20 times a second for revocations
//!   and once a second for changes of keys. A list that does not receive its own heartbeat is not
//!   [complete](RedisRevocationList::is_complete), and cached keys are dropped.
//!
//! # Deployment
//!
//! **Outages.** The process also starts while Redis is unavailable. Each command has a time limit, the
//! [timeout](RedisConnection::timeout) of its connection, and commands fail at once while the connection is known to be
//! down; connections are restored in the background. Limits are decided by each node on its own meanwhile, unless
//! [`OnOutage`] is configured otherwise. Revocations that a node has received still apply; all other credentials are
//! refused with 503, because they may have been revoked. Requests with a proof of possession that is checked for replay
//! are refused with 503. Changes of keys are made, and published later; nodes that lose their connection drop their cached
//! keys. An outage is one warning when it begins and every five minutes, and one line at the level info when it ends.
//!
//! **Readiness.** [`RedisConnection::problem`] reports why Redis cannot be used. A wrong password, a missing right or a key
//! of another type never ends by itself: it is an error in the log, with the rights that are needed, when it begins and
//! once a minute.
//!
//! **Rights.** All stores together need these rights, here for the namespace `billing`. With sentinels, add `+role`; in
//! a cluster, add `+cluster|slots +readonly`.
//!
//! ```text
//! ACL SETUSER billing on >PASSWORD resetkeys resetchannels -@all ~billing:tower-warden:* &billing:tower-warden:* ~tower-warden:probe +ping +del +eval +evalsha +time +get +set +hget +hset +hdel +hmget +hgetall +zadd +zrem +zrangebyscore +zremrangebyscore +zscore +zcard +zrange +ttl +expire +publish +subscribe
//! ```
//!
//! | store | commands |
//! |---|---|
//! | all | `ping del`; with sentinels `role`; in a cluster `cluster\|slots readonly` |
//! | [`RedisRateLimiter`] | `eval evalsha time get set del` |
//! | [`RedisRevocationList`] | `eval evalsha time del hget hset hdel hmget hgetall zadd zrem zrangebyscore publish subscribe` |
//! | [`RedisReplayGuard`] | `eval evalsha zscore zadd zremrangebyscore zcard zrange ttl expire` |
//! | [`RedisNotifiedKeyStore`] | `eval evalsha del publish subscribe` |
//!
//! **Persistence.** Revocations must survive a restart of Redis: set `appendonly yes`. Limits and used proofs that are lost
//! in a restart are reset: callers have their burst again, and a proof can be used a second time while it is valid.
//!
//! **Eviction.** Set `maxmemory-policy noeviction`. An evicted key is a quota that is reset, a revocation that nodes which
//! start later do not know, or a proof that can be used again.
//!
//! **Replication.** Replication is asynchronous, so a failover loses the last writes, with the same effects as a
//! restart without persistence: a proof that was used shortly before can be used a second time, and a revocation can be
//! lost although `revoke` succeeded. Nodes that received it still apply it. A connection to a read-only replica is
//! closed and opened again.
//!
//! **Namespaces.** Services on one server need different namespaces, an argument of [`RedisConnection::connect`]. Keys
//! and channels begin with the namespace and `:tower-warden:`, except the key `tower-warden:probe`: it never exists,
//! and its deletion shows whether a server accepts writes.
//!
//! **TLS.** Enable the feature `tls` (rustls), and use `rediss://` URLs. The roots are those of the machine; for a private
//! authority or a client certificate, use `redis::Client::build_with_tls`, `SentinelClientBuilder` or
//! `ClusterClientBuilder::certs`. If other crates of the build enable a second cryptography library of rustls, the process
//! has to install one with `rustls::crypto::CryptoProvider::install_default`.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use self::{
    client::RedisClient,
    connection::{RedisConnection, RedisProblem},
    key_store::RedisNotifiedKeyStore,
    rate_limit::{DecisionCounts, OnOutage, RedisRateLimiter},
    replay::RedisReplayGuard,
    revocation::RedisRevocationList,
};

mod client;
mod connection;
mod key_changes;
mod key_store;
mod listener;
mod rate_limit;
mod replay;
mod retry;
mod revocation;

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
