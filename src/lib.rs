//! Auth for tower: layers that find a credential on a request, verify it, and decide what it may do.
//!
//! They mount on any `Service<Request<B>>`: axum, hyper, tonic. Seven types carry the crate:
//!
//! - [`AuthLayer`](layer::AuthLayer) lets authenticated requests through, with a [`Principal`] in their extensions.
//! - [`ApiKeys`](api_key::ApiKeys) verifies API keys, and mints, rotates and revokes them; where they are kept is a
//!   [`KeyStore`](api_key::KeyStore)'s matter.
//! - [`Jwt`](jwt::Jwt) verifies JWT access tokens of the issuers that it is told of.
//! - [`Principal`] is a caller that the crate vouches for; nobody else can make one.
//! - [`Scoped`](axum::Scoped) takes a caller whose scopes meet a type that [`scopes!`] made;
//!   [`AuthorizeLayer`](layer::AuthorizeLayer) does the same for whole routes.
//! - [`RateLimitLayer`](layer::RateLimitLayer) lets through what a caller's quotas admit, and tells it where it stands.
//! - [`Rejection`] is a request that was refused: what the client is told, and why.
//!
//! # Ten lines
//!
//! With the features `axum` (on by default) and `sqlite`:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_warden::{api_key::*, axum::Scoped, layer::AuthLayer, scope::scopes};
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
//! let keys = ApiKeys::new(SqlKeyStore::connect("sqlite://keys.db").await?, KeyFormat::new("sk_live")?);
//! let app: Router = Router::new().route("/balance", get(balance)).layer(AuthLayer::new(keys));
//! # Ok(()) }
//! ```
//!
//! # The way of a request
//!
//! ```text
//!  request
//!    │
//!    ▼
//!  RateLimitLayer  by peer, and FailureLimitLayer for refused credentials
//!    ▼
//!  AuthLayer       1 credential    Credential::find(head)              sync, borrowed, exactly one or 400
//!    │             2 proof         certificate, DPoP proof             read from the head, or from the connection
//!    │             3 authenticate  Authenticator::authenticate(..)     → Identity   (what the authenticator asserts)
//!    │             4 vouch         expiry → binding → networks →       → Principal  (what the crate vouches for)
//!    │                             revocation → replay
//!    │             5 admit         extensions.insert(principal)        one value, one allocation
//!    ▼
//!  RateLimitLayer  RateLimiter::take(key, plan, cost)                  by principal; decorates the response
//!    ▼
//!  AuthorizeLayer  Policy::decide(principal, head)                     scopes, step-up, tenant, closures
//!    ▼
//!  inner service   axum handlers with extractors: Principal, Scoped<S>
//!    │
//!    ▼ response: the handler's, or a Rejection's (status, WWW-Authenticate, Retry-After), whose reason
//!                rides in the response's extensions
//! ```
//!
//! The layers are one service, the [`Gate`](gate::Gate): it looks at a request's head, decides [now or
//! later](Eventual), and calls the inner service or answers in its place. The order is fixed, so an expired key without
//! the scope is answered with 401, never with 403. How limits fit in is told in [`rate_limit`].
//!
//! # What always holds
//!
//! 1. A bad credential is never treated as an absent one: an [optional](layer::AuthLayer::optional) layer lets a
//!    request without a credential through, and refuses one with a bad credential.
//! 2. Exactly one credential: two of them are 400, whichever is good.
//! 3. Every refused credential looks the same from outside, and its [reason](Rejection::reason) is told inside.
//! 4. A credential that cannot be verified because a store, an issuer or a list is down is answered with 503 and
//!    `Retry-After`: never with 401, never let in, and nothing of it is cached.
//! 5. Expiry, [binding], networks and [revocation] are looked at on each request, whether the credential was cached or not.
//! 6. What a credential is [bound](binding) to is proved, or the credential is refused, whatever is configured.
//! 7. A revoked key is refused at once on the node that revoked it, even against a look-up in flight; a token is as soon as
//!    the key that signed it has left its issuer's set.
//! 8. No secret is in a log line, a `Debug` text, an error or an answer, but in the one that mints it.
//!
//! # From the first key to several nodes
//!
//! **The first key.** [`ApiKeys::mint`](api_key::ApiKeys::mint) makes a key and shows it once; stored is its digest.
//! `cargo run --example quickstart` does that on SQLite, with the routes of [`key_routes`](axum::key_routes) to manage
//! more of them.
//!
//! **Tokens.** `Jwt::discover(issuer, audience)` accepts the access tokens of an authorization server, strictly and with
//! keys that may change at any time; [`jwt`] tells what is checked, and what the common issuers need. The layer takes both:
//! `AuthLayer::new((jwt, keys))`. `cargo run --example jwt` shows it, and the feature `testing` brings an issuer for tests of
//! your own.
//!
//! **Rights.** [`scopes!`] makes a type for each scope. Declare what implies what with a
//! [`ScopeHierarchy`](scope::ScopeHierarchy), and give keys a tenant, a tier, an expiry, and the networks they may come
//! from. Behind a proxy, networks need [`TrustedProxies`](request::TrustedProxies): no header is believed without.
//!
//! **Leaks.** Let secret scanners look for your prefix. [Rotate](api_key::ApiKeys::rotate) with a grace during which
//! both keys are good; [revoke](api_key::ApiKeys::revoke) what has leaked. With a [`Pepper`](api_key::Pepper), stolen
//! digests are of no use even for keys that can be guessed, as imported ones may be.
//!
//! **Other systems' keys.** [`import`](api_key::import) their digests as JSON lines and accept their form with
//! [`KeyFormat::opaque`](api_key::KeyFormat::opaque); they are replaced one by one as they are rotated.
//!
//! **Several nodes.** Hand [`SqlKeyStore::connect`](api_key::SqlKeyStore::connect) a `postgres://` URL instead. A
//! revocation then reaches the other nodes by `NOTIFY`, which does not pass a pooler in transaction mode. A node that
//! loses its connection drops all that it has cached. Until it notices, and on SQLite shared by several processes, a
//! revoked key is good for as long as a good one is cached: 30 seconds by default,
//! [less](api_key::ApiKeysBuilder::positive_ttl) if you say so. On Redis or Valkey, with the feature `redis`, nodes share
//! [limits](rate_limit), [revocations](revocation) and [proofs](dpop) that were seen, and tell each other of changed keys.
//!
//! **Opaque tokens** of an authorization server are asked about: [`Introspection`](introspection::Introspection).
//!
//! **Being found.** With the feature `metadata`, one declaration makes the document by which clients find out where to
//! get a token (RFC 9728), and the challenge that points there; MCP clients need both.
//!
//! **Stolen tokens.** A token, or a key, that is bound to its sender is of no use to anybody else: to a
//! [client certificate](certificate), RFC 8705, or to a [key of the client's](dpop), RFC 9449. That it is proved is
//! checked whenever a credential says so; [`sender_constrained`](layer::AuthLayer::sender_constrained) demands it, and
//! [`AuthorizeLayer::sender_constrained`](layer::AuthorizeLayer::sender_constrained) does for single routes.
//!
//! **TLS** is yours to put in front, or the [listener's](tls): a key that is sent in the clear is anybody's. Behind
//! a proxy, [what it says of certificates](certificate#behind-a-proxy) counts if you say who it is.
//!
//! **Shutting down.** When keys were last used is written behind: call [`ApiKeys::flush`](api_key::ApiKeys::flush)
//! before the process ends.
//!
//! # Features
//!
//! | feature | what it brings | default |
//! |---|---|---|
//! | `api-key` | keys, the store in memory, the cache, the authenticator; needs tokio at run time | yes |
//! | `aws-lc-rs` | signatures by aws-lc-rs (needs a C compiler) | yes |
//! | `axum` | extractors, `ConnectInfo` as peer, and with `api-key` the key-management routes | yes |
//! | `jwt` | JWT access tokens with keys that are at hand; with `aws-lc-rs` or `rust-crypto` | yes |
//! | `rate-limit` | quotas by peer, principal, tenant and more, on one node; requests in flight | yes |
//! | `tracing` | log lines | yes |
//! | `jwks` | JWT issuers' keys from URLs, and discovery; needs tokio at run time | |
//! | `rust-crypto` | signatures by RustCrypto's libraries: no C compiler, slower, no ML-DSA; `aws-lc-rs` goes first | |
//! | `testing` | an issuer in the process, and tokens of every kind, for your own tests | |
//! | `body` | [checks](body) that need the request's body; needs tokio at run time | |
//! | `certificate` | client certificates: bound tokens, an authentication of their own, proxies' headers | by `tls` |
//! | `dpop` | proofs of possession for tokens that are bound to a key; brings `jwt` | |
//! | `introspection` | [opaque tokens](introspection), about which their issuer is asked (RFC 7662) | |
//! | `metadata` | protected resource metadata, and with `axum` their route | by `jwt` |
//! | `sqlite` | keys in SQLite, which is built along | |
//! | `postgres` | keys in Postgres, changes pushed to every node | |
//! | `redis` | quotas, proofs and revocations that many nodes share, changes of keys told to every node | |
//! | `serde` | `Serialize` and `Deserialize` for scopes, networks and times | by `api-key`, `metadata` |
//! | `tls` | a TLS listener for axum and hyper, with client certificates and files that may change | |
//! | `full` | all of them but `rust-crypto` | |
//!
//! # What it is not
//!
//! It issues no tokens and has no users, sessions or passwords: it is the side that is called.

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
    time::{Clock, ManualClock, SystemClock, UnixTime},
};

mod digest;
mod environment;
mod error;
mod eventual;
mod log;
mod reason;
mod striped;
mod time;
mod url;

#[cfg(feature = "jwt")]
mod json;
pub mod scope;

pub mod caller;
pub mod gate;
pub mod refusal;
pub mod replay;
pub mod request;
pub mod revocation;
pub mod scheme;

#[cfg(any(feature = "api-key", feature = "jwt"))]
#[cfg_attr(not(feature = "api-key"), allow(dead_code, reason = "a JWT is verified at once: no look-up is in flight"))]
mod cache;

pub mod auth;
pub mod authorize;
pub mod layer;

#[cfg(feature = "api-key")]
pub mod api_key;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "body")]
pub mod body;
#[cfg(feature = "certificate")]
pub mod certificate;
#[cfg(feature = "dpop")]
pub mod dpop;
#[cfg(any(feature = "introspection", feature = "jwks"))]
pub mod fetch;
#[cfg(feature = "introspection")]
pub mod introspection;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "metadata")]
pub mod metadata;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "testing")]
pub mod testing;

/// Compiles the README's code.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
