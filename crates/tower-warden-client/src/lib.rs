//! The client side of [`tower-warden`](tower_warden): tokens for calls of protected APIs.
//!
//! A [`TokenLayer`] adds a token to each request of a client. The token comes from a [`TokenSource`]: one of the
//! [grants](grant) within a [`CachedToken`].
//!
//! ```text
//!  request ─▶ TokenLayer ─▶ hyper-util's client, ReqwestClient, a channel of tonic, any Service<http::Request<B>>
//!                 │
//!                 ▼
//!            CachedToken        one refresh at a time, before the token expires
//!                 │
//!                 ▼
//!            ClientCredentials, RefreshGrant, JsonLogin, TokenExchange, JwtBearer, CustomGrant, StaticKey, TokenFile
//!                 │
//!                 ▼
//!            TokenEndpoint ─▶ Fetch: an HttpClient, or the application's own client
//! ```
//!
//! The layer is the place for the credentials of an agent: the model that decides which call is made never receives
//! them, and what it writes cannot send them to another origin.
//!
//! # Examples
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, sync::atomic::{AtomicU32, Ordering}};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{Eventual, Unavailable, fetch::Fetch, scope::Scopes};
//! use tower_warden_client::{CachedToken, ClientAuth, TokenEndpoint, TokenLayer, grant::ClientCredentials};
//!
//! /// The authorization server: each request yields another token.
//! #[derive(Clone, Default)]
//! struct Server(Arc<AtomicU32>);
//!
//! impl Fetch for Server {
//!     fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
//!         let number = self.0.fetch_add(1, Ordering::Relaxed);
//!         let body = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":3600}}"#);
//!         Eventual::Now(Ok(Response::new(body.into())))
//!     }
//! }
//!
//! let server = Server::default();
//! let auth = ClientAuth::basic("agent-7", "s3cret");
//! let endpoint = TokenEndpoint::new("https://auth.example.com/token", auth, server.clone())?;
//! let tokens = CachedToken::new(ClientCredentials::new(endpoint).scopes(Scopes::parse("orders:read")?));
//!
//! // The API, which has revoked the first token.
//! let api = service_fn(async |request: Request<Full<Bytes>>| {
//!     let mut response = Response::new(Full::<Bytes>::default());
//!     if request.headers()["authorization"] != "Bearer token-1" {
//!         *response.status_mut() = http::StatusCode::UNAUTHORIZED;
//!         let challenge = http::HeaderValue::from_static(r#"Bearer error="invalid_token""#);
//!         response.headers_mut().insert("www-authenticate", challenge);
//!     }
//!     Ok::<_, Infallible>(response)
//! });
//! let client = TokenLayer::new(tokens, "https://orders.example.com")?.layer(api);
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let get = |url: &str| Request::get(url).body(Full::<Bytes>::default()).expect("a request");
//! let response = client.clone().oneshot(get("https://orders.example.com/orders")).await.expect("a response");
//! assert_eq!(response.status(), 200, "it was sent again with a new token");
//! assert_eq!(server.0.load(Ordering::Relaxed), 2);
//!
//! assert!(client.oneshot(get("https://other.example.com/")).await.is_err(), "another origin gets no token");
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`challenge`] | challenges of servers: the field `WWW-Authenticate` |
//! | [`credentials`] | [`Credentials`](credentials::Credentials): all services of an application, by one configuration |
//! | [`grant`], [`store`] | sources of tokens, and where refresh tokens are kept |
//! | [`manual`] | the chapter "Calling protected APIs": which credential, what happens when, a checklist |
//! | [`mcp_headers`] | [`McpHeadersLayer`](mcp_headers::McpHeadersLayer): the header fields that MCP servers expect |
//! | [`replay`] | bodies of requests that may be sent twice |
//! | [`retry`] | [`RetryLayer`](retry::RetryLayer): retries with `Retry-After`, random waits and a budget |
//! | [`scoped_keys`] | one API key for each service, checked when it is loaded, with a warning before its rotation is due |
//! | [`secret`] | [`Secret`](secret::Secret), and sources that notice a rotation: environment, files, Vault, AWS |
//! | `payload_signature` | `PayloadSignatureLayer`: signed webhooks, with the feature `signature` |
//! | `signature` | `SignLayer`: signed requests (RFC 9421), with the feature of this name |
//!
//! # Features
//!
//! | feature | contents | default |
//! |---|---|---|
//! | `aws` | `AwsSecrets`: secrets in AWS Secrets Manager, over the official SDK, which needs Rust 1.94 | |
//! | `reqwest` | `ReqwestClient`: a service over the client of reqwest | |
//! | `signature` | `SignLayer`: signed requests (RFC 9421); `PayloadSignatureLayer`: signed webhooks | |
//!
//! # Secrets
//!
//! Tokens, refresh tokens, client secrets and keys are wiped from memory when they are dropped, as far as their buffers
//! belong to this crate. `Debug`, errors and log lines contain none of them, and no type implements `Serialize`. Header
//! fields that carry them are marked as sensitive.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "reqwest")]
pub use self::reqwest_client::ReqwestClient;
pub use self::{
    cache::CachedToken,
    dpop::DpopKey,
    endpoint::{ClientAuth, TokenEndpoint},
    layer::{Authorized, ResponseFuture, TokenLayer},
    origin::Origin,
    private_key::PrivateKey,
    private_key_source::PrivateKeySource,
    token::{
        Attempt, Refresh, RefreshToken, Token, TokenError, TokenErrorKind, TokenKind, TokenRequest, TokenSource,
        unverified_expiry,
    },
};

mod cache;
pub mod challenge;
pub mod credentials;
mod dpop;
mod endpoint;
pub mod grant;
mod layer;
pub mod manual;
pub mod mcp_headers;
mod origin;
#[cfg(feature = "signature")]
pub mod payload_signature;
mod private_key;
mod private_key_source;
pub mod replay;
#[cfg(feature = "reqwest")]
mod reqwest_client;
pub mod retry;
mod retry_after;
mod rotating_key;
pub mod scoped_keys;
pub mod secret;
#[cfg(feature = "signature")]
pub mod signature;
#[cfg(feature = "signature")]
mod signed_content;
mod status;
pub mod store;
mod token;
mod wiped;
