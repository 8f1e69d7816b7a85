use std::{fmt, num::NonZeroU32, sync::Arc};

use http::HeaderMap;
use tower_layer::Layer;

use super::{
    exempt::Exempt,
    fields::{Fields, RateLimitFields},
    limit_by::LimitBy,
    limiter::{Decision, LimitRequest, RateLimiter},
    quota_set::QuotaSet,
};
use crate::{
    Eventual,
    caller::Principal,
    error::Unavailable,
    gate::{Check, Gate, Pass, sealed::Sealed},
    log::{self, Causes},
    reason::Reason,
    refusal::{Problem, Rejection, RejectionKind, Responder},
    request::Head,
};

/// Limits the rate of requests, and reports the state of the limit in response fields.
///
/// Placed outside of [`AuthLayer`](crate::layer::AuthLayer), it limits by peer address; inside, by principal. Use both:
/// the [module docs](crate::rate_limit) show a complete stack.
///
/// A refusal is a 429 with `Retry-After` and a problem of the type `quota-exceeded` that names the quotas.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     layer::RateLimitLayer,
///     rate_limit::{LimitBy, LocalRateLimiter, ManualStopwatch, Quota},
///     request::Peer,
/// };
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
/// Behind a proxy, the peer is the proxy: use [`LimitBy::client_address`] there.
pub struct RateLimitLayer<R = Problem> {
    limit: Arc<RateLimit>,
    respond: Responder<R>,
}

impl RateLimitLayer {
    /// Limits requests to the quotas of a set, or to one quota.
    #[must_use]
    pub fn new(limiter: impl RateLimiter, by: LimitBy, quotas: impl Into<QuotaSet>) -> Self {
        let limit = RateLimit {
            limiter: Arc::new(limiter),
            by,
            quotas: quotas.into(),
            tiers: Vec::new(),
            choose: None,
            cost: None,
            exempt: Vec::new(),
            fields: RateLimitFields::default(),
        };
        Self { limit: Arc::new(limit), respond: Responder::default() }
    }
}

impl<R> RateLimitLayer<R> {
    /// Chooses the quotas of a principal by a closure; if it returns `None`, the tier determines them.
    #[must_use]
    pub fn choose(mut self, choose: impl Fn(&Principal) -> Option<QuotaSet> + Send + Sync + 'static) -> Self {
        self.limit_mut().choose = Some(Arc::new(choose));
        self
    }

    /// Sets the cost of requests in units, one by default.
    ///
    /// A request of cost zero is exempt. A cost above the burst of a quota is reduced to the burst.
    #[must_use]
    pub fn cost(mut self, cost: impl Fn(&Head<'_>) -> u32 + Send + Sync + 'static) -> Self {
        self.limit_mut().cost = Some(Arc::new(cost));
        self
    }

    /// Exempts the requests to which the rule applies. Can be called repeatedly: one applicable rule is sufficient.
    #[must_use]
    pub fn exempt(mut self, rule: Exempt) -> Self {
        self.limit_mut().exempt.push(rule);
        self
    }

    /// Sets the response fields that report the state of the limit.
    #[must_use]
    pub fn fields(mut self, fields: RateLimitFields) -> Self {
        self.limit_mut().fields = fields;
        self
    }

    /// Sets the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> RateLimitLayer<R2> {
        RateLimitLayer { limit: self.limit, respond: Responder::set(respond) }
    }

    /// Sets the quotas of principals of this tier.
    ///
    /// Principals of other tiers, or without a tier, have the quotas given to `new`, which should be the smallest.
    #[must_use]
    pub fn tier(mut self, tier: impl Into<Box<str>>, quotas: impl Into<QuotaSet>) -> Self {
        self.limit_mut().tiers.push((tier.into(), quotas.into()));
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
    quotas: QuotaSet,
    tiers: Vec<(Box<str>, QuotaSet)>,
    choose: Option<Arc<dyn Fn(&Principal) -> Option<QuotaSet> + Send + Sync>>,
    cost: Option<Arc<dyn Fn(&Head<'_>) -> u32 + Send + Sync>>,
    exempt: Vec<Exempt>,
    fields: RateLimitFields,
}

impl RateLimit {
    /// The quotas of the principal's tier.
    fn quotas(&self, caller: Option<&Principal>) -> &QuotaSet {
        let tier = caller.and_then(Principal::tier);
        let of_tier = tier.and_then(|tier| self.tiers.iter().find(|(name, _)| **name == *tier));
        of_tier.map_or(&self.quotas, |(_, quotas)| quotas)
    }

    /// The cost of the request; `None` if it is exempt.
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
        let quotas = chosen.as_ref().unwrap_or_else(|| self.quotas(caller));
        let reason = Reason::QUOTA_EXCEEDED;
        match self.limiter.take(&LimitRequest::new(&key, quotas).cost(cost)) {
            Eventual::Now(decision) => Eventual::Now(respond(decision, quotas, self.fields, reason).map(Metered)),
            // The limiter queries a shared store.
            Eventual::Later(decision) => {
                let (quotas, fields) = (quotas.clone(), self.fields);
                Eventual::later(async move { respond(decision.await, &quotas, fields, reason).map(Metered) })
            }
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RateLimit");
        debug.field("by", &self.by).field("quotas", &self.quotas).field("tiers", &self.tiers);
        debug.field("exempt", &self.exempt).field("fields", &self.fields).finish_non_exhaustive()
    }
}

/// The response fields of a request that [`RateLimitLayer`] has admitted.
#[derive(Debug)]
pub struct Metered(Fields);

impl Sealed for Metered {}

impl Pass for Metered {
    fn decorate(&mut self, headers: &mut HeaderMap) {
        std::mem::replace(&mut self.0, Fields::Silent).write(headers);
    }
}

/// The response fields for a decision, or the refusal with its fields.
pub(super) fn respond(
    decision: Result<Decision, Unavailable>,
    quotas: &QuotaSet,
    fields: RateLimitFields,
    reason: Reason,
) -> Result<Fields, Rejection> {
    match decision {
        Ok(Decision::Admitted(status)) => Ok(Fields::new(fields, quotas, &status)),
        Ok(Decision::Refused(exceeded)) => {
            let violated = quotas.quotas().enumerate().filter(|(index, _)| exceeded.violated.contains(index));
            let names = violated.map(|(_, quota)| quota.name());
            let rejection = Rejection::quota_exceeded(reason, exceeded.wait, names);
            Err(Fields::new(fields, quotas, &exceeded.status).refuse(rejection))
        }
        Ok(Decision::Uncounted) => Ok(Fields::Silent),
        Err(error) => {
            log::error!(error = %Causes(&error), "a rate limiter failed; the request is refused with 503");
            Err(Rejection::new(RejectionKind::Unavailable, Reason::RATE_LIMITER_UNAVAILABLE))
        }
    }
}
