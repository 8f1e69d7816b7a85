//! Recipes: error bodies with CORS, access logs, ID tokens, an audience for each route, gRPC.
//!
//! The README has those for tenants and tiers, for tests of handlers, and for the first admin key.
//!
//! # Custom error bodies with CORS
//!
//! ```sh
//! cargo add tower-http --features cors
//! cargo add serde_json
//! ```
//!
//! The CORS layer is outside of `AuthLayer`, because preflights carry no credential:
//!
//! ```
//! # use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore};
//! # let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_live")?);
//! use axum::{Router, body::Body, http::header, response::Response, routing::get};
//! use tower_http::cors::{Any, CorsLayer};
//! use tower_warden::{Rejection, layer::AuthLayer};
//!
//! let auth = AuthLayer::new(keys).respond_with(|rejection: &Rejection| {
//!     let body = serde_json::json!({ "error": rejection.code(), "message": rejection.detail() }).to_string();
//!     Response::builder().header("content-type", "application/json").body(Body::from(body)).expect("a response")
//! });
//! let cors = CorsLayer::new()
//!     .allow_origin(Any)
//!     .allow_headers([header::AUTHORIZATION])
//!     .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER]);
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(auth).layer(cors);
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! The layer sets the status, the challenges and `Retry-After` on the response afterwards. One `respond_with` on the outermost
//! layer holds for all layers and extractors inside of it that have none, and for `key_routes`.
//!
//! # Access log without secrets
//!
//! ```sh
//! cargo add tracing
//! cargo add tower-http --features trace
//! ```
//!
//! The log layer is outside of `AuthLayer`, so that it sees refusals as well. There, `conceal_layer` hides the credentials from it,
//! and the response has the caller, whose subject is no credential, but may be personal data. Log the path and not the query, in
//! which a client may have put a key by mistake:
//!
//! ```
//! # use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore};
//! # let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_live")?);
//! use axum::{Router, body::Body, http::Request, response::Response, routing::get};
//! use tower_http::trace::TraceLayer;
//! use tower_warden::{Principal, Rejection, layer::AuthLayer};
//!
//! let auth = AuthLayer::new(keys).principal_in_responses();
//! let log = TraceLayer::new_for_http()
//!     .make_span_with(|request: &Request<Body>| {
//!         tracing::info_span!("request", method = %request.method(), path = request.uri().path(), headers = ?request.headers())
//!     })
//!     .on_response(|response: &Response, time: std::time::Duration, _: &tracing::Span| {
//!         let caller = response.extensions().get::<Principal>().map_or("-", Principal::subject);
//!         let reason = response.extensions().get::<Rejection>().map_or("-", |rejection| rejection.reason().as_str());
//!         tracing::info!(status = response.status().as_u16(), ?time, caller, reason);
//!     });
//! let conceal = auth.conceal_layer();
//! // The last layer of a router is the outermost one.
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(auth).layer(log).layer(conceal);
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! # ID tokens
//!
//! An ID token is not accepted in the place of an access token where it can be distinguished: by `nonce`, `at_hash`, `c_hash` or
//! `s_hash`, an `azp` that is the only audience, `typ` or `token_use`. One without any of these cannot be distinguished if the
//! audience of the API is a client id: then require what only access tokens have, by
//! [`Issuer::access_token_claim`](crate::jwt::Issuer::access_token_claim) or [`Issuer::strict`](crate::jwt::Issuer::strict).
//! [`issuers`](super::issuers) and [`providers`](super::providers) have settings for common ones.
//!
//! # Per-route audience
//!
//! Each group of routes has a layer of its own; the key set of the issuer is fetched once:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_warden::{jwt::{Issuer, Jwt, RemoteKeys}, layer::AuthLayer};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = "https://auth.example.com";
//! let keys = RemoteKeys::discover(issuer).await?;
//! let billing = Jwt::new(Issuer::new(issuer, "https://api.example.com/billing")?, keys);
//! let reports = billing.for_audience("https://api.example.com/reports")?;
//! let app: Router = Router::new()
//!     .nest("/billing", Router::new().route("/", get(async || "billing")).layer(AuthLayer::new(billing)))
//!     .nest("/reports", Router::new().route("/", get(async || "reports")).layer(AuthLayer::new(reports)));
//! # Ok(()) }
//! ```
//!
//! # gRPC
//!
//! [`GrpcStatus`](crate::refusal::GrpcStatus) responds as gRPC clients expect: HTTP 200 with a `grpc-status` such as 16
//! (unauthenticated) or 7 (permission denied), a message and details. Each layer around a tonic service needs it, because the body
//! type of tonic is not made from bytes:
//!
//! ```
//! # use tower_warden::{api_key::{ApiKeys, KeyFormat, MemoryKeyStore}, scope::Scope};
//! # let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_live")?);
//! use tower_warden::{layer::{AuthLayer, AuthorizeLayer}, refusal::GrpcStatus};
//!
//! let auth = AuthLayer::new(keys).respond_with(GrpcStatus::default());
//! let read = AuthorizeLayer::all_of([Scope::from_static("billing:read")]).respond_with(GrpcStatus::default());
//! // tonic::transport::Server::builder().layer(auth).layer(read).add_service(…)
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! `cargo run --example grpc` is a complete server. Keys that are limited to networks, and limits by address, need the address of
//! the peer in the extensions, as [`Peer`](crate::request::Peer).
