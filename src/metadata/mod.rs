//! Protected resource metadata, RFC 9728: what tells a client where to get a token, and for what.
//!
//! One declaration makes both the document at the well-known URL and the [challenge](ProtectedResourceMetadata::challenge)
//! that points there, so the two cannot differ. An MCP client needs nothing else to begin.
//!
//! 1. One document for each resource identifier, at that identifier's URL only; every other path is 404.
//! 2. Made once, from the declaration: nothing of a request, least of all its `Host`, reaches it.
//! 3. Open to anybody, from any origin. It stands *outside* of [`AuthLayer`](crate::layer::AuthLayer): a client that has
//!    no token yet has to read it. It wraps no other service, so nobody comes past it to one.
//!
//! In axum, merge the application, with its layer, into [`metadata_routes`](metadata_routes):
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use tower::ServiceExt;
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
//!      layer::AuthLayer,
//!     metadata::{ProtectedResourceMetadata, metadata_routes},
//!     scope::Scopes,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let metadata = ProtectedResourceMetadata::new("https://api.example.com/mcp")?
//!     .authorization_server("https://auth.example.com")?
//!     .scopes(Scopes::parse("files:read")?)?;
//!
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let api = Router::new()
//!     .route("/mcp", get(async || "files"))
//!     .layer(AuthLayer::new(keys).challenge(metadata.challenge()));
//! let app: Router = metadata_routes(&metadata).merge(api);
//! let get = |path: &str| app.clone().oneshot(Request::get(path).body(Body::empty()).expect("a request"));
//!
//! let refused = get("/mcp").await?;
//! assert_eq!(refused.status(), 401);
//! assert_eq!(
//!     refused.headers()["www-authenticate"],
//!     "Bearer realm=\"https://api.example.com/mcp\", \
//!      resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"files:read\""
//! );
//! assert_eq!(get("/.well-known/oauth-protected-resource/mcp").await?.status(), 200);
//! assert_eq!(get("/.well-known/oauth-protected-resource").await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Elsewhere, send requests whose path is [`well_known_path`](ProtectedResourceMetadata::well_known_path) to the
//! [`MetadataEndpoint`].
//!
//! # Deployment caveat
//!
//! A proxy that serves the API under another host or path must send the well-known URL here too. A client in a browser
//! reads the challenge only if your own CORS layer exposes `WWW-Authenticate`.

#[cfg(feature = "axum")]
pub use self::routes::metadata_routes;
pub use self::{document::ProtectedResourceMetadata, endpoint::MetadataEndpoint};

mod document;
mod endpoint;
#[cfg(feature = "axum")]
mod routes;
