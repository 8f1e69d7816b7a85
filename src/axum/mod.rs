//! Extractors for axum handlers: [`Principal`](crate::Principal), [`Scoped`] for a caller with certain scopes, and [`Tenant`].
//!
//! An extractor reads what [`AuthLayer`](crate::layer::AuthLayer) has inserted into the request. It is a second check: a route
//! that was added outside of the layer responds with 500 and logs an error, and never runs its handler.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use tower::ServiceExt;
//! use tower_warden::{
//!     Principal,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     axum::Scoped,
//!     layer::AuthLayer,
//!     scope::{Scopes, scopes},
//! };
//!
//! scopes! {
//!     /// Read balances and invoices.
//!     pub BillingRead = "billing:read";
//! }
//!
//! async fn whoami(caller: Principal) -> String {
//!     caller.subject().to_owned()
//! }
//!
//! async fn balance(caller: Scoped<BillingRead>) -> String {
//!     format!("balance of {}", caller.tenant().unwrap_or("nobody"))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let reader = NewKey::new("alice").tenant("acme").scopes(Scopes::parse("billing:read")?);
//! let (_, reader) = keys.mint(reader).await?;
//! let (_, nobody) = keys.mint(NewKey::new("bob")).await?;
//!
//! let app = Router::new()
//!     .route("/whoami", get(whoami))
//!     .route("/balance", get(balance))
//!     .layer(AuthLayer::new(keys));
//! let call = |path: &str, key: &str| {
//!     let request = Request::get(path).header("authorization", format!("Bearer {key}"));
//!     app.clone().oneshot(request.body(Body::empty()).expect("a request"))
//! };
//!
//! assert_eq!(call("/balance", reader.expose()).await?.status(), 200);
//! assert_eq!(call("/whoami", nobody.expose()).await?.status(), 200);
//! let refused = call("/balance", nobody.expose()).await?;
//! assert_eq!(refused.status(), 403);
//! assert!(refused.headers()["www-authenticate"].to_str()?.contains(r#"scope="billing:read""#));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Optional authentication, and custom refusals
//!
//! A handler under an [optional](crate::layer::AuthLayer::optional) layer takes `Option<Principal>`: `None` for a request
//! without a credential. A handler that responds to refusals itself takes `Result<Scoped<S>, Rejection>`.

pub use self::extract::{Scoped, Tenant};

mod extract;
#[cfg(feature = "audit")]
mod required;
