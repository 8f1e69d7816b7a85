//! Requests in progress.
//!
//! This is a separate [`Service`] instead of a [`Check`](crate::gate::Check) of the gate, and it changes the body type: a
//! request is in progress until its response body is complete, which only a wrapper of the body can observe.

use std::{
    fmt,
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use self::in_flight::InFlightBody;
use self::in_flight::{InFlight, Permit};
use super::{
    exempt::Exempt,
    fields::{Fields, concurrency_policy},
    limit_by::LimitBy,
    limit_key::LimitKey,
    quota::{NAME as NAME_RULE, is_name},
};
use crate::{
    gate::{panicked, refuse, release},
    reason::Reason,
    refusal::{Problem, Rejection, Respond, Responder},
    request::Head,
};

mod in_flight;

/// Limits the number of requests that a caller has in progress at the same time, on this node.
///
/// A request is in progress until its response body is complete, or its future is dropped. A refusal is a 429. Its
/// `Retry-After` is one second, because the end of a request cannot be predicted.
///
/// A connection that was upgraded, such as a web socket, is not limited: its request ends with the response that upgrades it.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{layer::ConcurrencyLayer, rate_limit::LimitBy};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let service = ServiceBuilder::new()
///     .layer(ConcurrencyLayer::new(LimitBy::global(), std::num::NonZeroU32::MIN))
///     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("!"))));
///
/// let first = service.clone().oneshot(Request::new(())).await?;
/// assert_eq!(first.status(), 200);
/// assert_eq!(service.clone().oneshot(Request::new(())).await?.status(), 429);
/// drop(first);
/// assert_eq!(service.oneshot(Request::new(())).await?.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConcurrencyLayer<R = Problem> {
    limit: Arc<Limit>,
    respond: Responder<R>,
}

#[derive(Clone)]
struct Limit {
    by: LimitBy,
    exempt: Vec<Exempt>,
    name: &'static str,
    policy: HeaderValue,
    in_flight: Arc<InFlight>,
}

impl ConcurrencyLayer {
    /// Limits each caller to `maximum` requests in progress.
    #[must_use]
    pub fn new(by: LimitBy, maximum: NonZeroU32) -> Self {
        let policy = concurrency_policy(NAME, maximum.get());
        let in_flight = Arc::new(InFlight::new(maximum));
        let limit = Limit { by, exempt: Vec::new(), name: NAME, policy, in_flight };
        Self { limit: Arc::new(limit), respond: Responder::default() }
    }
}

impl<R> ConcurrencyLayer<R> {
    /// Exempts the requests to which the rule applies. Can be called repeatedly: one applicable rule is sufficient.
    #[must_use]
    pub fn exempt(mut self, rule: Exempt) -> Self {
        Arc::make_mut(&mut self.limit).exempt.push(rule);
        self
    }

    /// Sets the name, which clients see in response fields: `concurrency` by default. Several layers around one service need
    /// different names.
    ///
    /// # Panics
    ///
    /// If the name is not 1 to 64 characters of visible ASCII without `"` and `\`.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        assert!(is_name(name), "{NAME_RULE}");
        let limit = Arc::make_mut(&mut self.limit);
        (limit.name, limit.policy) = (name, concurrency_policy(name, limit.in_flight.maximum().get()));
        self
    }

    /// Sets the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> ConcurrencyLayer<R2> {
        ConcurrencyLayer { limit: self.limit, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for ConcurrencyLayer<R> {
    type Service = Concurrency<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency { inner, limit: Arc::clone(&self.limit), respond: self.respond.clone() }
    }
}

impl<R: Clone> Clone for ConcurrencyLayer<R> {
    fn clone(&self) -> Self {
        Self { limit: Arc::clone(&self.limit), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for ConcurrencyLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLayer").field("in_flight", &self.limit.in_flight).finish_non_exhaustive()
    }
}

/// The service of [`ConcurrencyLayer`].
pub struct Concurrency<S, R = Problem> {
    inner: S,
    limit: Arc<Limit>,
    respond: Responder<R>,
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Concurrency<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: Respond<ResBody>,
    ReqBody: 'static,
{
    type Response = Response<InFlightBody<ResBody>>;
    type Error = S::Error;
    type Future = ConcurrencyFuture<S::Future, ResBody, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let entered = catch_unwind(AssertUnwindSafe(|| self.limit.enter(&Head::from(&request))));
        let state = match entered.unwrap_or_else(|_| Err(panicked())) {
            Ok(entry) => State::Calling { future: self.inner.call(request), entry, respond: self.respond.clone() },
            Err(rejection) => {
                release(&mut self.inner);
                State::Refused { response: Some(refuse(rejection, request, &self.respond)) }
            }
        };
        ConcurrencyFuture { state }
    }
}

impl Limit {
    fn enter(&self, head: &Head<'_>) -> Result<Option<(Permit, Fields)>, Rejection> {
        if self.exempt.iter().any(|rule| rule.applies(head)) {
            return Ok(None);
        }
        let fields = |remaining| Fields::concurrency(&self.policy, self.name, remaining);
        match self.in_flight.enter(&self.by.key_of(&LimitKey::default(), head)?) {
            Some((permit, remaining)) => Ok(Some((permit, fields(remaining)))),
            None => {
                let names = [self.name];
                let rejection = Rejection::quota_exceeded(Reason::TOO_MANY_IN_FLIGHT, Duration::from_secs(1), names);
                Err(fields(0).refuse(rejection))
            }
        }
    }
}

impl<S: Clone, R: Clone> Clone for Concurrency<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), limit: Arc::clone(&self.limit), respond: self.respond.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Concurrency<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The response future of [`Concurrency`].
    pub struct ConcurrencyFuture<F, B, R = Problem> {
        #[pin]
        state: State<F, B, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B, R> {
        Calling {
            #[pin]
            future: F,
            entry: Option<(Permit, Fields)>,
            respond: Responder<R>,
        },
        Refused {
            response: Option<Response<B>>,
        },
    }
}

impl<F, B, R, E> Future for ConcurrencyFuture<F, B, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: Respond<B>,
{
    type Output = Result<Response<InFlightBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, permit) = match self.project().state.project() {
            StateProj::Calling { future, entry, respond } => {
                let mut response = ready!(future.poll(cx))?;
                respond.complete(&mut response);
                let permit = entry.take().map(|(permit, fields)| {
                    fields.write(response.headers_mut());
                    permit
                });
                (response, permit)
            }
            StateProj::Refused { response } => (response.take().expect("polled after completion"), None),
        };
        Poll::Ready(Ok(response.map(|body| InFlightBody { body, permit })))
    }
}

impl<F, B, R> fmt::Debug for ConcurrencyFuture<F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyFuture").finish_non_exhaustive()
    }
}

/// The name without another one.
const NAME: &str = "concurrency";
