//! The one service that decides readiness, for every layer that lets requests through or refuses them.
//!
//! A [`Gate`] looks at a request's head and asks its [`Check`]. If the verdict is here at once, the inner service, which
//! [`poll_ready`](Service::poll_ready) has made ready, is called on the spot. If it comes later, the ready inner service
//! goes along with the request and a clone stays behind, to be made ready for the next one.

use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    Eventual, log,
    reason::Reason,
    refusal::{Problem, Respond},
    refusal::{Rejection, RejectionKind},
    request::Head,
};

mod reason;

/// Decides whether a request may go on. Sealed: the layers of this crate implement it.
pub trait Check: sealed::Sealed + Send + Sync + 'static {
    /// What it leaves on a request that passes.
    type Pass: Pass;

    /// Decides.
    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Self::Pass, Rejection>>;
}

/// What a passed check leaves on the request, and on its response. Sealed.
pub trait Pass: sealed::Sealed + Send + 'static {
    /// Leaves something on the request.
    fn admit<B>(&mut self, request: &mut Request<B>) {
        let _ = request;
    }

    /// Looks at a refusal that comes from inside; an error is answered in its place.
    fn review(&mut self, refusal: &Rejection) -> Eventual<Result<(), Rejection>> {
        let _ = refusal;
        Eventual::Now(Ok(()))
    }

    /// Adds fields to the response.
    fn decorate(&mut self, headers: &mut HeaderMap) {
        let _ = headers;
    }
}

pub(crate) mod sealed {
    /// Keeps others from implementing the traits of the gate.
    #[expect(unnameable_types, reason = "that is how it seals")]
    pub trait Sealed {}

    impl Sealed for () {}
}

/// Leaves nothing.
impl Pass for () {}

/// Lets a request through to the inner service, or answers it. See the [module docs](self).
pub struct Gate<S, C, R = Problem> {
    inner: S,
    check: Arc<C>,
    respond: R,
}

impl<S, C, R> Gate<S, C, R> {
    pub(crate) const fn new(inner: S, check: Arc<C>, respond: R) -> Self {
        Self { inner, check, respond }
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: Check,
    R: Respond<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, C::Pass, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let verdict = catch_unwind(AssertUnwindSafe(|| self.check.check(&Head::from(&request))));
        let state = match verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked()))) {
            Eventual::Now(verdict) => settle(verdict, request, &mut self.inner, &self.respond),
            Eventual::Later(verdict) => {
                // The clone may not be ready, so it stays behind and the ready one goes.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                State::Waiting { verdict, parked: Some((request, inner, self.respond.clone())) }
            }
        };
        ResponseFuture { state }
    }
}

impl<S: Clone, C, R: Clone> Clone for Gate<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for Gate<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Calls the inner service, or answers in its place.
fn settle<S, P, R, ReqBody, ResBody>(
    verdict: Result<P, Rejection>,
    mut request: Request<ReqBody>,
    inner: &mut S,
    respond: &R,
) -> State<S, P, R, ReqBody, ResBody, S::Future>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    P: Pass,
    R: Respond<ResBody>,
{
    match verdict {
        Ok(mut pass) => {
            pass.admit(&mut request);
            State::Calling { future: inner.call(request), terms: Some((pass, respond.clone())) }
        }
        Err(rejection) => State::Refused { response: Some(refuse(rejection, respond)) },
    }
}

/// Answers in the place of the inner service.
pub(crate) fn refuse<B>(rejection: Rejection, respond: &impl Respond<B>) -> Response<B> {
    let response = respond.respond(&rejection);
    rejection.apply_to(response)
}

/// Has the pass look at a refusal that comes from inside.
fn review<P: Pass, B>(pass: &mut P, response: &Response<B>) -> Eventual<Result<(), Rejection>> {
    let Some(refusal) = response.extensions().get::<Rejection>() else { return Eventual::Now(Ok(())) };
    let verdict = catch_unwind(AssertUnwindSafe(|| pass.review(refusal)));
    verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked())))
}

/// Finishes a response of the inner service, or puts a refusal in its place.
fn close<P: Pass, B>(
    verdict: Result<(), Rejection>,
    response: Response<B>,
    mut pass: P,
    respond: &impl Respond<B>,
) -> Response<B> {
    match verdict {
        Ok(()) => {
            let mut response = answer(response, respond);
            pass.decorate(response.headers_mut());
            response
        }
        Err(rejection) => {
            // What was refused inside stays known: a revoked key behind a limit on failures is still a revoked key.
            let rejection = match response.extensions().get::<Rejection>() {
                Some(cause) => rejection.caused_by(cause.clone()),
                None => rejection,
            };
            refuse(rejection, respond)
        }
    }
}

/// Makes the body of a refusal that an extractor has left to the layers, and leaves all other responses alone: also one
/// that somebody in between has made something else of.
pub(crate) fn answer<B>(response: Response<B>, respond: &impl Respond<B>) -> Response<B> {
    let is_untouched = |rejection: &&Rejection| {
        rejection.is_provisional()
            && rejection.status() == response.status()
            && !response.headers().contains_key(header::CONTENT_ENCODING)
    };
    let Some(rejection) = response.extensions().get::<Rejection>().filter(is_untouched) else {
        return response;
    };
    let (fresh, body) = respond.respond(rejection).into_parts();
    let (mut parts, _) = response.into_parts();
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    for name in fresh.headers.keys().filter(|name| !parts.headers.contains_key(*name)).cloned().collect::<Vec<_>>() {
        // What the refusal demands is there already, and so is what layers in between have added.
        for value in fresh.headers.get_all(&name) {
            parts.headers.append(&name, value.clone());
        }
    }
    Response::from_parts(parts, body)
}

/// Polls a verdict, which may panic.
pub(crate) fn poll<T>(
    verdict: &mut Pin<Box<dyn Future<Output = Result<T, Rejection>> + Send>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, Rejection>> {
    let poll = catch_unwind(AssertUnwindSafe(|| verdict.as_mut().poll(cx)));
    poll.unwrap_or_else(|_| Poll::Ready(Err(panicked())))
}

/// What a check that panics comes to: the caller learns nothing of it, and is not let in.
pub(crate) fn panicked() -> Rejection {
    log::error!("a check panicked; the request is answered with 500");
    Rejection::new(RejectionKind::Internal, Reason::PANICKED)
}

pin_project! {
    /// The response future of [`Gate`].
    pub struct ResponseFuture<S, P, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, P, R, ReqBody, ResBody, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, P, R, ReqBody, ResBody, F> {
        Waiting {
            verdict: Pin<Box<dyn Future<Output = Result<P, Rejection>> + Send>>,
            parked: Option<(Request<ReqBody>, S, R)>,
        },
        Calling {
            #[pin]
            future: F,
            terms: Option<(P, R)>,
        },
        Reviewing {
            verdict: Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send>>,
            parked: Option<(Response<ResBody>, P, R)>,
        },
        Refused {
            response: Option<Response<ResBody>>,
        },
    }
}

impl<S, P, R, ReqBody, ResBody> Future for ResponseFuture<S, P, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    P: Pass,
    R: Respond<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Waiting { verdict, parked } => {
                    let verdict = ready!(poll(verdict, cx));
                    let (request, mut inner, respond) = parked.take().expect("polled after completion");
                    settle(verdict, request, &mut inner, &respond)
                }
                StateProj::Calling { future, terms } => {
                    let response = ready!(future.poll(cx))?;
                    let (mut pass, respond) = terms.take().expect("polled after completion");
                    match review(&mut pass, &response) {
                        Eventual::Now(verdict) => return Poll::Ready(Ok(close(verdict, response, pass, &respond))),
                        Eventual::Later(verdict) => {
                            State::Reviewing { verdict, parked: Some((response, pass, respond)) }
                        }
                    }
                }
                StateProj::Reviewing { verdict, parked } => {
                    let verdict = ready!(poll(verdict, cx));
                    let (response, pass, respond) = parked.take().expect("polled after completion");
                    return Poll::Ready(Ok(close(verdict, response, pass, &respond)));
                }
                StateProj::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            };
            state.set(next);
        }
    }
}

impl<S: Service<Request<ReqBody>>, P, R, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, P, R, ReqBody, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
