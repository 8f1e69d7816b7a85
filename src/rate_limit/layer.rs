use std::{fmt, num::NonZeroU32, sync::Arc};

use http::HeaderMap;
use tower_layer::Layer;

use super::{
    by::LimitBy,
    exempt::Exempt,
    fields::{Fields, RateLimitFields},
    limiter::{Decision, LimitRequest, RateLimiter},
    plan::QuotaSet,
};
use crate::{
    Eventual,
    caller::Principal,
    error::Unavailable,
    gate::{Check, Gate, Pass, sealed::Sealed},
    log::{self, Causes},
    reason::Reason,
    refusal::Problem,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// Lets through what a caller's quotas admit, and tells the caller where it stands.
///
/// Stands outside of [`AuthLayer`](crate::layer::AuthLayer) to count by peer, and inside of it to count by principal; both
/// together are best. See [`rate_limit`](crate::rate_limit) for how they fit together, with an example.
///
/// Refusals are 429 with `Retry-After`, and problems of the type `quota-exceeded` that name the quotas.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{layer::RateLimitLayer, request::Peer, rate_limit::{LimitBy, LocalRateLimiter, ManualStopwatch, Quota}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let stopwatch = ManualStopwatch::default();
/// let limiter = LocalRateLimiter::default().stopwatch(stopwatch.clone());
/// let service = ServiceBuilder::new()
///     .layer(RateLimitLayer::new(limiter, LimitBy::peer(), Quota::per_second(10).burst(20)))
///     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = || {
///     let request = Request::builder().extension(Peer::new(([192, 0, 2, 1], 4711).into()));
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
///
/// for _ in 0..20 {
///     assert_eq!(call().await?.status(), 200);
/// }
/// assert_eq!(call().await?.status(), 429);
/// stopwatch.advance(Duration::from_millis(100));
/// assert_eq!(call().await?.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveat
///
/// Behind a proxy, the peer is the proxy: count by [`LimitBy::address`].
pub struct RateLimitLayer<R = Problem> {
    limit: Arc<RateLimit>,
    respond: R,
}

impl RateLimitLayer {
    /// Counts requests against a plan, or against one quota.
    #[must_use]
    pub fn new(limiter: impl RateLimiter, by: LimitBy, plan: impl Into<QuotaSet>) -> Self {
        let limit = RateLimit {
            limiter: Arc::new(limiter),
            by,
            plan: plan.into(),
            tiers: Vec::new(),
            choose: None,
            cost: None,
            exempt: Vec::new(),
            fields: RateLimitFields::default(),
        };
        Self { limit: Arc::new(limit), respond: Problem }
    }
}

impl<R> RateLimitLayer<R> {
    /// Chooses a principal's plan by a closure; where it chooses none, the tier does.
    #[must_use]
    pub fn choose(mut self, choose: impl Fn(&Principal) -> Option<QuotaSet> + Send + Sync + 'static) -> Self {
        self.limit_mut().choose = Some(Arc::new(choose));
        self
    }

    /// How many units a request costs: one by default. What costs none is not counted; what costs more than a burst
    /// costs the burst.
    #[must_use]
    pub fn cost(mut self, cost: impl Fn(&Head<'_>) -> u32 + Send + Sync + 'static) -> Self {
        self.limit_mut().cost = Some(Arc::new(cost));
        self
    }

    /// Does not count what the rule applies to; with several, any of them will do.
    #[must_use]
    pub fn exempt(mut self, rule: Exempt) -> Self {
        self.limit_mut().exempt.push(rule);
        self
    }

    /// Which fields tell clients where they stand.
    #[must_use]
    pub fn fields(mut self, fields: RateLimitFields) -> Self {
        self.limit_mut().fields = fields;
        self
    }

    /// Makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> RateLimitLayer<R2> {
        RateLimitLayer { limit: self.limit, respond }
    }

    /// The plan of principals of this tier. Those of a tier that has none, and of no tier, have the one in `new`: let
    /// that be the smallest.
    #[must_use]
    pub fn tier(mut self, tier: impl Into<Box<str>>, plan: impl Into<QuotaSet>) -> Self {
        self.limit_mut().tiers.push((tier.into(), plan.into()));
        self
    }

    fn limit_mut(&mut self) -> &mut RateLimit {
        Arc::make_mut(&mut self.limit)
    }
}

impl<S, R: Clone> Layer<S> for RateLimitLayer<R> {
    type Service = Gate<S, RateLimit, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.limit), self.respond.clone())
    }
}

impl<R: Clone> Clone for RateLimitLayer<R> {
    fn clone(&self) -> Self {
        Self { limit: Arc::clone(&self.limit), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for RateLimitLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The check of [`RateLimitLayer`].
#[derive(Clone)]
pub struct RateLimit {
    limiter: Arc<dyn RateLimiter>,
    by: LimitBy,
    plan: QuotaSet,
    tiers: Vec<(Box<str>, QuotaSet)>,
    choose: Option<Arc<dyn Fn(&Principal) -> Option<QuotaSet> + Send + Sync>>,
    cost: Option<Arc<dyn Fn(&Head<'_>) -> u32 + Send + Sync>>,
    exempt: Vec<Exempt>,
    fields: RateLimitFields,
}

impl RateLimit {
    /// The plan by the principal's tier.
    fn plan(&self, caller: Option<&Principal>) -> &QuotaSet {
        let tier = caller.and_then(Principal::tier);
        let of_tier = tier.and_then(|tier| self.tiers.iter().find(|(known, _)| **known == *tier));
        of_tier.map_or(&self.plan, |(_, plan)| plan)
    }

    /// How many units the request costs, if any.
    fn units(&self, head: &Head<'_>) -> Option<NonZeroU32> {
        if self.exempt.iter().any(|rule| rule.applies(head)) {
            return None;
        }
        self.cost.as_ref().map_or(Some(NonZeroU32::MIN), |cost| NonZeroU32::new(cost(head)))
    }
}

impl Sealed for RateLimit {}

impl Check for RateLimit {
    type Pass = Metered;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Metered, Rejection>> {
        let Some(cost) = self.units(head) else { return Eventual::Now(Ok(Metered(Fields::Silent))) };
        let key = match self.by.key_of(head) {
            Ok(key) => key,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        let caller = head.extensions.get::<Principal>();
        let chosen = self.choose.as_ref().zip(caller).and_then(|(choose, caller)| choose(caller));
        let plan = chosen.as_ref().unwrap_or_else(|| self.plan(caller));
        match self.limiter.take(&LimitRequest::new(&key, plan).cost(cost)) {
            Eventual::Now(answer) => Eventual::Now(settle(answer, plan, self.fields)),
            Eventual::Later(answer) => {
                let (plan, fields) = (plan.clone(), self.fields);
                Eventual::later(async move { settle(answer.await, &plan, fields) })
            }
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RateLimit");
        debug.field("by", &self.by).field("plan", &self.plan).field("tiers", &self.tiers);
        debug.field("exempt", &self.exempt).field("fields", &self.fields).finish_non_exhaustive()
    }
}

/// What [`RateLimitLayer`] leaves on a response.
#[derive(Debug)]
pub struct Metered(Fields);

impl Sealed for Metered {}

impl Pass for Metered {
    fn decorate(&mut self, headers: &mut HeaderMap) {
        std::mem::replace(&mut self.0, Fields::Silent).write(headers);
    }
}

fn settle(
    answer: Result<Decision, Unavailable>,
    plan: &QuotaSet,
    fields: RateLimitFields,
) -> Result<Metered, Rejection> {
    let standing = verdict(answer, plan, fields, Reason::QUOTA_EXCEEDED)?;
    Ok(Metered(standing))
}

/// What a limiter's answer comes to: the fields of the response, or a refusal that has them.
pub(super) fn verdict(
    answer: Result<Decision, Unavailable>,
    plan: &QuotaSet,
    fields: RateLimitFields,
    reason: Reason,
) -> Result<Fields, Rejection> {
    match answer {
        Ok(Decision::Admitted(standing)) => Ok(Fields::new(fields, plan, &standing)),
        Ok(Decision::Refused(excess)) => {
            let names = plan.quotas().enumerate().filter(|(place, _)| excess.violated.contains(place));
            let names = names.map(|(_, quota)| quota.name());
            let fields = Fields::new(fields, plan, &excess.standing);
            let refused = Rejection::quota_exceeded(reason, excess.wait, names);
            Err(fields.refuse(refused))
        }
        Ok(Decision::Uncounted) => Ok(Fields::Silent),
        Err(error) => {
            log::error!(error = %Causes(&error), "a rate limiter failed; the request is answered with 503");
            Err(Rejection::new(RejectionKind::Unavailable, Reason::RATE_LIMITER_UNAVAILABLE))
        }
    }
}
