//! A [`Service`] of its own, and not a check of the gate, because it changes the type of the request's body. It decides at once,
//! and its readiness is that of the inner service.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    content_check::{CheckedContent, ContentDigestCheck},
    content_digest::{Comparison, Content, Malformed},
    streamed_body::{DigestState, Failure, StreamedBody},
};
use crate::{
    body::{BodyCheck as _, BodyLimits},
    gate::release,
    reason::Reason,
    refusal::{Problem, Rejection, RejectionKind, Respond, Responder},
    request::Head,
};

/// Compares the content of signed requests with their `Content-Digest` while the handler reads it.
///
/// [`ContentDigestCheck::danger_stream_content`] makes it, with an example. It takes the place of a
/// [`BodyCheckLayer`](crate::layer::BodyCheckLayer) with that check: outside of the [`AuthLayer`](crate::layer::AuthLayer).
pub struct StreamedContentLayer<R = Problem> {
    check: ContentDigestCheck,
    respond: Responder<R>,
}

impl StreamedContentLayer {
    pub(super) fn new(check: ContentDigestCheck) -> Self {
        Self { check, respond: Responder::default() }
    }
}

impl<R> StreamedContentLayer<R> {
    /// Sets what makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> StreamedContentLayer<R2> {
        StreamedContentLayer { check: self.check, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for StreamedContentLayer<R> {
    type Service = StreamedContent<S, R>;

    fn layer(&self, inner: S) -> StreamedContent<S, R> {
        StreamedContent { inner, check: self.check, respond: self.respond.clone() }
    }
}

impl<R: Clone> Clone for StreamedContentLayer<R> {
    fn clone(&self) -> Self {
        Self { check: self.check, respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for StreamedContentLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedContentLayer").field("check", &self.check).finish_non_exhaustive()
    }
}

/// The service of [`StreamedContentLayer`].
pub struct StreamedContent<S, R = Problem> {
    inner: S,
    check: ContentDigestCheck,
    respond: Responder<R>,
}

impl<S, R, B, ResBody> Service<Request<B>> for StreamedContent<S, R>
where
    S: Service<Request<StreamedBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    R: Respond<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = StreamedContentFuture<S::Future, R, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limits = self.check.limits(&Head::from(&request));
        let is_too_large = |limits: BodyLimits| {
            request.body().size_hint().lower() > u64::try_from(limits.max_bytes()).unwrap_or(u64::MAX)
        };
        if limits.is_some_and(is_too_large) {
            release(&mut self.inner);
            let response = self.respond.refuse(refused(Reason::BODY_TOO_LARGE).of_request(request.extensions()));
            return StreamedContentFuture { state: State::Refused { response: Some(response) } };
        }
        let (request, failure) = match limits {
            None => (request.map(StreamedBody::untouched), None),
            Some(limits) => streamed(request, limits),
        };
        let future = self.inner.call(request);
        StreamedContentFuture { state: State::Calling { future, failure, respond: self.respond.clone() } }
    }
}

/// A request whose content is compared while it is read, unless it has none.
fn streamed<B: Body>(request: Request<B>, limits: BodyLimits) -> (Request<StreamedBody<B>>, Option<Failure>) {
    let (mut parts, body) = request.into_parts();
    if body.is_end_stream() {
        parts.extensions.insert(CheckedContent(Content::compare(&parts.headers, b"")));
        return (Request::from_parts(parts, StreamedBody::untouched(body)), None);
    }
    let (content, digest) = if body.size_hint().exact() == Some(0) {
        // A handler need not read it. Only trailer fields could follow, or more than was declared.
        match Content::compare(&parts.headers, b"") {
            Content::Changed => (Content::Changed, DigestState::Unequal),
            content => (content, DigestState::Equal),
        }
    } else {
        match Comparison::begin(&parts.headers) {
            Ok(Some(comparison)) => (Content::Streamed, DigestState::Compared(comparison)),
            // Whether there is any is not known yet.
            Ok(None) => (Content::Unprotected, DigestState::Absent),
            Err(Malformed) => (Content::Changed, DigestState::Unequal),
        }
    };
    parts.extensions.insert(CheckedContent(content));
    let (body, failure) = StreamedBody::verified(body, limits, digest);
    (Request::from_parts(parts, body), Some(failure))
}

impl<S: Clone, R: Clone> Clone for StreamedContent<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), check: self.check, respond: self.respond.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for StreamedContent<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedContent").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The response future of [`StreamedContent`].
    pub struct StreamedContentFuture<F, R, ResBody> {
        #[pin]
        state: State<F, R, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R, ResBody> {
        Calling {
            #[pin]
            future: F,
            failure: Option<Failure>,
            respond: Responder<R>,
        },
        Refused {
            response: Option<Response<ResBody>>,
        },
    }
}

impl<F, R, ResBody, E> Future for StreamedContentFuture<F, R, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    R: Respond<ResBody>,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Calling { future, failure, respond } => {
                let mut response = ready!(future.poll(cx))?;
                // A handler that has taken the error for something else must not confirm the request. A refusal by a layer
                // inside remains.
                let failure = failure.as_ref().and_then(|failure| failure.get());
                let failure = failure.filter(|_| response.extensions().get::<Rejection>().is_none());
                match failure {
                    Some(reason) => response = respond.refuse(refused(*reason)),
                    None => respond.complete(&mut response),
                }
                Poll::Ready(Ok(response))
            }
            StateProj::Refused { response } => Poll::Ready(Ok(response.take().expect("polled after completion"))),
        }
    }
}

impl<F, R, ResBody> fmt::Debug for StreamedContentFuture<F, R, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedContentFuture").finish_non_exhaustive()
    }
}

/// Refuses a request whose sender is authentic, for its content.
fn refused(reason: Reason) -> Rejection {
    let kind = match reason {
        Reason::BODY_TIMEOUT => RejectionKind::BodyTimeout,
        Reason::BODY_TOO_LARGE => RejectionKind::BodyTooLarge,
        _ => RejectionKind::BodyInvalid,
    };
    Rejection::new(kind, reason)
}
