use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    check::Pass,
    response::{finish, panicked, refuse, review},
};
use crate::{
    Eventual,
    refusal::{Rejection, Respond, Responder},
};

pub(crate) type BoxedVerdict<T> = Pin<Box<dyn Future<Output = Result<T, Rejection>> + Send>>;

pin_project! {
    /// The response future of [`Gate`](super::Gate).
    pub struct ResponseFuture<S, P, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // Set when the request is admitted.
        pass: Option<P>,
        respond: Responder<R>,
        #[pin]
        state: State<S, P, ReqBody, ResBody, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, P, ReqBody, ResBody, F> {
        // The check decides on the request.
        Checking {
            verdict: BoxedVerdict<P>,
            pending: Option<(Request<ReqBody>, S)>,
        },
        // The request is admitted, and the inner service is not ready yet.
        Preparing {
            inner: S,
            request: Option<Request<ReqBody>>,
        },
        // The inner service handles the request.
        Calling {
            #[pin]
            future: F,
        },
        // The pass reviews the response of the inner service.
        Reviewing {
            verdict: BoxedVerdict<()>,
            response: Option<Response<ResBody>>,
        },
        Refused {
            response: Option<Response<ResBody>>,
        },
    }
}

impl<S, P, R, ReqBody, ResBody> ResponseFuture<S, P, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    /// The response to an admitted request, which the inner service handles. It is ready.
    pub(super) fn calling(inner: &mut S, request: Request<ReqBody>, pass: P, respond: Responder<R>) -> Self {
        Self { pass: Some(pass), respond, state: State::Calling { future: inner.call(request) } }
    }

    /// The response to a request that the check has not decided on yet. `inner` is not ready.
    pub(super) const fn undecided(
        verdict: BoxedVerdict<P>,
        request: Request<ReqBody>,
        inner: S,
        respond: Responder<R>,
    ) -> Self {
        Self { pass: None, respond, state: State::Checking { verdict, pending: Some((request, inner)) } }
    }

    /// The response to a refused request.
    pub(super) const fn refused(response: Response<ResBody>, respond: Responder<R>) -> Self {
        Self { pass: None, respond, state: State::Refused { response: Some(response) } }
    }
}

impl<S, P, R, ReqBody, ResBody> Future for ResponseFuture<S, P, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    P: Pass,
    R: Respond<ResBody>,
    ReqBody: 'static,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Checking { verdict, pending } => {
                    let verdict = ready!(poll_verdict(verdict, cx));
                    let (request, inner) = pending.take().expect("polled after completion");
                    match verdict {
                        Ok(pass) => {
                            *this.pass = Some(pass);
                            State::Preparing { inner, request: Some(request) }
                        }
                        Err(rejection) => State::Refused { response: Some(refuse(rejection, request, this.respond)) },
                    }
                }
                StateProj::Preparing { inner, request } => {
                    ready!(inner.poll_ready(cx))?;
                    let mut request = request.take().expect("polled after completion");
                    this.pass.as_mut().expect("set by the verdict").admit(&mut request);
                    State::Calling { future: inner.call(request) }
                }
                StateProj::Calling { future } => {
                    let mut answer = future.poll(cx);
                    let Poll::Ready(Ok(response)) = &mut answer else { return answer };
                    let pass = this.pass.as_mut().expect("polled after completion");
                    let verdict = match review(pass, response) {
                        Eventual::Now(verdict) => {
                            finish(verdict, response, pass, this.respond);
                            *this.pass = None;
                            return answer;
                        }
                        Eventual::Later(verdict) => verdict,
                    };
                    let response = ready!(answer)?;
                    State::Reviewing { verdict, response: Some(response) }
                }
                StateProj::Reviewing { verdict, response } => {
                    let verdict = ready!(poll_verdict(verdict, cx));
                    let mut response = response.take().expect("polled after completion");
                    let mut pass = this.pass.take().expect("polled after completion");
                    finish(verdict, &mut response, &mut pass, this.respond);
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request<ReqBody>>, P, R, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, P, R, ReqBody, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Polls a verdict; a panic is a refusal.
pub(crate) fn poll_verdict<T>(verdict: &mut BoxedVerdict<T>, cx: &mut Context<'_>) -> Poll<Result<T, Rejection>> {
    let poll = catch_unwind(AssertUnwindSafe(|| verdict.as_mut().poll(cx)));
    poll.unwrap_or_else(|_| Poll::Ready(Err(panicked())))
}
