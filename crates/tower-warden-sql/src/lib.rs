//! API keys of [`tower-warden`](tower_warden) in SQLite or Postgres, and the clients, refresh tokens
//! and signing keys of an issuer.
//!
//! [`SqlKeyStore`] is a [`KeyStore`](tower_warden::api_key::KeyStore): [`ApiKeys`](tower_warden::api_key::ApiKeys) mints,
//! verifies, rotates and revokes the keys whose records it stores. It creates and migrates its own tables, which may be
//! located in the database of an application.
//!
//! # Examples
//!
//! ```no_run
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, NewKey},
//!     layer::AuthLayer,
//! };
//! use tower_warden_sql::SqlKeyStore;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqlKeyStore::connect("sqlite://keys.db").await?; // or "postgres://user@host/database"
//! let keys = ApiKeys::new(store, KeyFormat::new("sk_live")?);
//!
//! // The secret is shown once; the database has its digest only.
//! let (record, secret) = keys.mint(NewKey::new("alice").scopes("billing:read")).await?;
//! println!("{}: {}", record.id, secret.expose());
//!
//! let layer = AuthLayer::new(keys.clone());
//! # let _ = layer;
//!
//! // On shutdown: the times of last use are written with a delay.
//! keys.flush().await?;
//! # Ok(()) }
//! ```
//!
//! # The two databases
//!
//! | | SQLite | Postgres |
//! |---|---|---|
//! | cargo feature, both on by default | `sqlite` | `postgres` |
//! | suited to | a service of one process, tests | a service of one or more nodes |
//! | URL | `sqlite://path/to/keys.db`, `sqlite::memory:` | `postgres://user@host/database` |
//! | an existing pool | `SqlKeyStore::sqlite` | `SqlKeyStore::postgres` |
//! | library | bundled, needs a C compiler | none; TLS by rustls with aws-lc-rs, needs a C compiler |
//! | created if missing | the file and the tables | the tables |
//! | connections of [`connect`](SqlKeyStore::connect) | up to 4 | up to 10, and one for notifications |
//! | durability | WAL, `synchronous` FULL | as configured in the server |
//! | changes by other processes | not reported | reported within milliseconds |
//!
//! # Changes and notifications
//!
//! A change that is made through a store, or through one of its clones, is reported to its
//! [watchers](tower_warden::api_key::KeyStore::watch) before its future is ready. `ApiKeys` is such a watcher: it
//! invalidates what it has cached, so that a revoked key is refused at once on this node.
//!
//! On **Postgres**, triggers notify every node of every change, including changes made by hand with SQL. Each store has a
//! connection that listens. While that connection is lost, changes may be missed: watchers are notified of this when the
//! loss is detected, and again when the connection is restored, and `ApiKeys` drops its cache both times. A server that
//! does not respond is detected within about 12 seconds. Until then, and while the connection is lost, a revoked key is
//! accepted for at most the time that valid keys are cached, 30 seconds by default
//! ([`positive_ttl`](tower_warden::api_key::ApiKeysBuilder::positive_ttl)).
//!
//! A pooler in transaction mode, such as PgBouncer's, passes neither notifications nor prepared statements on. The store
//! verifies at the start that it receives notifications, and refuses such a pooler with
//! [`KeyErrorKind::Configuration`](tower_warden::api_key::KeyErrorKind::Configuration). Use
//! [`SqlKeyStore::connect_through_pooler`] with a second URL that leads to the server itself, for the one connection that
//! listens:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_warden_sql::SqlKeyStore;
//!
//! let pooler = "postgres://user@pgbouncer:6432/database";
//! let direct = "postgres://user@postgres:5432/database";
//! let store = SqlKeyStore::connect_through_pooler(pooler, direct).await?;
//! # Ok(()) }
//! ```
//!
//! On **SQLite**, changes by other processes, or by hand, are not reported. They apply when cached entries expire.
//!
//! # Migrations
//!
//! Connecting applies the migrations that are missing, in one transaction. Processes that start at the same time wait for
//! each other. The applied versions are recorded in the table `tower_warden_schema` rather than in `_sqlx_migrations`:
//! sqlx refuses a table of migrations that contains unknown ones, so that the migrations of an application and these
//! would refuse each other. A schema of a newer version of this crate is refused with
//! [`KeyErrorKind::Configuration`](tower_warden::api_key::KeyErrorKind::Configuration).
//!
//! The keys are in the table `tower_warden_api_keys`, and `tower_warden_latest_key` has the position of the newest id. If
//! there is nothing to migrate, a Postgres user needs `SELECT`, `INSERT` and `UPDATE` on the former, `SELECT` and `UPDATE` on
//! the latter, `SELECT` on `tower_warden_schema`, `DELETE` on `tower_warden_api_keys` to purge keys, and no right to create
//! tables.
//!
//! # The stores of an issuer
//!
//! With the feature `issuer`, `SqlIssuerStore` has the stores of `tower-warden-issuer`: clients with digests of their secrets,
//! families of refresh tokens with the digest of their current token, and signing keys that are encrypted with a key which is
//! not in the database. Several nodes use one Postgres database, and several processes of a machine one file of SQLite. Of
//! concurrent uses of a refresh token on all of them, one succeeds; all have the same signing keys.
//!
//! ```no_run
//! # #[cfg(feature = "issuer")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tower_warden::revocation::MemoryRevocationList;
//! use tower_warden_issuer::{EncryptionKey, EncryptionKeys, RefreshTokens, SigningKeys, TokenIssuer};
//! use tower_warden_sql::SqlIssuerStore;
//!
//! const ISSUER: &str = "https://auth.example.com";
//!
//! let store = SqlIssuerStore::connect("postgres://user@host/database").await?;
//! // What `openssl rand -base64 32` prints.
//! let encryption = EncryptionKey::from_file("2026-11", "/run/secrets/signing-keys")?;
//! let keys = SigningKeys::stored(ISSUER, store.signing_keys(), EncryptionKeys::new(encryption)).load().await?;
//! let keys = keys.rotate_every(Duration::from_secs(30 * 24 * 3600))?;
//! // On several nodes: a list that they and the APIs share, such as that of `tower-warden-redis`.
//! let refresh = RefreshTokens::new(store.refresh_tokens(), MemoryRevocationList::default());
//! let issuer = TokenIssuer::builder(ISSUER, store.clients(), keys)?.refresh_tokens(refresh).build()?;
//! # let _ = issuer;
//! # Ok(()) }
//! ```
//!
//! An attacker who can read the database can use no secret, token or key; one who can write to it can add clients, and restore
//! an older version of the signing keys before a node starts, which a running node refuses. Keys that were altered, or moved from another
//! issuer, are refused.
//!
//! It has tables and migrations of its own, and may share a database with the keys:
//!
//! | table | contents | rights of a Postgres user if there is nothing to migrate |
//! |---|---|---|
//! | `tower_warden_clients` | `SqlClientStore` | `SELECT`, and to manage clients `INSERT`, `UPDATE`, `DELETE` |
//! | `tower_warden_refresh_families` | `SqlRefreshStore` | `SELECT`, `INSERT`, `UPDATE`, `DELETE` |
//! | `tower_warden_signing_keys` | `SqlSigningKeyStore` | `SELECT`, `INSERT`, `UPDATE` |
//! | `tower_warden_issuer_schema` | the applied versions | `SELECT` |
//!
//! It needs no notifications: the issuer reads what it needs for each request. `SqlIssuerStore::connect_through_pooler` works
//! behind a pooler in transaction mode with one URL.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "issuer")]
#[cfg_attr(docsrs, doc(cfg(feature = "issuer")))]
pub use self::issuer::{
    IssuerStoreError, IssuerStoreErrorKind, MalformedClient, RegisteredClient, SqlClientStore, SqlIssuerStore,
    SqlRefreshStore, SqlSigningKeyStore,
};
pub use self::store::SqlKeyStore;

mod error;
#[cfg(feature = "issuer")]
mod issuer;
#[cfg(feature = "postgres")]
mod listener;
mod migration;
mod operations;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod store;

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
compile_error!("tower-warden-sql needs the feature `sqlite` or `postgres`");

/// Compiles the README's code.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
