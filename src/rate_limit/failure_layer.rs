use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    check::respond,
    fields::RateLimitFields,
    limit_by::LimitBy,
    limit_key::LimitKey,
    limiter::{LimitRequest, RateLimiter},
    quota_set::QuotaSet,
};
use crate::{
    Environment, Eventual,
    answer::within_time_out,
    gate::{Check, Gate, Pass, ResponseHead, sealed::Sealed},
    outage::Outage,
    reason::Reason,
    refusal::{Problem, Rejection, RejectionKind, Responder},
    request::Head,
    striped::Striped,
    time::Clock,
};

/// Limits the rate of refused credentials.
///
/// It is placed outside of [`AuthLayer`](crate::layer::AuthLayer). Each credential that is refused there as invalid or
/// malformed takes one unit; other requests take nothing. When the quota is used up, a refused credential gets 429 in
/// place of 401 or 400. A valid credential is still admitted, so a client is not locked out by others that share its
/// address.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     layer::{AuthLayer, FailureLimitLayer},
///     rate_limit::{LimitBy, LocalRateLimiter, Quota},
///     request::Peer,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, alice) = keys.mint(NewKey::new("alice")).await?;
/// let failures = Quota::per_minute(1).named("failures");
/// let service = ServiceBuilder::new()
///     .layer(FailureLimitLayer::new("failures", LocalRateLimiter::default(), LimitBy::peer(), failures))
///     .layer(AuthLayer::new(keys))
///     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = |key: &str| {
///     let request = Request::builder().extension(Peer::new(([192, 0, 2, 1], 4711).into()));
///     service.clone().oneshot(request.header("x-api-key", key).body(()).expect("a request"))
/// };
///
/// assert_eq!(call("sk_agent_guess").await?.status(), 401);
/// assert_eq!(call("sk_agent_guess").await?.status(), 429);
/// assert_eq!(call(alice.expose()).await?.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveat
///
/// Every credential is verified before it is limited: this layer limits guesses, not the cost of verification. Limit that
/// cost with a [`RateLimitLayer`](crate::layer::RateLimitLayer) by peer outside of this layer.
///
/// A guess that hits is admitted, also while the limit is exceeded: the layer reports guessing and makes it visible, but
/// does not make weak credentials safe. Use credentials that cannot be guessed, such as generated API keys; to refuse a
/// valid credential behind a busy address as well, use a `RateLimitLayer` by peer. The refusal inside is kept as the
/// [`cause`](crate::Rejection::cause) of the 429, for audit.
pub struct FailureLimitLayer<R = Problem> {
    limit: Arc<FailureLimit>,
    respond: Responder<R>,
}

impl FailureLimitLayer {
    /// Limits refused credentials to the quotas of a set, or to one quota.
    ///
    /// Counts belong to the limiter and the name of the limit, as in
    /// [`RateLimitLayer::new`](crate::layer::RateLimitLayer::new); those of a `RateLimitLayer` with the same name are
    /// separate.
    #[must_use]
    pub fn new(name: &str, limiter: impl RateLimiter, by: LimitBy, quotas: impl Into<QuotaSet>) -> Self {
        let (limiter, quotas, outage) = (Arc::new(limiter), quotas.into(), Outage::of("rate limiter"));
        let settings = || {
            let limiter: Arc<dyn RateLimiter> = Arc::clone(&limiter) as _;
            let (quotas, outage) = (quotas.clone(), outage.clone());
            let fields = RateLimitFields::default();
            Arc::new(Settings { clock: None, limiter, outage, quotas, fields, is_failure: None })
        };
        let limit = FailureLimit { key: LimitKey::of_failures(name), by, settings: Striped::new(settings) };
        Self { limit: Arc::new(limit), respond: Responder::default() }
    }
}

impl<R> FailureLimitLayer<R> {
    /// Also counts the responses for which the closure returns `true` as failures, such as the 401 or 404 of a handler.
    ///
    /// Refused credentials are counted in any case. When the quota is used up, such a response is replaced by a 429 too; what
    /// the handler has done stays done.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{
    ///     layer::FailureLimitLayer,
    ///     rate_limit::{LimitBy, LocalRateLimiter, Quota},
    /// };
    ///
    /// let limit = FailureLimitLayer::new("logins", LocalRateLimiter::default(), LimitBy::peer(), Quota::per_minute(5));
    /// let limit = limit.count_when(|response| response.status == 401);
    /// ```
    #[must_use]
    pub fn count_when(self, is_failure: impl Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        let is_failure: IsFailure = Arc::new(is_failure);
        self.with_settings(|settings| Settings { is_failure: Some(Arc::clone(&is_failure)), ..settings })
    }

    /// Sets the response fields that report the state of the limit on a 429.
    #[must_use]
    pub fn fields(self, fields: RateLimitFields) -> Self {
        self.with_settings(|settings| Settings { fields, ..settings })
    }

    /// Sets the clock that selects the windows of quotas in windows: that of the system by default.
    #[must_use]
    pub fn environment(self, environment: &Environment) -> Self {
        #[cfg(feature = "audit")]
        if let Some(observer) = environment.observer() {
            self.limit.settings.mine().outage.observed_by(&observer);
        }
        let clock = environment.clock();
        self.with_settings(|settings| Settings { clock: Some(Arc::clone(&clock)), ..settings })
    }

    fn with_settings(self, change: impl Fn(Settings) -> Settings) -> Self {
        let settings = Settings::clone(self.limit.settings.mine());
        let settings = Striped::new(|| Arc::new(change(settings.clone())));
        let (key, by) = (self.limit.key.clone(), self.limit.by.clone());
        Self { limit: Arc::new(FailureLimit { key, by, settings }), respond: self.respond }
    }

    /// Sets the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> FailureLimitLayer<R2> {
        FailureLimitLayer { limit: self.limit, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for FailureLimitLayer<R> {
    type Service = Gate<S, FailureLimit, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.limit), self.respond.clone())
    }
}

impl<R: Clone> Clone for FailureLimitLayer<R> {
    fn clone(&self) -> Self {
        Self { limit: Arc::clone(&self.limit), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for FailureLimitLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureLimitLayer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The check of [`FailureLimitLayer`].
#[derive(Debug)]
pub struct FailureLimit {
    /// The key without parts.
    key: LimitKey,
    by: LimitBy,
    /// One copy for each thread: each request clones it.
    settings: Striped<Arc<Settings>>,
}

type IsFailure = Arc<dyn Fn(&ResponseHead<'_>) -> bool + Send + Sync>;

#[derive(Clone)]
#[repr(align(128))]
struct Settings {
    clock: Option<Arc<dyn Clock>>,
    limiter: Arc<dyn RateLimiter>,
    outage: Outage,
    quotas: QuotaSet,
    fields: RateLimitFields,
    is_failure: Option<IsFailure>,
}

impl Settings {
    fn is_failure(&self, response: &ResponseHead<'_>) -> bool {
        // A missing DPoP nonce is not a failure: the client cannot know the nonce before this response.
        let failures = [RejectionKind::Invalid, RejectionKind::InvalidProof, RejectionKind::Malformed];
        let refusal = response.extensions.get::<Rejection>();
        refusal.is_some_and(|refusal| failures.contains(&refusal.kind()))
            || self.is_failure.as_ref().is_some_and(|is_failure| is_failure(response))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("quotas", &self.quotas).field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl Sealed for FailureLimit {}

impl Check for FailureLimit {
    type Pass = FailureLimitPass;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<FailureLimitPass, Rejection>> {
        let settings = || Arc::clone(self.settings.mine());
        Eventual::Now(self.by.key_of(&self.key, head).map(|key| FailureLimitPass { key, settings: settings() }))
    }
}

/// The key of a request whose response [`FailureLimitLayer`] reviews.
#[derive(Debug)]
pub struct FailureLimitPass {
    key: LimitKey,
    settings: Arc<Settings>,
}

impl Sealed for FailureLimitPass {}

impl Pass for FailureLimitPass {
    fn review(&mut self, response: &ResponseHead<'_>) -> Eventual<Result<(), Rejection>> {
        if !self.settings.is_failure(response) {
            return Eventual::Now(Ok(()));
        }
        let Settings { clock, limiter, outage, quotas, fields, .. } = &*self.settings;
        let reason = Reason::FAILURES_EXCEEDED;
        let mut request = LimitRequest::new(&self.key, quotas);
        request.time = clock.as_ref().filter(|_| quotas.has_windows()).map(Clock::now);
        match limiter.take(&request) {
            Eventual::Now(decision) => Eventual::Now(respond(decision, quotas, *fields, reason, outage).map(drop)),
            // The limiter queries a shared store.
            Eventual::Later(decision) => {
                let settings = Arc::clone(&self.settings);
                Eventual::later(async move {
                    let Settings { outage, quotas, fields, .. } = &*settings;
                    let decision = within_time_out("the rate limiter", decision).await;
                    respond(decision, quotas, *fields, reason, outage).map(drop)
                })
            }
        }
    }
}
