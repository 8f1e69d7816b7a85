//! Custom schemes, proofs, authenticators, stores, lists, policies and responses.
//!
//! Built-in capabilities implement the traits below, and the [guarantees](super::guarantees) hold for custom implementations as
//! well. The cache of credentials is not public. The layer compares expiry and its revocation list on every request; a custom
//! authenticator that caches must itself compare whatever else revokes its credentials.
//!
//! | to change | implement | see |
//! |---|---|---|
//! | where a credential is located, and its challenge | [`Scheme`](crate::scheme::Scheme) | [`scheme`](crate::scheme) |
//! | what a credential means | [`Authenticator`](crate::Authenticator) | [`auth`](crate::auth) |
//! | how possession of a key or a certificate is proved | [`ProofOfPossession`](crate::auth::ProofOfPossession) | [`auth`](crate::auth) |
//! | where API keys are stored | [`KeyStore`](crate::api_key::KeyStore) | [`api_key`](crate::api_key) |
//! | where an issuer's keys come from | [`KeySource`](crate::jwt::KeySource) | [`jwt`](crate::jwt) |
//! | what is revoked | [`RevocationList`](crate::revocation::RevocationList) | [`revocation`](crate::revocation) |
//! | whose keys sign requests | [`SignatureKeys`](crate::signature::SignatureKeys) | [`signature`](crate::signature) |
//! | how messages are signed | [`MessageKey`](crate::signature::MessageKey) | [`signature`](crate::signature) |
//! | where used proofs are recorded | [`ReplayGuard`](crate::replay::ReplayGuard) | [`replay`](crate::replay) |
//! | where rate limits are counted | [`RateLimiter`](crate::rate_limit::RateLimiter) | [`rate_limit`](crate::rate_limit) |
//! | how URLs are fetched | [`Fetch`](crate::fetch::Fetch) | [`fetch`](crate::fetch) |
//! | which scopes a role has | [`RoleDirectory`](crate::authorize::RoleDirectory) | [`authorize`](crate::authorize) |
//! | what a caller may do | [`Policy`](crate::Policy) | [`authorize`](crate::authorize) |
//! | which secrets API keys are bound to | [`PayloadKeys`](crate::signature::bound::PayloadKeys) | [`signature::bound`](crate::signature::bound) |
//! | what is read from a request's body before the handler | [`BodyCheck`](crate::body::BodyCheck) | [`body`](crate::body) |
//! | where audit events go | [`AuditSink`](crate::audit::AuditSink) | [`audit`](crate::audit) |
//! | how an audit event is written | [`EventFormat`](crate::audit::EventFormat) | [`audit`](crate::audit) |
//! | the body of refusals | [`Respond`](crate::refusal::Respond) | [`refusal`](crate::refusal) |
//! | the time | [`Clock`](crate::Clock) | [`Environment`](crate::Environment) |
//!
//! Traits with work that may need I/O return an [`Eventual`](crate::Eventual): `Now` if the result is known, which costs no
//! allocation, or `Later` with a boxed future. Most of these futures have a time-out, which needs a runtime of tokio with timers
//! (`enable_time`).
//!
//! # Locations
//!
//! Most changes need no new scheme, only another [`Location`](crate::scheme::Location) of a built-in one: a JWT in the header
//! field of a proxy, next to an `Authorization` field that belongs to somebody else, or a token in a cookie.
//!
//! ```
//! use tower_warden::{
//!     jwt::{Issuer, Jwt},
//!     layer::AuthLayer,
//!     scheme::{Bearer, Location},
//!     testing::TestIssuer,
//! };
//!
//! let issuer = TestIssuer::new("https://team.example.com");
//! let jwt = || Issuer::new(issuer.name(), "https://api.example.com").map(|config| Jwt::new(config, issuer.clone()));
//!
//! let proxy = AuthLayer::new(jwt()?).scheme(Bearer::from(Location::header("cf-access-jwt-assertion")));
//! let browser = AuthLayer::new(jwt()?).scheme(Bearer::from(Location::cookie("session")));
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! Requests that browsers authenticate by cookie need a protection against cross-site request forgery, which this crate does
//! not provide.
//!
//! # Reasons
//!
//! Custom code refuses with a [`Rejection`](crate::Rejection) and a reason of its own, made by
//! [`Reason::custom`](crate::Reason::custom). See [`refusals`](super::refusals).
//!
//! # Testing an implementation
//!
//! [`testing::conformance`](crate::testing::conformance) has suites for key stores, rate limiters, revocation lists and replay
//! guards. The stores of this project run them, and custom stores should.
