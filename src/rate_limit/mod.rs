//! Rate limits: how much a caller may use, who keeps the counts, and what clients are told.
//!
//! A [`Quota`] is a rate and a burst; a [`QuotaSet`] is the quotas that a request is counted against all at once. [`LimitBy`]
//! tells callers apart. A [`RateLimiter`] keeps the counts: [`LocalRateLimiter`] those of one node, `RedisRateLimiter` (with
//! the feature `redis`) those of many. The layers that ask it are in [`layer`](crate::layer), and they stand in two places:
//!
//! ```text
//!  request
//!    ▼
//!  RateLimitLayer      by peer: cheap, before any cryptography
//!    ▼
//!  FailureLimitLayer   by peer: counts refused credentials only, so a valid client behind the same address passes
//!    ▼
//!  AuthLayer
//!    ▼
//!  RateLimitLayer      by principal, tenant, key…: the caller's own quota, by its tier
//!    ▼
//!  ConcurrencyLayer    by principal: requests in flight
//!    ▼
//!  inner service
//! ```
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::{AuthLayer, FailureLimitLayer, RateLimitLayer},
//!     request::Peer,
//!     rate_limit::{LimitBy, Exempt, LocalRateLimiter, QuotaSet, Quota},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, alice) = keys.mint(NewKey::new("alice")).await?;
//!
//! let limiter = LocalRateLimiter::default();
//! let pro = QuotaSet::new([Quota::per_second(50).burst(100), Quota::per_day(100_000)])?;
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(limiter.clone(), LimitBy::peer(), Quota::per_minute(600).named("peer")))
//!     .layer(FailureLimitLayer::new(limiter.clone(), LimitBy::peer(), Quota::per_minute(10).named("failures")))
//!     .layer(AuthLayer::new(keys))
//!     .layer(
//!         RateLimitLayer::new(limiter, LimitBy::principal(), Quota::per_minute(1).named("calls"))
//!             .tier("pro", pro)
//!             .cost(|head| if head.uri.path() == "/search" { 10 } else { 1 })
//!             .exempt(Exempt::subject("monitor")),
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
//! # What always holds
//!
//! 1. In no stretch of time is more admitted than the burst and what comes back meanwhile.
//! 2. Who waits for as long as `Retry-After` says is admitted, if nobody else with the same key was quicker.
//! 3. A refused request costs nothing and makes no wait longer. With several quotas, it takes from none of them.
//! 4. No header and no spelling of a path makes a new quota, but where [`LimitBy::with`] is told so.
//! 5. What is kept is bounded, and a quota that is used up is not forgotten before there is a unit again.
//! 6. The wall clock of a node plays no part.

pub use self::{
    by::LimitBy,
    concurrency::{Concurrency, ConcurrencyFuture, ConcurrencyLayer, HeldBody},
    exempt::Exempt,
    failure_layer::{FailureLimit, FailureLimitLayer, Watched},
    fields::RateLimitFields,
    key::LimitKey,
    layer::{Metered, RateLimit, RateLimitLayer},
    limiter::{Decision, LimitExceeded, LimitRequest, LimitStatus, RateLimiter},
    local::LocalRateLimiter,
    plan::QuotaSet,
    quota::Quota,
    stopwatch::{ManualStopwatch, MonotonicStopwatch, Stopwatch},
};

mod by;
mod concurrency;
mod exempt;
mod failure_layer;
mod fields;
mod gcra;
mod key;
mod layer;
mod limiter;
mod local;
mod plan;
mod quota;
mod reason;
mod stopwatch;
mod table;
