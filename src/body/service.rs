//! This is a [`Service`] of its own, and not a [`Check`](crate::gate::Check) of the gate, because it changes the type of the
//! request's body. Readiness follows the gate's rule: a request that waits, for its body or for a verdict, holds nothing that the
//! inner service has reserved, and a clone is made ready once it is admitted.

use std::{
    fmt,
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
    gate::{panicked, poll_verdict, release},
    refusal::{Problem, Rejection, Respond, Responder},
    request::Head,
};

/// Lets a request through to the inner service after its body was inspected, or refuses it. See the
/// [module docs](super).
pub struct BodyGate<S, R = Problem> {
    inner: S,
    check: Arc<dyn BodyCheck>,
    respond: Responder<R>,
}

impl<S, R> BodyGate<S, R> {
    pub(super) const fn new(inner: S, check: Arc<dyn BodyCheck>, respond: Responder<R>) -> Self {
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
        let limits = catch_unwind(AssertUnwindSafe(|| {
            let head = Head::from(&request);
            self.check.check_head(&head).map(|()| self.check.limits(&head))
        }));
        let state = match limits {
            Ok(Ok(None)) => State::calling(request.map(InspectedBody::untouched), &mut self.inner, &self.respond),
            Ok(Ok(Some(limits))) => self.begin(request, limits).unwrap_or_else(|rejection| self.refuse(rejection)),
            Ok(Err(rejection)) => {
                let rejection = rejection.of_request(request.extensions());
                self.refuse(noted(rejection, &Head::from(&request)))
            }
            Err(_) => self.refuse(noted(panicked(), &Head::from(&request))),
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
            return Err(noted(too_large().by(request.extensions().get()), &Head::from(&request)));
        }
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            let (request, verdict) = inspect(&*self.check, parts, Content::default());
            return Ok(match verdict {
                Eventual::Now(verdict) => State::calling(settle(verdict, request)?, &mut self.inner, &self.respond),
                Eventual::Later(verdict) => {
                    State::Checking { verdict, parked: Some((request, self.not_ready(), self.respond.clone())) }
                }
            });
        }
        let reader = Reader::new(body, limits)
            .map_err(|rejection| noted(rejection.by(parts.extensions.get()), &Head::from(&parts)))?;
        let parked = Some((parts, self.not_ready(), self.respond.clone(), Arc::clone(&self.check)));
        Ok(State::Reading { reader, parked })
    }

    /// Gives back what the inner service has reserved, and refuses the request.
    fn refuse<B, ResBody>(&mut self, rejection: Rejection) -> State<S, R, B, ResBody, S::Future>
    where
        S: Service<Request<InspectedBody<B>>, Response = Response<ResBody>>,
        R: Respond<ResBody>,
    {
        release(&mut self.inner);
        State::refused(rejection, &self.respond)
    }

    /// Gives back what the inner service has reserved, and returns a clone that is not ready.
    fn not_ready(&mut self) -> S {
        release(&mut self.inner);
        self.inner.clone()
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
    let (body, head, trailers) = (&content.data, Head::from(&parts), content.trailers.as_deref());
    let verdict = catch_unwind(AssertUnwindSafe(|| check.check(&BufferedRequest { body, head, trailers })));
    let request = Request::from_parts(parts, InspectedBody::buffered(content));
    (request, verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked()))))
}

/// Adds what the check returned to the request, or makes the refusal.
fn settle<B>(verdict: Verdict, mut request: Request<InspectedBody<B>>) -> Result<Request<InspectedBody<B>>, Rejection> {
    match verdict {
        Ok(extensions) => {
            request.extensions_mut().extend(extensions);
            Ok(request)
        }
        Err(rejection) => Err(noted(rejection.of_request(request.extensions()), &Head::from(&request))),
    }
}

/// Notes a refusal for the audit event of the request.
fn noted(rejection: Rejection, head: &Head<'_>) -> Rejection {
    #[cfg(feature = "audit")]
    crate::trail::note_refused(head, &rejection);
    #[cfg(not(feature = "audit"))]
    let _ = head;
    rejection
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
            parked: Option<(Parts, S, Responder<R>, Arc<dyn BodyCheck>)>,
        },
        Checking {
            verdict: Pin<Box<dyn Future<Output = Verdict> + Send>>,
            parked: Option<(Request<InspectedBody<B>>, S, Responder<R>)>,
        },
        // The request is admitted, and the inner service is not ready yet.
        Preparing {
            inner: S,
            parked: Option<(Request<InspectedBody<B>>, Responder<R>)>,
        },
        Calling {
            #[pin]
            future: F,
            respond: Responder<R>,
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
    fn calling(request: Request<InspectedBody<B>>, inner: &mut S, respond: &Responder<R>) -> Self {
        Self::Calling { future: inner.call(request), respond: respond.clone() }
    }

    /// Waits until the inner service is ready, or refuses the request.
    fn prepared(settled: Result<Request<InspectedBody<B>>, Rejection>, inner: S, respond: Responder<R>) -> Self {
        match settled {
            Ok(request) => Self::Preparing { inner, parked: Some((request, respond)) },
            Err(rejection) => Self::refused(rejection, &respond),
        }
    }

    fn refused(rejection: Rejection, respond: &Responder<R>) -> Self {
        Self::Refused { response: Some(respond.refuse(rejection)) }
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
                    let (parts, inner, respond, check) = parked.take().expect("polled after completion");
                    match content {
                        Ok(content) => match inspect(&*check, parts, content) {
                            (request, Eventual::Now(verdict)) => {
                                State::prepared(settle(verdict, request), inner, respond)
                            }
                            (request, Eventual::Later(verdict)) => {
                                State::Checking { verdict, parked: Some((request, inner, respond)) }
                            }
                        },
                        Err(rejection) => {
                            let rejection = rejection.by(parts.extensions.get());
                            State::refused(noted(rejection, &Head::from(&parts)), &respond)
                        }
                    }
                }
                StateProj::Checking { verdict, parked } => {
                    let verdict = ready!(poll_verdict(verdict, cx));
                    let (request, inner, respond) = parked.take().expect("polled after completion");
                    State::prepared(settle(verdict, request), inner, respond)
                }
                StateProj::Preparing { inner, parked } => {
                    ready!(inner.poll_ready(cx))?;
                    let (request, respond) = parked.take().expect("polled after completion");
                    State::calling(request, inner, &respond)
                }
                StateProj::Calling { future, respond } => {
                    let mut response = ready!(future.poll(cx))?;
                    respond.complete(&mut response);
                    return Poll::Ready(Ok(response));
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
