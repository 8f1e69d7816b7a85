//! Revocation of credentials before they expire.
//!
//! A token contains its own expiry, so an issuer cannot withdraw it; the resource server can. The layer queries its
//! [`RevocationList`] on every request and for every kind of credential, after the authenticator and its cache, so a
//! revoked credential is refused at once:
//!
//! 1. A credential is revoked by [its id](Revocation::token) (`jti`), by [its session](Revocation::session) (`sid`), as
//!    [an API key](Revocation::key), as [a key that signs requests](Revocation::signature_key), or as [that of a
//!    caller](Revocation::of).
//! 2. All credentials of [a subject](Revocation::subject), or [its tokens](Revocation::subject_tokens) alone, of [a
//!    client](Revocation::client), [an owner of keys](Revocation::owner) or [a tenant](Revocation::tenant) that were issued up
//!    to some second are revoked together, for example after a change of the password. A credential without an issue time is
//!    covered as well.
//! 3. If the list cannot be queried, requests are refused with 503 and `Retry-After`: an outage never admits a revoked
//!    token.
//!
//! A revocation ends when the last of its credentials has expired. If that time is not known, pass `None` for the
//! [default](Revocation::default_end).
//!
//! A credential without the property matches nothing: to revoke by `jti`,
//! [require](crate::jwt::Issuer::require_jti) that claim in the issuer's tokens.
//!
//! [`MemoryRevocationList`] is the list of one node. `RedisRevocationList` of the crate `tower-warden-redis` is shared by
//! many nodes. Lists on other stores use [`RevocationName`] as their key.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     Clock, SystemClock,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::AuthLayer,
//!     revocation::{MemoryRevocationList, Revocation},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let list = MemoryRevocationList::default();
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (record, key) = keys.mint(NewKey::new("alice")).await?;
//!
//! let auth = AuthLayer::new(keys).revocations(list.clone());
//! let service = ServiceBuilder::new()
//!     .layer(auth)
//!     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())));
//! let call = || Request::builder().header("x-api-key", key.expose()).body(());
//! assert_eq!(service.clone().oneshot(call()?).await?.status(), 200);
//!
//! // Until the credential expires.
//! let until = SystemClock::default().now() + Duration::from_secs(3600);
//! list.revoke(Revocation::key(record.id.as_str()), until)?;
//! assert_eq!(service.oneshot(call()?).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{
    error::{RevocationError, RevocationErrorKind},
    list::RevocationList,
    memory::MemoryRevocationList,
    name::RevocationName,
    revoked::Revocation,
};

mod error;
mod list;
mod memory;
mod name;
mod reason;
mod revoked;
