//! Limits on the rate of requests, on refused credentials, and on requests in progress.
//!
//! A [`Quota`] is a rate and a burst, and a [`QuotaSet`] is the quotas that apply to a request together. [`LimitBy`]
//! selects the properties by which callers are distinguished. A [`RateLimiter`] decides: [`LocalRateLimiter`] for one
//! node, `RedisRateLimiter` of the crate `tower-warden-redis` for many nodes. [`shared`] has the building blocks for
//! limiters on other stores.
//!
//! The layers are placed on both sides of the authentication:
//!
//! ```text
//!  request
//!    ▼
//!  RateLimitLayer      by peer address: cheap, before any cryptography
//!    ▼
//!  FailureLimitLayer   by peer address: limits refused credentials only, valid ones are admitted
//!    ▼
//!  AuthLayer
//!    ▼
//!  RateLimitLayer      by principal, tenant, key…: the quotas of the caller's tier
//!    ▼
//!  ConcurrencyLayer    by principal: requests in progress
//!    ▼
//!  inner service
//! ```
//!
//! # Examples
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::{AuthLayer, FailureLimitLayer, RateLimitLayer},
//!     rate_limit::{CallerOrigin, Exempt, LimitBy, LocalRateLimiter, Quota, QuotaSet},
//!     request::Peer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, alice) = keys.mint(NewKey::new("alice")).await?;
//!
//! let limiter = LocalRateLimiter::default();
//! let pro = QuotaSet::new([Quota::per_second(50).burst(100), Quota::per_day(100_000)])?;
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_minute(600).named("peer")))
//!     .layer(FailureLimitLayer::new("failures", limiter.clone(), LimitBy::peer(), Quota::per_minute(10).named("failures")))
//!     .layer(AuthLayer::new(keys))
//!     .layer(
//!         RateLimitLayer::new("calls", limiter, LimitBy::principal(), Quota::per_minute(1).named("calls"))
//!             .tier("pro", pro)
//!             .cost(|head| if head.uri.path() == "/search" { 10 } else { 1 })
//!             .exempt(Exempt::subject(CallerOrigin::api_keys().tenant("operations"), "monitor")),
//!     )
//!     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())));
//! let call = || {
//!     let request = Request::builder().extension(Peer::new(([192, 0, 2, 1], 4711).into()));
//!     let request = request.header("authorization", format!("Bearer {}", alice.expose()));
//!     service.clone().oneshot(request.body(()).expect("a request"))
//! };
//!
//! let first = call().await?;
//! assert_eq!(first.status(), 200);
//! assert_eq!(first.headers()["ratelimit"], r#""calls";r=0;t=60"#);
//!
//! let second = call().await?;
//! assert_eq!(second.status(), 429);
//! assert_eq!(second.headers()["retry-after"], "60");
//! assert_eq!(second.headers()["ratelimit-policy"], r#""calls";q=1;w=60"#);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! 1. In any interval of time, the admitted units are at most the burst and the units of the rate in that interval.
//! 2. A client that waits for the time in `Retry-After` is admitted, unless another request with the same key was first.
//! 3. A refused request takes nothing and does not extend any wait. With several quotas, it takes from none of them.
//! 4. A client cannot get a new quota by a header field or by another spelling of a path, except with [`LimitBy::with`].
//! 5. Memory is bounded, and a quota that is used up is not forgotten before a unit is available again.
//! 6. Costs that are known after the response are charged or refunded: [`RateLimitLayer::final_cost`], [`LimitCharge`].
//! 7. The wall clock of a node has no effect, except that it selects the windows of fixed and calendar quotas.

pub use self::{
    charge::LimitCharge,
    check::{RateLimit, RateLimitPass},
    concurrency::{Concurrency, ConcurrencyFuture, ConcurrencyLayer, InFlightBody},
    exempt::{CallerOrigin, Exempt},
    failure_layer::{FailureLimit, FailureLimitLayer, FailureLimitPass},
    fields::RateLimitFields,
    layer::RateLimitLayer,
    limit_by::LimitBy,
    limit_key::LimitKey,
    limit_secret::LimitSecret,
    limiter::{DecidedBy, Decision, LimitExceeded, LimitRequest, LimitStatus, RateLimiter},
    local::LocalRateLimiter,
    quota::{Quota, nonzero},
    quota_set::QuotaSet,
    stopwatch::{ManualStopwatch, MonotonicStopwatch, Stopwatch},
    window::UtcOffset,
};

mod address;
mod charge;
mod check;
mod concurrency;
mod correction;
mod exempt;
mod failure_layer;
mod fields;
mod gcra;
mod hard_limit;
mod layer;
mod limit_by;
mod limit_key;
mod limit_secret;
mod limiter;
mod local;
mod meter;
mod outcome;
mod partitions;
mod property;
mod quota;
mod quota_set;
mod reason;
pub mod shared;
mod stopwatch;
mod table;
mod window;
