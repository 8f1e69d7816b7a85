//! Authentication, authorization and rate limits for resource servers, as [tower](https://docs.rs/tower) layers.
//!
//! The layers mount on any `Service<Request<B>>`: axum, hyper, tonic.
//!
//! # Contents
//!
//! | to | see |
//! |---|---|
//! | authenticate requests | [`AuthLayer`](layer::AuthLayer), [`auth`] |
//! | verify API keys, and mint, rotate and revoke them | [`ApiKeys`](api_key::ApiKeys), [`api_key`] |
//! | verify JWT access tokens | [`Jwt`](jwt::Jwt), [`jwt`] |
//! | verify opaque tokens (RFC 7662) | [`Introspection`](introspection::Introspection), [`introspection`] |
//! | require scopes, tenants or a recent login, and combine policies | [`AuthorizeLayer`](layer::AuthorizeLayer), [`authorize`], [`scope`] |
//! | give callers scopes by their roles | [`RoleLayer`](layer::RoleLayer), [`authorize`] |
//! | let a policy server decide (AuthZEN, OPA) | [`DecisionPoint`](decision_point::DecisionPoint), [`decision_point`] |
//! | read the caller in a handler | [`Principal`], [`Scoped`](axum::Scoped), [`Claims`](jwt::Claims) |
//! | require two credentials: an agent and the user it acts for | [`AuthLayer::acting_for`](layer::AuthLayer::acting_for) |
//! | limit requests | [`RateLimitLayer`](layer::RateLimitLayer), [`rate_limit`] |
//! | use client certificates (RFC 8705) | [`certificate`] |
//! | use DPoP (RFC 9449) | [`dpop`] |
//! | verify and make HTTP message signatures (RFC 9421) | [`signature`] |
//! | receive webhooks (Standard Webhooks, Stripe, Slack, GitHub, Paddle, Discord) | [`signature::webhook`] |
//! | require a signature beside an API key | [`signature::bound`] |
//! | refuse revoked credentials of any kind | [`revocation`] |
//! | end streams and downloads when their credential expires or is revoked | [`stream`] |
//! | publish metadata (RFC 9728) | [`metadata`] |
//! | record an audit event for each request, and detect abuse | [`AuditLayer`](layer::AuditLayer), [`audit`] |
//! | emit metrics | [`manual::observing`] |
//! | read and check request bodies | [`body`] |
//! | let refusals reach clients that upload | [`drain`] |
//! | add a scheme, a proof, a store or a policy | [`manual::extending`] |
//! | find out why a request was refused | [`manual::refusals`] |
//! | test a protected service | [`testing`] |
//! | read on | the [`manual`] |
//!
//! Stores and servers with dependencies of their own are separate crates: `tower-warden-sql` (API keys in SQLite and
//! Postgres, and the state of an issuer), `tower-warden-redis` (limits, revocations and used proofs that many nodes share),
//! `tower-warden-rego` (policies in Rego) and `tower-warden-tls` (a TLS listener for axum and hyper, with client certificates).
//!
//! # Quick start
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_warden::{axum::Scoped, jwt::Jwt, layer::AuthLayer, scope::scopes};
//!
//! scopes! {
//!     /// Read balances.
//!     pub BillingRead = "billing:read";
//! }
//!
//! async fn balance(caller: Scoped<BillingRead>) -> String {
//!     format!("the balance of {}", caller.subject())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let jwt = Jwt::discover("https://auth.example.com", "https://api.example.com").await?;
//! let app: Router = Router::new().route("/balance", get(balance)).layer(AuthLayer::new(jwt));
//! # Ok(()) }
//! ```
//!
//! `cargo run --example quickstart` does the same with API keys in SQLite.
//!
//! # Full stack
//!
//! Tokens and API keys on the same routes, limits by address before and by caller after authentication, scopes in handlers:
//!
//! ```
//! use axum::{Router, body::Body, extract::Request, routing::get};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     axum::Scoped,
//!     jwt::{Issuer, Jwt},
//!     layer::{AuthLayer, FailureLimitLayer, RateLimitLayer},
//!     rate_limit::{LimitBy, LocalRateLimiter, Quota},
//!     request::Peer,
//!     scope::scopes,
//!     testing::TestIssuer,
//! };
//!
//! scopes! {
//!     /// Read balances.
//!     pub BillingRead = "billing:read";
//! }
//!
//! async fn balance(caller: Scoped<BillingRead>) -> String {
//!     format!("the balance of {}", caller.subject())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let issuer = TestIssuer::new("https://auth.example.com");
//! let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, secret) = keys.mint(NewKey::new("agent-7").scopes("billing:read")).await?;
//!
//! let limiter = LocalRateLimiter::default();
//! let layers = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_second(100).named("peer")))
//!     .layer(FailureLimitLayer::new("failures", limiter.clone(), LimitBy::peer(), Quota::per_minute(10).named("failures")))
//!     .layer(AuthLayer::new((jwt, keys)))
//!     .layer(RateLimitLayer::new("calls", limiter, LimitBy::principal(), Quota::per_minute(60).named("caller")));
//! let app = Router::new().route("/balance", get(balance)).layer(layers);
//! let request = || Request::get("/balance").extension(Peer::new(([192, 0, 2, 1], 4711).into()));
//!
//! let agent = request().header("x-api-key", secret.expose()).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(agent).await?.status(), 200);
//!
//! let token = issuer.token("alice").audience("https://api.example.com").scope("billing:read").sign();
//! let alice = request().header("authorization", format!("Bearer {token}")).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(alice).await?.status(), 200);
//!
//! let token = issuer.token("bob").audience("https://api.example.com").scope("billing:write").sign();
//! let bob = request().header("authorization", format!("Bearer {token}")).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(bob).await?.status(), 403);
//!
//! let guess = request().header("x-api-key", "sk_agent_guess").body(Body::empty())?;
//! assert_eq!(app.oneshot(guess).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Request lifecycle
//!
//! ```text
//!  request
//!    ▼
//!  AuditLayer           one event for each request, recorded when it ends
//!    ▼
//!  RateLimitLayer       by peer: before any cryptography
//!  FailureLimitLayer    by peer: limits refused credentials only
//!    ▼
//!  AuthLayer            1 locate        Scheme               at most one credential, or 400
//!                       2 authenticate  Authenticator        → Identity, asserted by the authenticator
//!                       3 check         expiry, possession, networks, revocation, replay
//!                       4 admit                              → Principal, in the request's extensions
//!    ▼
//!  StreamGuardLayer     ends long responses when their credential expires or is revoked
//!  RateLimitLayer       by principal, tenant or key
//!  RoleLayer            scopes of the caller's roles
//!  AuthorizeLayer       Policy: scopes, step-up, tenant, closures
//!    ▼
//!  inner service        extractors: Principal, Scoped, Claims
//!    ▼
//!  response             of the handler, or of a Rejection: status, challenges, Retry-After
//! ```
//!
//! # Guarantees
//!
//! An invalid credential is never treated as an absent one. A request has at most one credential, unless the
//! layer declares two. All invalid credentials get the same response. If a credential cannot be verified because a dependency is
//! down, the response is 503, never 401 and never 200. Expiry, possession, networks and revocation are checked on every
//! request, cached or not. Secrets are in no log line, audit event, metric, `Debug` output or error. Options that weaken a check for all credentials
//! have names that begin with `danger_`. [`manual::guarantees`] states all guarantees, and where each is enforced.
//!
//! # Features
//!
//! | feature | contents | default |
//! |---|---|---|
//! | `api-key` | API keys: format, records, in-memory store, cache, authenticator; needs tokio | yes |
//! | `aws-lc-rs` | signatures by aws-lc-rs (needs a C compiler); preferred over `rust-crypto` | yes |
//! | `axum` | extractors, `ConnectInfo` as peer, routes for keys and metadata | yes |
//! | `jwt` | JWT access tokens with static keys; needs `aws-lc-rs` or `rust-crypto` | yes |
//! | `rate-limit` | rate limits on one node, limits of requests in progress | yes |
//! | `tracing` | log lines | yes |
//! | `audit` | one event for each request; sinks and formats; detection of abuse; needs tokio | |
//! | `body` | request bodies that are read within limits, checked, and passed on unchanged; needs tokio | |
//! | `certificate` | client certificates: bound tokens, an authenticator, header fields of proxies | |
//! | `decision-point` | policies that another server decides (AuthZEN, OPA); enables `jwt`; needs tokio | |
//! | `dpop` | DPoP (RFC 9449); enables `jwt` | |
//! | `drain` | the rest of the body of refused requests is read; needs tokio | by `axum` |
//! | `introspection` | opaque tokens (RFC 7662); enables `jwt`; needs tokio | |
//! | `jwks` | keys of issuers from URLs, and discovery; enables `jwt`; needs tokio | |
//! | `mcp` | authorization for MCP servers: tools, prompts, resources, tasks; enables `body`, `metadata`, `stream`; needs tokio | |
//! | `metadata` | protected resource metadata (RFC 9728) | by `jwt` |
//! | `metrics` | metrics through the crate `metrics`; enables `audit` | |
//! | `rust-crypto` | signatures by the RustCrypto crates: no C compiler, slower, no ML-DSA | |
//! | `serde` | `Serialize` and `Deserialize` for scopes, networks and times | by `api-key`, `metadata` |
//! | `signature` | signed requests and responses: RFC 9421, RFC 9530; enables `body` and `jwt`; needs tokio | |
//! | `stream` | responses end when their credential expires or is revoked; needs tokio | |
//! | `testing` | an issuer in the process, tokens of every kind, conformance suites for stores; enables `axum` and `jwt`, builds aws-lc-rs; for dev-dependencies | |
//! | `full` | all of the above except `rust-crypto`; includes `testing` | |

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use self::{
    auth::{Authenticator, Presented},
    authorize::{Policy, StepUp},
    caller::{Actor, AuthMethod, Identity, Principal},
    digest::Digest,
    environment::{Environment, Namespace},
    error::{ConfigError, ConfigErrorKind, Unavailable},
    eventual::Eventual,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scheme::{Challenge, Credential},
    time::{Clock, ManualClock, Moment, SystemClock, Timestamp, UnixTime},
};

mod answer;
mod digest;
mod environment;
mod error;
mod eventual;
mod log;
#[allow(dead_code, reason = "what is measured depends on the features")]
mod metrics;
#[cfg(feature = "audit")]
mod notice;
mod outage;
mod reason;
mod striped;
mod time;
#[cfg(feature = "audit")]
mod trail;
mod url;
#[cfg(any(feature = "audit", feature = "jwt", feature = "stream"))]
mod warnings;

#[cfg(any(feature = "jwt", feature = "mcp"))]
#[cfg_attr(not(feature = "jwt"), allow(dead_code, reason = "some of it is for tokens only"))]
mod json;
pub mod scope;

pub mod caller;
#[cfg(feature = "drain")]
pub mod drain;
pub mod gate;
pub mod refusal;
pub mod replay;
pub mod request;
pub mod revocation;
pub mod scheme;

#[cfg(any(feature = "api-key", feature = "jwt"))]
#[cfg_attr(not(feature = "api-key"), allow(dead_code, reason = "some of it is for changes of API keys only"))]
mod cache;

pub mod auth;
pub mod authorize;
pub mod layer;
pub mod manual;

#[cfg(feature = "api-key")]
pub mod api_key;
#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "body")]
pub mod body;
#[cfg(feature = "certificate")]
pub mod certificate;
#[cfg(feature = "decision-point")]
pub mod decision_point;
#[cfg(feature = "dpop")]
pub mod dpop;
#[cfg(any(feature = "decision-point", feature = "introspection", feature = "jwks"))]
pub mod fetch;
#[cfg(feature = "introspection")]
pub mod introspection;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "mcp")]
pub mod mcp;
#[cfg(feature = "metadata")]
pub mod metadata;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "signature")]
pub mod signature;
#[cfg(feature = "stream")]
pub mod stream;
#[cfg(feature = "testing")]
pub mod testing;

/// Compiles the README's code.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
