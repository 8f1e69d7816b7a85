//! API keys: their format, the store of their digests, and the authenticator that verifies them.
//!
//! # Format
//!
//! A key is `<prefix>_<random><checksum>` ([`KeyFormat`]), so a mistyped or made-up key is refused without a look-up, and
//! secret scanners find a leaked one by its prefix. Keys of another system are accepted with [`KeyFormat::opaque`], after an
//! [`import`] of their digests.
//!
//! # Digest
//!
//! The key itself is shown once, as a [`KeySecret`], and stored nowhere. Its [`KeyDigest`] is stored: SHA-256, or
//! HMAC-SHA-256 under a [`Pepper`]. Minted keys have 256 random bits, so a slow hash would add nothing.
//!
//! # Store
//!
//! A [`KeyStore`] holds a [`KeyRecord`] for each key: its digest, owner, tenant, scopes, tier, networks and expiry.
//! [`MemoryKeyStore`] is in this crate, SQLite and Postgres are in the crate `tower-warden-sql`; the docs of [`KeyStore`]
//! show a custom one.
//!
//! # Cache
//!
//! [`ApiKeys`] looks up a valid key once in 30 seconds and an invalid one once in 5; [`ApiKeysBuilder`] changes both.
//! Concurrent requests with the same key share one look-up. If the store fails or times out, requests are refused with 503,
//! and nothing is cached. Expiry, networks and bindings are checked on every request, also on cache hits.
//!
//! # Revocation
//!
//! A key that is [revoked](ApiKeys::revoke) is refused at once on this node, even if a look-up that has read it as valid is
//! in flight. On other nodes it is refused as soon as the store reports the change to its [watchers](KeyStore::watch), as
//! the store for Postgres does, and at the latest when the cached entry expires.
//!
//! # Rotation
//!
//! [`ApiKeys::rotate`] mints a key with the same rights and lets the old one expire after a grace period. Peppers rotate as
//! well: new keys are stored under the newest one.
//!
//! # Changes
//!
//! [`ApiKeys::update`] changes name, scopes, tier, networks, expiry and metadata of a key, at once as a revocation does.
//! [`ApiKeys::revoke_all`] revokes all keys of an owner or a tenant. [`ApiKeys::purge`] deletes the record of a key that is
//! revoked or expired, and [`ApiKeys::purge_inactive`] those of all such keys. [`ApiKeys::bootstrap`] mints the first key of
//! an empty store, and [`ApiKeys::import`] adds keys of another system.
//!
//! # Order
//!
//! Keys are listed in the order of their ids, and generated ids are in the order of creation. A client that continues a
//! list after the last id that it has seen misses no minted key, on the stores of this repository also while several
//! nodes mint. Keys that were [imported](import) with ids of another system are listed where their ids belong.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use tower_warden::{
//!     Authenticator, Credential, Head, Presented, Reason, UnixTime,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (record, secret) = keys.mint(NewKey::new("alice").scopes("billing:read")).await?;
//!
//! // `AuthLayer` does this for each request:
//! let request = http::Request::new(());
//! let verify = |key: &str| {
//!     let presented = Presented::new(Credential::api_key(key), Head::from(&request), UnixTime::default());
//!     keys.authenticate(&presented).wait()
//! };
//! assert_eq!(&*verify(secret.expose()).await.unwrap().subject, "alice");
//! assert_eq!(verify("sk_agent_guess").await.unwrap_err().reason(), Reason::KEY_LENGTH);
//!
//! // With a grace period of an hour, both keys are accepted until the old one is revoked.
//! let (_, new_secret) = keys.rotate(&record.id, Duration::from_secs(3600)).await?;
//! keys.revoke(&record.id).await?;
//! assert_eq!(verify(secret.expose()).await.unwrap_err().reason(), Reason::KEY_REVOKED);
//! assert!(verify(new_secret.expose()).await.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "axum")]
pub use self::routes::{KeyRoutes, KeysAdmin, key_routes};
pub use self::{
    addition::KeyAddition,
    builder::ApiKeysBuilder,
    digest::{KeyDigest, Pepper},
    error::{KeyError, KeyErrorKind},
    format::KeyFormat,
    import_export::{ImportSummary, export, import},
    key_id::KeyId,
    keys::ApiKeys,
    memory::MemoryKeyStore,
    merged_changes::MergedChanges,
    new_key::NewKey,
    query::{KeyPage, KeyQuery, KeyUse, UnrevokedKeys},
    record::{KeyRecord, Replacement},
    secret::KeySecret,
    store::KeyStore,
    update::KeyUpdate,
    watch::{KeyChange, KeyWatcher, KeyWatchers},
};

mod addition;
mod builder;
mod change;
mod checked;
mod digest;
mod error;
mod format;
mod import_export;
mod key_id;
mod keys;
mod manage;
mod memory;
mod merged_changes;
mod new_key;
mod query;
mod reason;
mod record;
#[cfg(feature = "axum")]
mod routes;
mod secret;
mod store;
mod update;
mod usage;
mod verify;
mod watch;
