use std::{
    fmt,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    body::{DrainedBody, Slot},
    rest::{Limits, drain, is_sent_at_once, is_supported},
};
use crate::refusal::Rejection;

/// Reads the rest of the body of a refused request, so that the refusal reaches a client that is still sending.
///
/// Place it outside of all layers that refuse. See the [module docs](super).
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct DrainLayer {
    limits: Limits,
}

impl DrainLayer {
    /// Sets the most bytes that are read: 256 MiB by default. The connection is closed after them.
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.limits.max_bytes = max_bytes;
        self
    }

    /// Sets the time within which the rest must arrive: 30 seconds by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = Drain<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Drain { inner, limits: self.limits }
    }
}

/// The service of [`DrainLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate), because it changes the type of the request's body.
#[derive(Clone)]
pub struct Drain<S> {
    inner: S,
    limits: Limits,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Drain<S>
where
    S: Service<Request<DrainedBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body + Send + Unpin + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = DrainFuture<S::Future, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let is_needed = !request.body().is_end_stream() && is_supported(request.version());
        let slot = is_needed.then(Slot::default);
        if is_needed {
            // For layers inside that have another body around this one.
            request.extensions_mut().insert(self.limits);
        }
        let is_sent = is_sent_at_once(request.headers());
        let request = request.map(|body| DrainedBody::new(body, slot.as_ref().map(Arc::clone), is_sent));
        DrainFuture { future: self.inner.call(request), slot, limits: self.limits }
    }
}

impl<S: fmt::Debug> fmt::Debug for Drain<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("inner", &self.inner).field("limits", &self.limits).finish()
    }
}

pin_project! {
    /// The response future of [`Drain`].
    pub struct DrainFuture<F, B> {
        #[pin]
        future: F,
        slot: Option<Slot<B>>,
        limits: Limits,
    }
}

impl<F, B, ResBody, E> Future for DrainFuture<F, B>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    B: Body + Send + Unpin + 'static,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        if response.extensions().get::<Rejection>().is_some() {
            let body = this.slot.take().and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
            if let Some(body) = body {
                drain(body, *this.limits);
            }
        }
        Poll::Ready(Ok(response))
    }
}

impl<F, B> fmt::Debug for DrainFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainFuture").finish_non_exhaustive()
    }
}
