//! API keys: their form, what is kept of them, and the authenticator that verifies them.
//!
//! 1. A key is `<prefix>_<random><checksum>` ([`KeyFormat`]): a mistyped or made-up one is refused with no look-up.
//! 2. Kept is a digest ([`KeyDigest`]), plain or under a [`Pepper`], in a [`KeyStore`]: [`MemoryKeyStore`],
//!    [`SqlKeyStore`] or one of your own.
//! 3. [`ApiKeys`] looks a key up once in 30 seconds (a bad one once in 5) and remembers the answer; requests for one cold
//!    key share one look-up; a failure is 503 and never remembered.
//! 4. What is changed through [`ApiKeys`] counts at once on this node, even against a look-up in flight. A store that
//!    hears of changes elsewhere, as `SqlKeyStore` on Postgres does, tells of them too; without, they count when what was
//!    remembered is too old.
//!
//! ```
//! use std::time::Duration;
//! use tower_warden::{
//!     Authenticator, Credential, Head, Presented, Reason, UnixTime,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     scope::Scopes,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (record, secret) = keys.mint(NewKey::new("alice").scopes(Scopes::parse("billing:read")?)).await?;
//!
//! // What `AuthLayer` does with each request:
//! let request = http::Request::new(());
//! let verify = |key: &str| {
//!     let presented = Presented::new(Credential::api_key(key), Head::from(&request), UnixTime::default());
//!     keys.authenticate(&presented).wait()
//! };
//! assert_eq!(&*verify(secret.expose()).await.unwrap().subject, "alice");
//! assert_eq!(verify("sk_agent_guess").await.unwrap_err().reason(), Reason::KEY_LENGTH);
//!
//! // An hour of overlap, then the old key is refused.
//! let (_, new_secret) = keys.rotate(&record.id, Duration::from_secs(3600)).await?;
//! keys.revoke(&record.id).await?;
//! assert_eq!(verify(secret.expose()).await.unwrap_err().reason(), Reason::KEY_REVOKED);
//! assert!(verify(new_secret.expose()).await.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "axum")]
pub use self::routes::{KeysAdmin, key_routes};
pub use self::{
    builder::ApiKeysBuilder,
    digest::{KeyDigest, Pepper},
    error::{KeyError, KeyErrorKind},
    format::KeyFormat,
    keys::ApiKeys,
    memory::MemoryKeyStore,
    record::{KeyId, KeyRecord, NewKey, Replacement},
    secret::KeySecret,
    store::{KeyPage, KeyQuery, KeyStore, KeyUse},
    transfer::{ImportSummary, export, import},
    watch::{KeyChange, KeyWatcher, KeyWatchers},
};

mod builder;
mod digest;
mod error;
mod format;
mod keys;
mod memory;
mod reason;
mod record;
#[cfg(feature = "axum")]
mod route_error;
#[cfg(feature = "axum")]
mod routes;
mod secret;
mod store;
mod transfer;
mod usage;
mod verify;
mod watch;
