use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    by::LimitBy,
    fields::RateLimitFields,
    key::LimitKey,
    layer::verdict,
    limiter::{LimitRequest, RateLimiter},
    plan::QuotaSet,
};
use crate::{
    Eventual,
    gate::{Check, Gate, Pass, sealed::Sealed},
    reason::Reason,
    refusal::Problem,
    refusal::{Rejection, RejectionKind},
    request::Head,
    striped::Striped,
};

/// Answers with 429 whoever has come with too many bad credentials.
///
/// Stands outside of [`AuthLayer`](crate::layer::AuthLayer) and counts, by peer, what that refuses as invalid or malformed:
/// nothing else costs anything. When the quota is used up, a refused credential is answered with 429 in the place of
/// 401 and 400; a good one passes all the same, so nobody is locked out by who shares its address.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     layer::{AuthLayer, FailureLimitLayer},
///     request::Peer,
/// /// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, alice) = keys.mint(NewKey::new("alice")).await?;
/// let failures = Quota::per_minute(1).named("failures");
/// let service = ServiceBuilder::new()
///     .layer(FailureLimitLayer::new(LocalRateLimiter::default(), LimitBy::peer(), failures))
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
/// To know a good credential from a bad one, each is verified: this limits what a guesser learns, and not what
/// verification costs. Limit that with a [`RateLimitLayer`](crate::layer::RateLimitLayer) by peer outside of it.
pub struct FailureLimitLayer<R = Problem> {
    limit: Arc<FailureLimit>,
    respond: R,
}

impl FailureLimitLayer {
    /// Counts refused credentials against a plan, or against one quota.
    #[must_use]
    pub fn new(limiter: impl RateLimiter, by: LimitBy, plan: impl Into<QuotaSet>) -> Self {
        let (limiter, plan) = (Arc::new(limiter), plan.into());
        let terms = || {
            let limiter: Arc<dyn RateLimiter> = Arc::clone(&limiter) as _;
            Arc::new(Terms { limiter, plan: plan.clone(), fields: RateLimitFields::default() })
        };
        Self { limit: Arc::new(FailureLimit { by, terms: Striped::new(terms) }), respond: Problem }
    }
}

impl<R> FailureLimitLayer<R> {
    /// Which fields tell clients where they stand, once they are refused.
    #[must_use]
    pub fn fields(self, fields: RateLimitFields) -> Self {
        let terms = Terms::clone(self.limit.terms.mine());
        let terms = Striped::new(|| Arc::new(Terms { fields, ..terms.clone() }));
        Self { limit: Arc::new(FailureLimit { by: self.limit.by.clone(), terms }), respond: self.respond }
    }

    /// Makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> FailureLimitLayer<R2> {
        FailureLimitLayer { limit: self.limit, respond }
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
    by: LimitBy,
    /// The same for each thread.
    terms: Striped<Arc<Terms>>,
}

#[derive(Clone, Debug)]
#[repr(align(128))]
struct Terms {
    limiter: Arc<dyn RateLimiter>,
    plan: QuotaSet,
    fields: RateLimitFields,
}

impl Sealed for FailureLimit {}

impl Check for FailureLimit {
    type Pass = Watched;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Watched, Rejection>> {
        let terms = || Arc::clone(self.terms.mine());
        Eventual::Now(self.by.key_of(head).map(|key| Watched { key, terms: terms() }))
    }
}

/// What [`FailureLimitLayer`] keeps until the response is there.
#[derive(Debug)]
pub struct Watched {
    key: LimitKey,
    terms: Arc<Terms>,
}

impl Sealed for Watched {}

impl Pass for Watched {
    fn review(&mut self, refusal: &Rejection) -> Eventual<Result<(), Rejection>> {
        // A nonce that is lacking is no failure: the client cannot know it before.
        let failures = [RejectionKind::Invalid, RejectionKind::InvalidProof, RejectionKind::Malformed];
        if !failures.contains(&refusal.kind()) {
            return Eventual::Now(Ok(()));
        }
        let Terms { limiter, plan, fields } = &*self.terms;
        match limiter.take(&LimitRequest::new(&self.key, plan)) {
            Eventual::Now(answer) => Eventual::Now(verdict(answer, plan, *fields, Reason::FAILURES_EXCEEDED).map(drop)),
            Eventual::Later(answer) => {
                let terms = Arc::clone(&self.terms);
                let verdict = async move {
                    verdict(answer.await, &terms.plan, terms.fields, Reason::FAILURES_EXCEEDED).map(drop)
                };
                Eventual::later(verdict)
            }
        }
    }
}
