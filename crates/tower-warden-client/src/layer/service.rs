use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use tower_warden::{Eventual, scope::Scopes};

use super::{
    BoxError,
    call::{Call, Repeat, authorize},
    future::ResponseFuture,
    settings::Settings,
};
use crate::{Token, TokenError, TokenErrorKind, TokenKind, replay::Replay};

/// A client whose requests carry a token: the service of a [`TokenLayer`](super::TokenLayer).
///
/// It implements `Service` itself, because a caller without a token has no response to give back: the checks of
/// `tower_warden` respond, and this service fails with a [`TokenError`].
#[derive(Clone)]
pub struct Authorized<S, P> {
    inner: S,
    replay: P,
    settings: Arc<Settings>,
}

impl<S, P> Authorized<S, P> {
    pub(super) const fn new(inner: S, replay: P, settings: Arc<Settings>) -> Self {
        Self { inner, replay, settings }
    }

    /// The additional scopes that earlier requests needed.
    fn scopes(&self) -> Option<Arc<Scopes>> {
        self.settings.step_ups.as_ref().and_then(|step_ups| step_ups.needed())
    }

    /// The call of a request with this token, which is added to the request.
    fn prepare<B>(
        settings: Arc<Settings>,
        replay: P,
        service: &S,
        request: &mut Request<B>,
        token: Token,
        scopes: Option<Arc<Scopes>>,
    ) -> Result<Call<S, P, B>, TokenError>
    where
        S: Clone,
        P: Replay<B>,
    {
        if token.kind() == TokenKind::Assertion {
            return Err(TokenError::new(TokenErrorKind::Response, "an assertion is not sent to an API"));
        }
        let repeat = Repeat::of(request, &replay, service);
        authorize(request, &token, &settings)?;
        Ok(Call { repeat, replay, scopes, settings, token })
    }
}

impl<S, P, B, R> Service<Request<B>> for Authorized<S, P>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send,
    P: Replay<B> + Clone,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, S, P, B, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(error) = self.settings.check(&mut request) {
            return ResponseFuture::refused(error);
        }
        let (settings, replay, mut scopes) = (Arc::clone(&self.settings), self.replay.clone(), self.scopes());
        let mut token = settings.source.token(&settings.request(scopes.as_deref()));
        if matches!(&token, Eventual::Now(Err(error)) if settings.withdraw(scopes.as_deref(), error)) {
            scopes = None;
            token = settings.source.token(&settings.request(None));
        }
        match token {
            Eventual::Now(token) => {
                let call =
                    token.and_then(|token| Self::prepare(settings, replay, &self.inner, &mut request, token, scopes));
                match call {
                    Ok(call) => ResponseFuture::sent(self.inner.call(request), call),
                    Err(error) => ResponseFuture::refused(error),
                }
            }
            Eventual::Later(token) => {
                // The ready instance is dropped, so that what it has reserved is given back while the token is
                // obtained.
                let service = self.inner.clone();
                drop(mem::replace(&mut self.inner, service.clone()));
                ResponseFuture::later(Box::pin(async move {
                    let mut scopes = scopes;
                    let token = match token.await {
                        Err(error) if settings.withdraw(scopes.as_deref(), &error) => {
                            scopes = None;
                            settings.source.token(&settings.request(None)).wait().await?
                        }
                        token => token?,
                    };
                    let call = Self::prepare(settings, replay, &service, &mut request, token, scopes)?;
                    send(service, request, call).await
                }))
            }
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Authorized<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("inner", &self.inner)
            .field("origin", &self.settings.origin)
            .finish_non_exhaustive()
    }
}

/// Sends a request when the service is ready, and again if that may help.
async fn send<S, P, B, R>(mut service: S, request: Request<B>, call: Call<S, P, B>) -> Result<Response<R>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    P: Replay<B>,
{
    poll_fn(|context| service.poll_ready(context)).await.map_err(Into::<BoxError>::into)?;
    let response = service.call(request).await.map_err(Into::<BoxError>::into)?;
    match call.observe(&response) {
        Some(refusal) => call.recover(response, refusal).await,
        None => Ok(response),
    }
}
