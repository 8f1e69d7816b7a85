use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{body::GuardedBody, settings::Settings, watch::CredentialWatch};
use crate::{
    auth::AuthLayer,
    caller,
    gate::discard,
    log,
    reason::Reason,
    refusal::{Problem, Rejection, RejectionKind, Respond, Responder},
};

/// Ends responses that are being sent when the credential of their request expires or is revoked.
///
/// Made by [`AuthLayer::stream_guard`]. Place it inside of that layer. See the [module docs](super).
///
/// A request that no `AuthLayer` outside has admitted is refused with 500, and so is one that was admitted by another
/// `AuthLayer`, or with another clock or revocation list, than this layer was made with.
pub struct StreamGuardLayer<R = Problem> {
    settings: Arc<Settings>,
    respond: Responder<R>,
}

impl<R> AuthLayer<R> {
    /// Creates the layer that ends responses when the credential of their request expires or is revoked, by the clock,
    /// the revocation list and the authenticators of this layer. Set those first, and place it inside of this layer:
    /// otherwise, requests are refused with 500.
    ///
    /// # Examples
    ///
    /// See the [module docs](crate::stream).
    #[must_use]
    pub fn stream_guard(&self) -> StreamGuardLayer {
        let settings = Settings {
            authentication: Arc::clone(self.authentication()),
            interval: Duration::from_secs(10),
            outage_grace: Duration::from_secs(60),
            warnings: Arc::default(),
        };
        StreamGuardLayer { settings: Arc::new(settings), respond: Responder::default() }
    }
}

impl<R> StreamGuardLayer<R> {
    /// Sets the time between two checks whether a credential was revoked: 10 seconds by default, at least one second and
    /// at most one day.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        Arc::make_mut(&mut self.settings).interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        self
    }

    /// Sets how long a response goes on while its credential cannot be checked, because a revocation list or a store
    /// does not answer: one minute by default, from the first check that fails. Zero ends it at that check.
    #[must_use]
    pub fn outage_grace(mut self, grace: Duration) -> Self {
        Arc::make_mut(&mut self.settings).outage_grace = grace;
        self
    }

    /// Sets the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> StreamGuardLayer<R2> {
        StreamGuardLayer { settings: self.settings, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for StreamGuardLayer<R> {
    type Service = StreamGuard<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        StreamGuard { inner, settings: Arc::clone(&self.settings), respond: self.respond.clone() }
    }
}

impl<R: Clone> Clone for StreamGuardLayer<R> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for StreamGuardLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGuardLayer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The service of [`StreamGuardLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate), because it changes the type of the body.
pub struct StreamGuard<S, R = Problem> {
    inner: S,
    settings: Arc<Settings>,
    respond: Responder<R>,
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for StreamGuard<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
    ReqBody: 'static,
{
    type Response = Response<GuardedBody<ResBody>>;
    type Error = S::Error;
    type Future = StreamGuardFuture<S::Future, ResBody, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let state = match watch(&self.settings, request.extensions()) {
            Ok(watch) => {
                request.extensions_mut().insert(watch.clone());
                let (future, respond) = (self.inner.call(request), self.respond.clone());
                State::Calling { future, watch: Some(watch), respond }
            }
            Err(rejection) => {
                discard(request);
                State::Refused { response: Some(self.respond.refuse(rejection)) }
            }
        };
        StreamGuardFuture { state }
    }
}

/// The watch of a request; an error if no layer outside has admitted it.
fn watch(settings: &Arc<Settings>, extensions: &Extensions) -> Result<CredentialWatch, Rejection> {
    match caller::of(extensions) {
        Ok(caller) if caller.configuration() == settings.authentication.configuration() => {
            Ok(CredentialWatch::new(settings, caller, extensions))
        }
        Ok(_) => {
            if settings.warnings.is_due(Reason::STREAM_GUARD_MISMATCH, "", settings.authentication.clock().now()) {
                log::error!(
                    "StreamGuardLayer was made by another AuthLayer than the one around it, or before its clock or revocation \
                 list was set: call `stream_guard` on that layer, after `revocations` and `environment`; responding with \
                 500"
                );
            }
            Err(Rejection::new(RejectionKind::Internal, Reason::STREAM_GUARD_MISMATCH).of_request(extensions))
        }
        Err(rejection) if rejection.kind() == RejectionKind::Missing => Ok(CredentialWatch::anonymous()),
        Err(rejection) => Err(rejection),
    }
}

impl<S: Clone, R: Clone> Clone for StreamGuard<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings), respond: self.respond.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for StreamGuard<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGuard").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The bounds of the time between two checks.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

pin_project! {
    /// The response future of [`StreamGuard`].
    pub struct StreamGuardFuture<F, B, R = Problem> {
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
            watch: Option<CredentialWatch>,
            respond: Responder<R>,
        },
        Refused {
            response: Option<Response<B>>,
        },
    }
}

impl<F, B, R, E> Future for StreamGuardFuture<F, B, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: Respond<B>,
{
    type Output = Result<Response<GuardedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, watch) = match self.project().state.project() {
            StateProj::Calling { future, watch, respond } => {
                let mut response = ready!(future.poll(cx))?;
                respond.complete(&mut response);
                (response, watch.take())
            }
            StateProj::Refused { response } => (response.take().expect("polled after completion"), None),
        };
        Poll::Ready(Ok(response.map(|body| GuardedBody::new(body, watch))))
    }
}

impl<F, B, R> fmt::Debug for StreamGuardFuture<F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGuardFuture").finish_non_exhaustive()
    }
}
