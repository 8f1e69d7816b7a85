use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::retry;
use tower_service::Service;

use super::{ClassifyError, RetryCause, RetryEnd, RetryPolicy, RetrySummary, policy::is_idempotent};
use crate::{replay::Replay, status::status_of};

/// The service of a [`RetryLayer`](super::RetryLayer).
///
/// It is the `Retry` of tower, whose policy is not called for requests that cannot be sent twice: this one adds a summary to
/// their responses.
pub struct RetryRequests<S, R, C>(retry::Retry<RetryPolicy<R, C>, S>);

impl<S, R, C> RetryRequests<S, R, C> {
    pub(super) const fn new(policy: RetryPolicy<R, C>, inner: S) -> Self {
        Self(retry::Retry::new(policy, inner))
    }
}

impl<S, R, C, ReqBody, ResBody> Service<Request<ReqBody>> for RetryRequests<S, R, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: Replay<ReqBody>,
    C: ClassifyError<S::Error>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<retry::future::ResponseFuture<RetryPolicy<R, C>, S, Request<ReqBody>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<ReqBody>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let is_idempotent = is_idempotent(&request);
        ResponseFuture { inner: self.0.call(request), is_idempotent }
    }
}

impl<S: Clone, R, C> Clone for RetryRequests<S, R, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: fmt::Debug, R, C> fmt::Debug for RetryRequests<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryRequests").field(self.0.get_ref()).finish()
    }
}

pin_project! {
    /// The future of [`RetryRequests`]. A request whose future is dropped is not sent again.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        is_idempotent: bool,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for ResponseFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        // The policy has added one if it was called, which it is for each request that can be sent twice.
        if !*this.is_idempotent || response.extensions().get::<RetrySummary>().is_none() {
            let end = match RetryCause::of_status(status_of(response.status(), response.headers())) {
                None => RetryEnd::Final,
                Some(_) if *this.is_idempotent => RetryEnd::BodyNotReplayable,
                Some(_) => RetryEnd::NotIdempotent,
            };
            response.extensions_mut().insert(RetrySummary { retries: Vec::new(), end });
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
