//! Protected resource metadata, [RFC 9728](https://www.rfc-editor.org/rfc/rfc9728): the document from which clients
//! learn where to obtain tokens for an API, and with which scopes.
//!
//! The same declaration produces the document at the well-known URL and the
//! [challenge](ProtectedResourceMetadata::challenge) that points to it, so the two agree. MCP clients need no other
//! configuration.
//!
//! 1. Each resource identifier has one document, at the URL derived from that identifier only; any other path is 404. For
//!    clients that look elsewhere, [`also_at_root`](ProtectedResourceMetadata::also_at_root) and
//!    [`also_with_slash`](ProtectedResourceMetadata::also_with_slash) add a path.
//! 2. The document is written once, from the declaration. It depends on no part of a request, in particular not on `Host`.
//! 3. The document is public, for any origin. It is served *outside* of [`AuthLayer`](crate::layer::AuthLayer), because
//!    clients read it before they have a token. The service wraps no other service, so it gives access to none.
//!
//! # Examples
//!
//! In axum, merge the application, with its layer, into [`metadata_routes`]:
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use tower::ServiceExt;
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
//!     layer::AuthLayer,
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
//! Without axum, route requests whose path is [`well_known_path`](ProtectedResourceMetadata::well_known_path) to the
//! [`MetadataEndpoint`].
//!
//! # Deployment caveat
//!
//! A proxy that serves the API under another host or path must forward the well-known URL as well. A client in a browser
//! can read the challenge only if the application's CORS layer exposes `WWW-Authenticate`.

#[cfg(feature = "axum")]
pub use self::routes::metadata_routes;
pub use self::{endpoint::MetadataEndpoint, protected_resource::ProtectedResourceMetadata};

mod document;
mod endpoint;
mod members;
mod protected_resource;
#[cfg(feature = "axum")]
mod routes;
