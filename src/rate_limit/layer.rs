use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    check::RateLimit, exempt::Exempt, fields::RateLimitFields, limit_by::LimitBy, limit_key::LimitKey,
    limiter::RateLimiter, quota_set::QuotaSet,
};
use crate::{
    Environment,
    caller::Principal,
    gate::{Gate, ResponseHead},
    outage::Outage,
    refusal::{Problem, Responder},
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
///     .layer(RateLimitLayer::new("peers", limiter, LimitBy::peer(), Quota::per_second(10).burst(20)))
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
    ///
    /// Counts belong to the limiter and the name of the limit: layers with different names share none, even if their quotas
    /// are equal. Layers with one name, on one node or on many, count together. Clients do not see the name.
    #[must_use]
    pub fn new(name: &str, limiter: impl RateLimiter, by: LimitBy, quotas: impl Into<QuotaSet>) -> Self {
        let limit = RateLimit {
            key: LimitKey::of_limit(name),
            limiter: Arc::new(limiter),
            #[cfg(feature = "audit")]
            name: crate::striped::Striped::new(|| name.into()),
            outage: Outage::of("rate limiter"),
            by,
            quotas: quotas.into(),
            tiers: Vec::new(),
            choose: None,
            clock: None,
            cost: None,
            final_cost: None,
            has_charge: false,
            exempt: Vec::new(),
            fields: RateLimitFields::default(),
        };
        Self { limit: Arc::new(limit), respond: Responder::default() }
    }
}

impl<R> RateLimitLayer<R> {
    /// Chooses the quotas of a principal by a closure; if it returns `None`, the tier determines them.
    ///
    /// Let it return clones of sets that are created once: a [`QuotaSet`] is made for many requests, and creating one takes
    /// more time than all else that is done for a request.
    #[must_use]
    pub fn choose(mut self, choose: impl Fn(&Principal) -> Option<QuotaSet> + Send + Sync + 'static) -> Self {
        self.limit_mut().choose = Some(Arc::new(choose));
        self
    }

    /// Sets the cost of requests in units, one by default.
    ///
    /// A request of cost zero is exempt; with [`final_cost`](Self::final_cost) or [`with_charge`](Self::with_charge), it costs
    /// one unit, so that callers who have used up the quota are refused. The final cost may return it; a charge is added to it.
    /// Requests that are always free are [exempt](Self::exempt). A cost above the burst of a quota is reduced to the burst.
    #[must_use]
    pub fn cost(mut self, cost: impl Fn(&Head<'_>) -> u32 + Send + Sync + 'static) -> Self {
        self.limit_mut().cost = Some(Arc::new(cost));
        self
    }

    /// Corrects the cost of each request when its response is known: the closure gets the response and the units that the
    /// request has cost so far, and returns the final cost.
    ///
    /// Units that are missing are taken even if they are not available, so that later requests wait for them. The fields of
    /// the response report the state before the correction. If the limiter does not answer, the cost stays as it is, and the
    /// response is passed on. For costs that are known only when the response body has been sent, see
    /// [`with_charge`](Self::with_charge).
    ///
    /// # Examples
    ///
    /// A failure of the server is free, and the handler reports the tokens that a model has used:
    ///
    /// ```
    /// use tower_warden::{
    ///     layer::RateLimitLayer,
    ///     rate_limit::{LimitBy, LocalRateLimiter, Quota},
    /// };
    ///
    /// #[derive(Clone, Copy)]
    /// struct Tokens(u32);
    ///
    /// let quota = Quota::per_hour(100_000).unit("tokens");
    /// let limit = RateLimitLayer::new("tokens", LocalRateLimiter::default(), LimitBy::tenant(), quota);
    /// let limit = limit.final_cost(|response, cost| match response.extensions.get::<Tokens>() {
    ///     _ if response.status.is_server_error() => 0,
    ///     Some(Tokens(used)) => *used,
    ///     None => cost,
    /// });
    /// ```
    #[must_use]
    pub fn final_cost(mut self, cost: impl Fn(&ResponseHead<'_>, u32) -> u32 + Send + Sync + 'static) -> Self {
        self.limit_mut().final_cost = Some(Arc::new(cost));
        self
    }

    /// Adds a [`LimitCharge`](super::LimitCharge) to the extensions of each request, with which the handler charges
    /// and refunds units.
    ///
    /// If several layers add one, the handler finds that of the innermost layer.
    #[must_use]
    pub fn with_charge(mut self) -> Self {
        self.limit_mut().has_charge = true;
        self
    }

    /// Exempts the requests to which the rule applies. Can be called repeatedly: one applicable rule is sufficient.
    #[must_use]
    pub fn exempt(mut self, rule: Exempt) -> Self {
        self.limit_mut().exempt.push(rule);
        self
    }

    /// Sets the clock that selects the windows of quotas in windows: that of the system by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        #[cfg(feature = "audit")]
        if let Some(observer) = environment.observer() {
            self.limit.outage.observed_by(&observer);
        }
        self.limit_mut().clock = Some(environment.clock());
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
    ///
    /// The tier is that of the credential, and each quota has its own count. With [`LimitBy::tenant`], a tenant that has keys
    /// of two tiers has the quotas of both. To limit such a tenant to one of them, give all of its keys one tier, let
    /// [`choose`](Self::choose) return the quotas of the tenant, or add a layer by tenant without tiers.
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
