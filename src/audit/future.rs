use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{body::AuditBody, event::End, guard::Guard, sink::Place};
use crate::{
    reason::Reason,
    refusal::{Rejection, RejectionKind, Respond, Responder},
};

pub(super) type BoxedPlace = Pin<Box<dyn Future<Output = Option<Place>> + Send>>;

pin_project! {
    /// The response future of [`Audit`](super::Audit).
    pub struct AuditFuture<S, R, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        guard: Option<Guard>,
        respond: Responder<R>,
        #[pin]
        state: State<S, ReqBody, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody, F> {
        // The sink makes room for the event.
        Reserving {
            place: BoxedPlace,
            pending: Option<(Request<ReqBody>, S)>,
        },
        // There is room, and the inner service is not ready yet.
        Preparing {
            inner: S,
            request: Option<Request<ReqBody>>,
        },
        // The inner service handles the request.
        Calling {
            #[pin]
            future: F,
        },
    }
}

impl<S, R, ReqBody> AuditFuture<S, R, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn calling(guard: Guard, respond: Responder<R>, future: S::Future) -> Self {
        Self { guard: Some(guard), respond, state: State::Calling { future } }
    }

    /// `inner` is not ready.
    pub(super) fn reserving(
        guard: Guard,
        respond: Responder<R>,
        place: BoxedPlace,
        pending: (Request<ReqBody>, S),
    ) -> Self {
        let state = State::Reserving { place, pending: Some(pending) };
        Self { guard: Some(guard), respond, state }
    }
}

impl<S, R, ReqBody, ResBody> Future for AuditFuture<S, R, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
    ReqBody: 'static,
    ResBody: Body,
{
    type Output = Result<Response<AuditBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let guard = this.guard.as_mut().expect("polled after completion");
        let outcome = loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reserving { place, pending } => {
                    let place = ready!(place.as_mut().poll(cx));
                    let (request, inner) = pending.take().expect("polled after completion");
                    let Some(place) = place else {
                        crate::gate::discard(request);
                        let rejection = Rejection::new(RejectionKind::Unavailable, Reason::AUDIT_UNAVAILABLE);
                        break Ok(this.respond.refuse(rejection));
                    };
                    guard.hold(place);
                    State::Preparing { inner, request: Some(request) }
                }
                StateProj::Preparing { inner, request } => match ready!(guard.run(|| inner.poll_ready(cx))) {
                    Ok(()) => {
                        let request = request.take().expect("polled after completion");
                        State::Calling { future: guard.run(|| inner.call(request)) }
                    }
                    Err(error) => break Err(error),
                },
                StateProj::Calling { future } => break ready!(guard.run(|| future.poll(cx))),
            };
            this.state.set(next);
        };
        let mut guard = this.guard.take().expect("polled after completion");
        Poll::Ready(match outcome {
            Ok(mut response) => {
                guard.respond(&mut response, this.respond);
                Ok(AuditBody::wrap(response, guard))
            }
            Err(error) => {
                guard.set_end(End::Failed);
                Err(error)
            }
        })
    }
}

impl<S: Service<Request<ReqBody>>, R, ReqBody> fmt::Debug for AuditFuture<S, R, ReqBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFuture").finish_non_exhaustive()
    }
}
