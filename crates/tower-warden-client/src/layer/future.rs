use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{BoxError, call::Call};
use crate::{TokenError, replay::Replay};

pin_project! {
    /// The future of [`Authorized`](super::Authorized).
    pub struct ResponseFuture<F, S, P, B, R> {
        #[pin]
        state: State<F, S, P, B, R>,
    }
}

type Later<R> = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<F, S, P, B, R> {
        /// The request was not sent.
        Refused { error: Option<TokenError> },
        /// The request was sent with a token that was available.
        Sent { #[pin] future: F, call: Option<Call<S, P, B>> },
        /// A token is obtained first, or the request is sent again.
        Later { future: Later<R> },
    }
}

impl<F, S, P, B, R> ResponseFuture<F, S, P, B, R> {
    pub(super) const fn refused(error: TokenError) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }

    pub(super) const fn sent(future: F, call: Call<S, P, B>) -> Self {
        Self { state: State::Sent { future, call: Some(call) } }
    }

    pub(super) const fn later(future: Later<R>) -> Self {
        Self { state: State::Later { future } }
    }
}

impl<F, S, P, B, R, E> Future for ResponseFuture<F, S, P, B, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    S: Service<Request<B>, Response = Response<R>, Error = E> + Clone + Send + 'static,
    S::Future: Send,
    E: Into<BoxError> + Send + 'static,
    P: Replay<B>,
    B: Send + 'static,
    R: Send + 'static,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after completion").into()));
                }
                StateProjection::Later { future } => return future.as_mut().poll(context),
                StateProjection::Sent { future, call } => {
                    let response = ready!(future.poll(context)).map_err(Into::<BoxError>::into)?;
                    let call = call.take().expect("polled after completion");
                    let Some(refusal) = call.observe(&response) else { return Poll::Ready(Ok(response)) };
                    if call.repeat.is_none() {
                        call.give_up(&refusal);
                        return Poll::Ready(Ok(response));
                    }
                    state.set(State::Later { future: Box::pin(call.recover(response, refusal)) });
                }
            }
        }
    }
}

impl<F, S, P, B, R> fmt::Debug for ResponseFuture<F, S, P, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
