use std::{future::poll_fn, sync::Arc};

use http::{Request, Response, StatusCode};
use tower_service::Service;
use tower_warden::scope::Scopes;

use super::{BoxError, head::Head, refusal::Refusal, settings::Settings};
use crate::{Token, TokenError, TokenErrorKind, TokenKind, dpop::PROOF, replay::Replay, status::status_of};

/// A request that was sent, with what is needed to send it again.
pub(super) struct Call<S, P, B> {
    /// `None` if the body cannot be copied.
    pub(super) repeat: Option<Repeat<S, B>>,
    pub(super) replay: P,
    /// The additional scopes of the token.
    pub(super) scopes: Option<Arc<Scopes>>,
    pub(super) settings: Arc<Settings>,
    pub(super) token: Token,
}

/// A copy of the request, and a clone of the service.
pub(super) struct Repeat<S, B> {
    body: B,
    head: Head,
    service: S,
}

/// The attempts that were made already.
#[derive(Default)]
struct Attempted {
    nonce: bool,
    scopes: bool,
    token: bool,
}

impl<S, B> Repeat<S, B> {
    /// Copies a request before it is sent.
    pub(super) fn of(request: &Request<B>, replay: &impl Replay<B>, service: &S) -> Option<Self>
    where
        S: Clone,
    {
        let body = replay.replay(request.body())?;
        Some(Self { body, head: Head::of(request), service: service.clone() })
    }

    /// Copies the request once more, for a further attempt.
    fn copy(&self, replay: &impl Replay<B>) -> Option<Self>
    where
        S: Clone,
    {
        Some(Self { body: replay.replay(&self.body)?, head: self.head.clone(), service: self.service.clone() })
    }

    fn into_request(self) -> Option<(Request<B>, S)> {
        Some((self.head.with(self.body)?, self.service))
    }
}

impl<S, P, B> Call<S, P, B> {
    /// Keeps the nonce of a response, and returns what its refusal is about.
    pub(super) fn observe<R>(&self, response: &Response<R>) -> Option<Refusal> {
        let headers = response.headers();
        let status = status_of(response.status(), headers);
        // Each request is one for the declared origin.
        let has_nonce = self.token.key().is_some_and(|key| key.keep_nonce(&self.settings.origin, headers));
        let refusal = Refusal::of(status, headers, &self.token);
        self.settings.refused.note(&self.token, status, refusal.as_ref());
        refusal.filter(|refusal| has_nonce || !matches!(refusal, Refusal::Nonce))
    }

    /// Reports a refused token, if the request cannot be repeated.
    pub(super) fn give_up(&self, refusal: &Refusal) {
        if matches!(refusal, Refusal::Token) {
            self.settings.source.invalidate(&self.token);
        }
    }

    /// Counts whether the scopes of a step-up have helped.
    fn count_step_up(&self, status: StatusCode, next: Option<&Refusal>) {
        let (Some(step_ups), Some(scopes)) = (&self.settings.step_ups, &self.scopes) else { return };
        match status {
            _ if matches!(next, Some(Refusal::Scopes(_))) => step_ups.fail(scopes),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
            // Whatever else the API says, it is not about scopes.
            _ => step_ups.succeed(scopes),
        }
    }
}

impl<S, P, B> Call<S, P, B>
where
    P: Replay<B>,
{
    /// Sends the request again while that may help, and returns the last response.
    pub(super) async fn recover<R>(
        mut self,
        mut response: Response<R>,
        mut refusal: Refusal,
    ) -> Result<Response<R>, BoxError>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        S::Error: Into<BoxError>,
    {
        let mut attempted = Attempted::default();
        loop {
            let Some(repeat) = self.repeat.take() else {
                self.give_up(&refusal);
                return Ok(response);
            };
            if !self.prepare(&refusal, &mut attempted).await {
                return Ok(response);
            }
            self.repeat = repeat.copy(&self.replay);
            let Some((mut request, mut service)) = repeat.into_request() else { return Ok(response) };
            // Its body may hold a connection, or a place in the inner service, that the next attempt needs.
            drop(response);
            authorize(&mut request, &self.token, &self.settings)?;
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::<BoxError>::into)?;
            response = service.call(request).await.map_err(Into::<BoxError>::into)?;
            let next = self.observe(&response);
            if attempted.scopes {
                self.count_step_up(status_of(response.status(), response.headers()), next.as_ref());
            }
            match next {
                Some(next) => refusal = next,
                None => return Ok(response),
            }
        }
    }

    /// Obtains what the next attempt needs. Returns whether there is one.
    async fn prepare(&mut self, refusal: &Refusal, attempted: &mut Attempted) -> bool {
        match refusal {
            Refusal::Nonce => !std::mem::replace(&mut attempted.nonce, true),
            Refusal::Token => {
                if std::mem::replace(&mut attempted.token, true) {
                    return false;
                }
                self.settings.source.invalidate(&self.token);
                self.replace_token(self.scopes.clone()).await
            }
            Refusal::Scopes(asked) => {
                if std::mem::replace(&mut attempted.scopes, true) {
                    return false;
                }
                let step_ups = self.settings.step_ups.as_ref();
                match step_ups.and_then(|step_ups| step_ups.attempt(self.token.scopes(), asked)) {
                    Some(scopes) => self.replace_token(Some(scopes)).await,
                    None => false,
                }
            }
        }
    }

    /// Returns whether there is another token. If not, the response of the server is the best that there is.
    async fn replace_token(&mut self, scopes: Option<Arc<Scopes>>) -> bool {
        match self.settings.source.token(&self.settings.request(scopes.as_deref())).wait().await {
            Ok(token) if token != self.token && token.kind() != TokenKind::Assertion => {
                self.token = token;
                self.scopes = scopes;
                true
            }
            Ok(_) => false,
            Err(error) => {
                if error.kind() != TokenErrorKind::Unavailable && scopes != self.scopes {
                    self.settings.step_ups.iter().zip(&scopes).for_each(|(step_ups, scopes)| step_ups.fail(scopes));
                }
                tracing::warn!(%error, "a refused token cannot be replaced");
                false
            }
        }
    }
}

/// Adds a token to a request, with a proof if it is bound to a key. Fields of these names are replaced.
pub(super) fn authorize<B>(request: &mut Request<B>, token: &Token, settings: &Settings) -> Result<(), TokenError> {
    if let Some(key) = token.key() {
        let proof = key.proof(request.method(), request.uri(), Some(token.expose()), settings.clock.now())?;
        request.headers_mut().insert(PROOF, proof);
    }
    request.headers_mut().insert(token.field().clone(), token.header_value().clone());
    Ok(())
}
