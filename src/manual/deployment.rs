//! One node, many nodes, proxies, TLS, readiness and shutdown.
//!
//! # One node
//!
//! The defaults are for one process: limits, revocations and used proofs in memory, API keys in memory or in SQLite. Order
//! the layers from the outside in:
//!
//! 1. [`AuditLayer`](crate::layer::AuditLayer), which records one event for each request, also for those that a layer
//!    refuses;
//! 2. [`ConcealLayer`](crate::layer::ConcealLayer), so that log layers print no credential; with servers other than axum's, or
//!    with [`BodyCheckLayer`](crate::layer::BodyCheckLayer), [`WebhookLayer`](crate::layer::WebhookLayer) or
//!    [`McpGuardLayer`](crate::layer::McpGuardLayer), [`DrainLayer`](crate::layer::DrainLayer), so that a refusal reaches a client
//!    that is still uploading; then trace and CORS layers (of `tower-http`): CORS preflights carry no credential and must not
//!    reach `AuthLayer`;
//! 3. [`ClientAddressLayer`](crate::layer::ClientAddressLayer) and
//!    [`ForwardedCertificateLayer`](crate::layer::ForwardedCertificateLayer), if there is a proxy;
//! 4. [`RateLimitLayer`](crate::layer::RateLimitLayer) by peer and [`FailureLimitLayer`](crate::layer::FailureLimitLayer);
//! 5. [`AuthLayer`](crate::layer::AuthLayer), and [`StreamGuardLayer`](crate::layer::StreamGuardLayer) if responses take
//!    long;
//! 6. [`RateLimitLayer`](crate::layer::RateLimitLayer) by principal or tenant,
//!    [`ConcurrencyLayer`](crate::layer::ConcurrencyLayer);
//! 7. [`RoleLayer`](crate::layer::RoleLayer), if scopes follow from roles, and
//!    [`AuthorizeLayer`](crate::layer::AuthorizeLayer) on the routes that need it;
//! 8. [`BodyCheckLayer`](crate::layer::BodyCheckLayer), which inspects the bodies of admitted requests. Exception:
//!    `ContentDigestCheck`, for signed requests, is outside of `AuthLayer`, and a limit by client address outside of it;
//! 9. [`McpGuardLayer`](crate::layer::McpGuardLayer), in front of an MCP server.
//!
//! In axum, `Router::layer` covers only the routes that were added before it, and the last layer that is added is the outermost
//! one. Add `AuthLayer` after the layers that are inside of it, and public routes, such as a health check, after it.
//!
//! # Many nodes
//!
//! | shared state | in one process | on many nodes |
//! |---|---|---|
//! | API keys | [`MemoryKeyStore`](crate::api_key::MemoryKeyStore), SQLite | `SqlKeyStore` of `tower-warden-sql` on Postgres, which notifies the other nodes |
//! | rate limits | [`LocalRateLimiter`](crate::rate_limit::LocalRateLimiter) | `RedisRateLimiter` of `tower-warden-redis` |
//! | revocations | [`MemoryRevocationList`](crate::revocation::MemoryRevocationList) | `RedisRevocationList` |
//! | used DPoP proofs | [`MemoryReplayGuard`](crate::replay::MemoryReplayGuard) | `RedisReplayGuard` |
//! | clients, refresh tokens and signing keys of `tower-warden-issuer` | its stores in memory, SQLite | `SqlIssuerStore` of `tower-warden-sql` on Postgres |
//! | changes of keys in any store | the process itself | `RedisNotifiedKeyStore` around the store |
//!
//! Two services on one Redis need two namespaces: `RedisConnection::connect` requires one, and `RedisRateLimiter` the
//! [`LimitSecret`](crate::rate_limit::LimitSecret) of the deployment. Counts of limits in memory are forgotten at a restart.
//! The clock, the trusted proxies, the namespace and the receiver of notices are configured once, in an [`Environment`](crate::Environment), from which
//! layers, key sources and stores take what they need:
//!
//! ```
//! use tower_warden::{
//!     Environment,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
//!     layer::{AuthLayer, ClientAddressLayer},
//!     request::TrustedProxies,
//! };
//!
//! let environment = Environment::default()
//!     .with_namespace("billing".parse()?)
//!     .with_trusted_proxies(TrustedProxies::new(["10.0.0.0/8".parse()?]));
//!
//! let address = ClientAddressLayer::new(environment.trusted_proxies());
//! let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_live")?).environment(&environment).build();
//! let auth = AuthLayer::new(keys).environment(&environment);
//!
//! assert!("two words".parse::<tower_warden::Namespace>().is_err());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! Postgres sends revocations by `NOTIFY`, which a pooler in transaction mode, such as PgBouncer's, does not pass on: the
//! store refuses it at the start, as that of an issuer does. `SqlKeyStore::connect_through_pooler` takes a second URL, of the server itself. A node that loses its connection drops all keys that it has cached.
//!
//! # Redis and Valkey
//!
//! | servers | client of the crate `redis` | what to configure |
//! |---|---|---|
//! | one server | `Client` | `appendonly yes`, `maxmemory-policy noeviction` |
//! | a master, replicas and sentinels | `SentinelClient` | also `min-replicas-to-write 1` and `min-replicas-max-lag 10` |
//! | a cluster | `ClusterClient` with RESP3 | the same as one server, on each |
//!
//! Connections and subscriptions follow a failover. A node that does not receive its own heartbeat from the server that
//! accepts writes queries that server for each credential, and responds with 503 if it does not reply.
//! `RedisConnection::problem` reports a missing password or right: return it from the readiness probe. The documentation of
//! `tower-warden-redis` lists the rights that a user needs.
//!
//! # Behind proxies
//!
//! - **The client's address** is that of the peer. [`TrustedProxies`](crate::request::TrustedProxies) names the proxies whose
//!   `X-Forwarded-For`, or `Forwarded` if so configured, is read; from all other peers it is ignored.
//! - **Client certificates** are read from the header fields of RFC 9440, Envoy, nginx, HAProxy, Caddy, Apache and AWS ALB by
//!   [`ForwardedCertificateLayer`](crate::layer::ForwardedCertificateLayer), from trusted proxies only. See
//!   [`certificate`](crate::certificate).
//! - **DPoP** compares `htu` with the public URLs that are configured, so a proxy that changes the host does no harm. If it
//!   removes or adds a prefix of the path, see [`Dpop::path_rewrite`](crate::dpop::Dpop::path_rewrite).
//! - **The peer's address in axum** needs `into_make_service_with_connect_info::<SocketAddr>()`; with plain hyper, insert
//!   [`Peer`](crate::request::Peer) into the extensions of each request. A [`PeerLayer`](crate::layer::PeerLayer) reads it
//!   from the type of another server, such as tonic's `TcpConnectInfo`. Without it, limits by peer and credentials with
//!   networks respond with 500.
//! - **Unix sockets**: `PeerLayer::unix_socket` marks the requests of a server that listens on one, and
//!   [`trust_unix_sockets`](crate::request::TrustedProxies::trust_unix_sockets) trusts the proxy that connects to it.
//!
//! # TLS
//!
//! An API key or bearer token that is sent in clear can be used by anyone who reads it. Terminate TLS in a proxy, or in the
//! process with the crate `tower-warden-tls`, which also reads client certificates.
//!
//! # Readiness and shutdown
//!
//! - `Jwt::is_ready` reports whether the keys of all issuers are present: return it from the readiness probe. Before, tokens
//!   are refused with 503.
//! - [`ApiKeys::flush`](crate::api_key::ApiKeys::flush) writes when keys were last used. Call it before the process ends;
//!   otherwise the last seconds of that record are lost.
//! - [`JsonLines::flush`](crate::audit::JsonLines::flush) writes the audit events that are still in the queue. Call it when
//!   the server has shut down. If the time for that is limited, requests may still be in progress: call it after the runtime has
//!   ended them, as `examples/observed.rs` does with `Runtime::shutdown_timeout`.
//!
//! # Observing
//!
//! With the feature `tracing`, each refusal is a log line at the level debug with the fields `code` and `reason`, and each
//! outage one warning with its cause when it begins, and one line when it ends. Audit events, alerts of abuse and metrics
//! are in `manual::observing`. Custom metrics read the [`Rejection`](crate::Rejection) from the extensions of the response in
//! a layer further out; its [reason](crate::Rejection::reason) has a fixed
//! set of values, plus those of `Reason::custom`, and is safe as a label.
