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
//! | [`RedisReplayGuard`] | [`ReplayGuard`](tower_warden::replay::ReplayGuard) | one key for each used proof, until it has expired | one for each proof |
//! | [`RedisNotifiedKeyStore`] | [`KeyStore`](tower_warden::api_key::KeyStore), around another store | none: messages only | one for each change of a key |
//!
//! All of them use a [`RedisConnection`], which is cheap to clone. Clusters and sentinels are supported through
//! [`RedisConnection::connect_with`]; all keys of one command are in the same slot.
//!
//! # Deployment
//!
//! **Outages.** The process also starts while Redis is unavailable. Each command has a time limit, the
//! [timeout](RedisConnection::timeout) of its connection, and commands fail at once while the connection is known to be
//! down; connections are restored in the background. Limits are decided by each node on its own meanwhile, unless
//! [`OnOutage`] is configured otherwise. Revocations that a node has received still apply; all other credentials are
//! refused with 503, because they may have been revoked. Requests with a proof of possession that is checked for replay
//! are refused with 503. Changes of keys are made, and published later; nodes that lose their connection drop their cached
//! keys.
//!
//! **Persistence.** Revocations must survive a restart of Redis: set `appendonly yes`. Limits and used proofs that are lost
//! in a restart are reset: callers have their burst again, and a proof can be used a second time while it is valid.
//!
//! **Eviction.** Set `maxmemory-policy noeviction`. An evicted key is a quota that is reset, a revocation that nodes which
//! start later do not know, or a proof that can be used again.
//!
//! **Replication.** A failover loses writes that were not replicated, with the same effects as a restart without
//! persistence. [`RedisConnection::connect_with`] has to connect to the primary: a connection to a read-only replica is
//! closed and opened again.
//!
//! **Namespaces.** Services on one server need different namespaces, an argument of [`RedisConnection::connect`]. Keys and
//! channels begin with the namespace and `:tower-warden:`.
//!
//! **TLS.** Enable a TLS feature of the crate `redis`, and use a `rediss://` URL.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use self::{
    connection::RedisConnection,
    key_store::RedisNotifiedKeyStore,
    rate_limit::{DecisionCounts, OnOutage, RedisRateLimiter},
    replay::RedisReplayGuard,
    revocation::RedisRevocationList,
};

mod connection;
mod key_store;
mod pubsub;
mod rate_limit;
mod replay;
mod retry;
mod revocation;

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
