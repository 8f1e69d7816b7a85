//! Extractors for axum handlers, and routes to manage keys.
//!
//! An extractor is the second lock: it takes what [`AuthLayer`](crate::layer::AuthLayer) has left on the request, so a
//! route that was added outside of the layer is answered with 500 and a line in the log, and never lets anybody in.
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
//! Where anybody may come, but some are known, the layer is [optional](crate::layer::AuthLayer::optional) and the
//! handler takes `Option<Principal>`. A handler that answers refusals in its own way takes
//! `Result<Scoped<S>, Rejection>`.

pub use self::extract::Scoped;

mod extract;
