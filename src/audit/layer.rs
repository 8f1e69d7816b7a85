use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    body::AuditBody,
    future::{AuditFuture, BoxedPlace},
    guard::Guard,
    log::AuditLog,
    request_id::RequestIds,
    settings::Settings,
    sink::{AuditSink, Place},
};
use crate::{
    Eventual,
    refusal::{Problem, Respond, Responder},
    request::{Head, TrustedProxies},
};

/// Records one event for each request, however the request ends.
///
/// Place it outside of all other layers but a [`PeerLayer`](crate::layer::PeerLayer). The event is recorded when the body of the
/// response has come to its end or is dropped; when the client leaves before; and when the inner service fails or panics. A `101`
/// response is the end of its request: what happens on an upgraded connection is not seen by layers.
///
/// A request has one event, also if it passes two of these layers, such as one around an application and one around a router in
/// it: the outer one records it in its log, and the inner one only applies its `deny_undecided`.
///
/// A refusal by a layer, before the handler is called, is recorded also if a middleware between replaces the response of the layer,
/// such as by an error page. If it replaces it by a success, or tries another service that succeeds, the request was not refused.
///
/// # Examples
///
/// See [`AuditChannel`](super::AuditChannel), and the [module docs](super).
pub struct AuditLayer<R = Problem> {
    respond: Responder<R>,
    settings: Arc<Settings>,
}

impl AuditLayer {
    /// Records events in a log.
    #[must_use]
    pub fn new(log: AuditLog) -> Self {
        Self { respond: Responder::default(), settings: Arc::new(Settings::new(log)) }
    }
}

impl<R> AuditLayer<R> {
    /// Lets requests wait until the log has room for their events, and refuses them with 503 after this time: no request is
    /// handled for whose event there is no room. By default, requests never wait, and events are lost and counted if a sink is
    /// full.
    ///
    /// A request holds its room until its event is written, which is after the end of the response. The capacity of the sinks
    /// therefore limits the requests and streams in progress, too: choose one that is larger than their number.
    #[must_use]
    pub fn blocking(mut self, max_wait: Duration) -> Self {
        self.settings_mut().max_wait = Some(max_wait);
        self
    }

    /// Responds with 500 in place of a handler if no layer has decided about the caller of the request: a route was left outside of
    /// all layers that authenticate. It is also an error in the log, once an hour.
    ///
    /// The response of the handler is lost, and what it has done is not undone. Requests for which the closure returns `true` need
    /// no decision, such as those for `/health`. Nor do CORS preflights, which browsers send without a credential, and the
    /// endpoint of [`metadata`](crate::metadata). Responses with the status 404 or 405 are passed on, and those with 301, 308, 408,
    /// 413, 414, 429, 431 or 503, which are of layers outside of the authentication: permanent redirects, and limits. A custom layer
    /// that authenticates calls [`AuditNote::decided`](super::AuditNote::decided).
    ///
    /// A test finds such routes earlier: see the function `assert_protected` of the feature `testing`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{audit::{AuditChannel, AuditLog}, layer::AuditLayer};
    ///
    /// let (sink, events) = AuditChannel::new(10_000);
    /// let layer = AuditLayer::new(AuditLog::new(sink)).deny_undecided(|head| head.uri.path() == "/health");
    /// ```
    #[must_use]
    pub fn deny_undecided(mut self, is_open: impl Fn(&Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.settings_mut().is_open = Some(Arc::new(is_open));
        self
    }

    /// Handles each request in a span of the crate `tracing` with the name `request` and the target `tower_warden::audit`: log lines
    /// of the handler belong to it. Its fields have the names of [`FlatJson`](super::FlatJson); those of the caller, the decision
    /// and the response are added at its end.
    ///
    /// By default, there is none: a [`TracingSink`](super::TracingSink) emits one event for each request.
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn span(mut self) -> Self {
        self.settings_mut().has_span = true;
        self
    }

    /// Takes the ids of requests from a header field of these proxies. A request of another peer gets a new id, and so does one
    /// whose field is absent, repeated, longer than 128 bytes, or not visible ASCII.
    #[must_use]
    pub fn request_id(mut self, field: HeaderName, proxies: TrustedProxies) -> Self {
        self.settings_mut().ids = RequestIds(Some((field, proxies)));
        self
    }

    /// Sets the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> AuditLayer<R2> {
        AuditLayer { respond: Responder::set(respond), settings: self.settings }
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl<S, R: Clone> Layer<S> for AuditLayer<R> {
    type Service = Audit<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Audit { inner, respond: self.respond.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<R: Clone> Clone for AuditLayer<R> {
    fn clone(&self) -> Self {
        Self { respond: self.respond.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<R> fmt::Debug for AuditLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The service of [`AuditLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate), because it observes the end of the response body.
pub struct Audit<S, R = Problem> {
    inner: S,
    respond: Responder<R>,
    settings: Arc<Settings>,
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Audit<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: Respond<ResBody>,
    ReqBody: 'static,
    ResBody: Body,
{
    type Response = Response<AuditBody<ResBody>>;
    type Error = S::Error;
    type Future = AuditFuture<S, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let mut guard = Guard::begin(&self.settings, &mut request);
        #[cfg(feature = "tracing")]
        if self.settings.has_span {
            guard.open_span();
        }
        let respond = self.respond.clone();
        let place =
            if guard.is_nested() { Eventual::Now(Some(Place::default())) } else { guard.run(|| self.reserve()) };
        match place {
            Eventual::Now(Some(place)) => {
                guard.hold(place);
                let future = guard.run(|| self.inner.call(request));
                AuditFuture::calling(guard, respond, future)
            }
            Eventual::Now(None) => {
                let place: BoxedPlace = Box::pin(std::future::ready(None));
                AuditFuture::reserving(guard, respond, place, (request, self.not_ready()))
            }
            Eventual::Later(place) => AuditFuture::reserving(guard, respond, place, (request, self.not_ready())),
        }
    }
}

impl<S, R> Audit<S, R> {
    /// Room for an event; `None` if there is none in time.
    fn reserve(&self) -> Eventual<Option<Place>> {
        let Some(max_wait) = self.settings.max_wait else { return Eventual::Now(Some(Place::default())) };
        match self.settings.log.reserve() {
            Eventual::Now(place) => Eventual::Now(place.ok()),
            // The sinks, which are full.
            Eventual::Later(place) => {
                Eventual::later(async move { tokio::time::timeout(max_wait, place).await.ok().and_then(Result::ok) })
            }
        }
    }

    /// Gives back what the inner service has reserved, and returns a clone that is not ready.
    fn not_ready(&mut self) -> S
    where
        S: Clone,
    {
        crate::gate::release(&mut self.inner);
        self.inner.clone()
    }
}

impl<S: Clone, R: Clone> Clone for Audit<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), respond: self.respond.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Audit<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("inner", &self.inner).finish_non_exhaustive()
    }
}
