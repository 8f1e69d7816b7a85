use std::{future::poll_fn, sync::Arc};

use http::{Request, Response, StatusCode, Uri};
use tower_service::Service;
use tower_warden::scope::Scopes;

use super::{BoxError, head::Head, refusal::Refusal, settings::Settings};
use crate::{Token, TokenError, TokenErrorKind, TokenKind, TokenRequest, dpop::PROOF, replay::Replay};

/// A request that was sent, with what is needed to send it again.
pub(super) struct Call<S, P, B> {
    pub(super) replay: P,
    /// The additional scopes of the token.
    pub(super) scopes: Arc<Scopes>,
    pub(super) settings: Arc<Settings>,
    /// `None` if the body cannot be copied.
    pub(super) repeat: Option<Repeat<S, B>>,
    pub(super) token: Token,
    pub(super) uri: Uri,
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

    fn into_request(self) -> (Request<B>, S) {
        (self.head.with(self.body), self.service)
    }
}

impl<S, P, B> Call<S, P, B> {
    /// Keeps the nonce of a response, and returns what its refusal is about.
    pub(super) fn observe<R>(&self, response: &Response<R>) -> Option<Refusal> {
        let key = self.token.key();
        let has_nonce = key.is_some_and(|key| key.keep_nonce(&self.uri, response.headers()));
        match Refusal::of(response.status(), response.headers(), &self.token)? {
            Refusal::Nonce if !has_nonce => None,
            refusal => Some(refusal),
        }
    }

    /// Reports a refused token, if the request cannot be repeated.
    pub(super) fn give_up(&self, refusal: &Refusal) {
        if matches!(refusal, Refusal::Token) {
            self.settings.source.invalidate(&self.token);
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
            let (mut request, mut service) = repeat.into_request();
            authorize(&mut request, &self.token, &self.settings)?;
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::<BoxError>::into)?;
            response = service.call(request).await.map_err(Into::<BoxError>::into)?;
            let next = self.observe(&response);
            if let Some(step_ups) = self.settings.step_ups.as_ref().filter(|_| attempted.scopes) {
                match response.status() {
                    _ if matches!(next, Some(Refusal::Scopes(_))) => step_ups.fail(&self.scopes),
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
                    // Whatever else the API says, it is not about scopes.
                    _ => step_ups.succeed(&self.scopes),
                }
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
                self.replace_token(Arc::clone(&self.scopes)).await
            }
            Refusal::Scopes(asked) => {
                if std::mem::replace(&mut attempted.scopes, true) {
                    return false;
                }
                let step_ups = self.settings.step_ups.as_ref();
                match step_ups.and_then(|step_ups| step_ups.attempt(self.token.scopes(), asked)) {
                    Some(scopes) => self.replace_token(scopes).await,
                    None => false,
                }
            }
        }
    }

    /// Returns whether there is another token. If not, the response of the server is the best that there is.
    async fn replace_token(&mut self, scopes: Arc<Scopes>) -> bool {
        let now = self.settings.clock.now();
        match self.settings.source.token(&TokenRequest::new(now).with_scopes(&scopes)).wait().await {
            Ok(token) if token != self.token && token.kind() != TokenKind::Assertion => {
                self.token = token;
                self.scopes = scopes;
                true
            }
            Ok(_) => false,
            Err(error) => {
                if error.kind() != TokenErrorKind::Unavailable && scopes != self.scopes {
                    self.settings.step_ups.iter().for_each(|step_ups| step_ups.fail(&scopes));
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
