//! This is a [`Service`] of its own, and not a [`Check`](crate::gate::Check) of the gate, because it changes the type of the
//! request's body. Readiness follows the gate's rule: the service that was made ready goes along with a request that waits,
//! and a clone stays behind.

use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, Request, Response, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    check::{BodyCheck, BufferedRequest},
    inspected::InspectedBody,
    limits::BodyLimits,
    reader::{Content, Reader, too_large},
};
use crate::{
    eventual::Eventual,
    gate::{complete, panicked, poll_verdict, refuse},
    refusal::{Problem, Rejection, Respond},
    request::Head,
};

/// Lets a request through to the inner service after its body was inspected, or refuses it. See the
/// [module docs](super).
pub struct BodyGate<S, R = Problem> {
    inner: S,
    check: Arc<dyn BodyCheck>,
    respond: R,
}

impl<S, R> BodyGate<S, R> {
    pub(super) const fn new(inner: S, check: Arc<dyn BodyCheck>, respond: R) -> Self {
        Self { inner, check, respond }
    }
}

impl<S, R, B, ResBody> Service<Request<B>> for BodyGate<S, R>
where
    S: Service<Request<InspectedBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body,
    R: Respond<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, B, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limits = catch_unwind(AssertUnwindSafe(|| self.check.limits(&Head::from(&request))));
        let state = match limits {
            Ok(None) => State::calling(request.map(InspectedBody::untouched), &mut self.inner, &self.respond),
            Ok(Some(limits)) => {
                self.begin(request, limits).unwrap_or_else(|rejection| State::refused(rejection, &self.respond))
            }
            Err(_) => State::refused(panicked(), &self.respond),
        };
        ResponseFuture { state }
    }
}

impl<S: Clone, R: Clone> BodyGate<S, R> {
    /// Begins to read a body; an error is a body that is declared to be too large, of which nothing is read.
    fn begin<B, ResBody>(
        &mut self,
        request: Request<B>,
        limits: BodyLimits,
    ) -> Result<State<S, R, B, ResBody, S::Future>, Rejection>
    where
        S: Service<Request<InspectedBody<B>>, Response = Response<ResBody>>,
        B: Body,
        R: Respond<ResBody>,
    {
        if declared_length(&request).is_some_and(|length| length > limits.max_bytes() as u64) {
            return Err(too_large());
        }
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            let (request, verdict) = inspect(&*self.check, parts, Content::default());
            return Ok(match verdict {
                Eventual::Now(verdict) => settle(verdict, request, &mut self.inner, &self.respond),
                Eventual::Later(verdict) => {
                    State::Checking { verdict, parked: Some((request, self.take_ready(), self.respond.clone())) }
                }
            });
        }
        let reader = Reader::new(body, limits)?;
        let parked = Some((parts, self.take_ready(), self.respond.clone(), Arc::clone(&self.check)));
        Ok(State::Reading { reader, parked })
    }

    /// Takes the service that is ready; the clone may not be, so it stays behind.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

impl<S: Clone, R: Clone> Clone for BodyGate<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for BodyGate<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGate").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The size that the client declares; a value that is not a number is the server's matter.
fn declared_length<B>(request: &Request<B>) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Runs the check on a body that was read.
fn inspect<B>(check: &dyn BodyCheck, parts: Parts, content: Content) -> (Request<InspectedBody<B>>, Eventual<Verdict>) {
    let (body, head, trailers) = (&content.data, Head::from(&parts), content.trailers.as_ref());
    let verdict = catch_unwind(AssertUnwindSafe(|| check.check(&BufferedRequest { body, head, trailers })));
    let request = Request::from_parts(parts, InspectedBody::buffered(content));
    (request, verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked()))))
}

/// Calls the inner service, or refuses the request.
fn settle<S, R, B, ResBody>(
    verdict: Verdict,
    mut request: Request<InspectedBody<B>>,
    inner: &mut S,
    respond: &R,
) -> State<S, R, B, ResBody, S::Future>
where
    S: Service<Request<InspectedBody<B>>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    match verdict {
        Ok(extensions) => {
            request.extensions_mut().extend(extensions);
            State::calling(request, inner, respond)
        }
        Err(rejection) => State::refused(rejection.of_request(request.extensions()), respond),
    }
}

/// The result of a check.
type Verdict = Result<Extensions, Rejection>;

pin_project! {
    /// The response future of [`BodyGate`].
    pub struct ResponseFuture<S, R, B, ResBody>
    where
        S: Service<Request<InspectedBody<B>>>,
    {
        #[pin]
        state: State<S, R, B, ResBody, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, B, ResBody, F> {
        Reading {
            #[pin]
            reader: Reader<B>,
            parked: Option<(Parts, S, R, Arc<dyn BodyCheck>)>,
        },
        Checking {
            verdict: Pin<Box<dyn Future<Output = Verdict> + Send>>,
            parked: Option<(Request<InspectedBody<B>>, S, R)>,
        },
        Calling {
            #[pin]
            future: F,
            respond: R,
        },
        Refused {
            response: Option<Response<ResBody>>,
        },
    }
}

impl<S, R, B, ResBody> State<S, R, B, ResBody, S::Future>
where
    S: Service<Request<InspectedBody<B>>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    fn calling(request: Request<InspectedBody<B>>, inner: &mut S, respond: &R) -> Self {
        Self::Calling { future: inner.call(request), respond: respond.clone() }
    }

    fn refused(rejection: Rejection, respond: &R) -> Self {
        Self::Refused { response: Some(refuse(rejection, respond)) }
    }
}

impl<S, R, B, ResBody> Future for ResponseFuture<S, R, B, ResBody>
where
    S: Service<Request<InspectedBody<B>>, Response = Response<ResBody>>,
    B: Body,
    R: Respond<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Reading { reader, parked } => {
                    let content = ready!(reader.poll(cx));
                    let (parts, mut inner, respond, check) = parked.take().expect("polled after completion");
                    match content.map(|content| inspect(&*check, parts, content)) {
                        Ok((request, Eventual::Now(verdict))) => settle(verdict, request, &mut inner, &respond),
                        Ok((request, Eventual::Later(verdict))) => {
                            State::Checking { verdict, parked: Some((request, inner, respond)) }
                        }
                        Err(rejection) => State::refused(rejection, &respond),
                    }
                }
                StateProj::Checking { verdict, parked } => {
                    let verdict = ready!(poll_verdict(verdict, cx));
                    let (request, mut inner, respond) = parked.take().expect("polled after completion");
                    settle(verdict, request, &mut inner, &respond)
                }
                StateProj::Calling { future, respond } => {
                    return Poll::Ready(Ok(complete(ready!(future.poll(cx))?, respond)));
                }
                StateProj::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            };
            state.set(next);
        }
    }
}

impl<S: Service<Request<InspectedBody<B>>>, R, B, ResBody> fmt::Debug for ResponseFuture<S, R, B, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
