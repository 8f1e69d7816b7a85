//! Credentials that count no more before they end: a list that every request is held against.
//!
//! A token says itself how long it is good, so an issuer cannot take it back; the resource server can. The layer asks
//! its [`RevocationList`] after the authenticator and its cache, on every request and for every kind of credential, so
//! what is revoked is refused at once:
//!
//! 1. [By its id](Revocation::token) (`jti`), [by its session](Revocation::session) (`sid`), or [as an API
//!    key](Revocation::key).
//! 2. With everything [of its subject](Revocation::subject) or [of its client](Revocation::client) that was issued up to
//!    some second: after a password was changed, say. A token that does not say when it was issued counts as old.
//! 3. A list that cannot answer is 503 with `Retry-After`: a revoked token is never let in because of an outage.
//!
//! A credential that does not say what is asked for matches nothing: who revokes by `jti` has to
//! [require](crate::jwt::Issuer::require_jti) one of the issuer's tokens.
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
//! // For as long as the credential would be good.
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
    name::Revocation,
};

mod error;
mod list;
mod memory;
mod name;
mod reason;
