use std::{
    convert::Infallible,
    error::Error,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_service::Service;

use super::{
    agent_api::{self, AgentEndpoint},
    audited::Notes,
    development,
    error::OAuthError,
    form::Form,
    introspect,
    response::{document, empty, no_sign_in, not_stored},
    revoke, token,
};
use crate::{
    TokenIssuer,
    issuer::{Inner, paths},
};

/// Responds at the endpoints of a [`TokenIssuer`]: tokens, revocation, introspection, key set, metadata. Other paths get 404.
/// Browsers at the authorization endpoint get 400 and a sentence, because there is no sign-in.
///
/// It is not a [`Gate`](tower_warden::gate::Gate), because it has no inner service, and is always ready. A form of more than
/// 64 KiB is refused, and so is one that does not arrive within ten seconds. Put rate limits by peer in front of it.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use tower::ServiceExt;
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_issuer::{IssuerService, MemoryClientStore, SigningKeys, TokenIssuer};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
/// let issuer = TokenIssuer::builder("https://auth.example.com", clients, keys)?.build()?;
/// let service: IssuerService<Full<Bytes>> = issuer.service();
///
/// let request = Request::get("/oauth/jwks").body(Full::<Bytes>::default())?;
/// assert_eq!(service.clone().oneshot(request).await?.status(), 200);
///
/// let request = Request::get("/oauth/token").body(Full::<Bytes>::default())?;
/// assert_eq!(service.oneshot(request).await?.status(), 405);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IssuerService<B> {
    body: PhantomData<fn() -> B>,
    issuer: Arc<Inner>,
}

/// The future of an [`IssuerService`]'s response.
pub type ResponseFuture<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

impl TokenIssuer {
    /// Returns the service that responds at the endpoints.
    #[must_use]
    pub fn service<B>(&self) -> IssuerService<B> {
        IssuerService { body: PhantomData, issuer: Arc::clone(&self.0) }
    }
}

/// An endpoint.
#[derive(Clone, Copy)]
enum Endpoint<'a> {
    Agent(AgentEndpoint<'a>),
    Authorize,
    Development(development::Endpoint<'a>),
    Introspect,
    JwkSet,
    Metadata,
    Revoke,
    Token,
}

impl Inner {
    /// The endpoint at a path.
    fn endpoint(&self, path: &str) -> Option<Endpoint<'_>> {
        let base = self.base_path();
        if path.strip_prefix(paths::METADATA) == Some(base) {
            return Some(Endpoint::Metadata);
        }
        match path.strip_prefix(base)? {
            paths::AGENT_REFRESH if self.has_agent_api => {
                self.refresh.as_ref().map(|tokens| Endpoint::Agent(AgentEndpoint::Refresh(tokens)))
            }
            paths::AGENT_TOKEN if self.has_agent_api => Some(Endpoint::Agent(AgentEndpoint::Token)),
            paths::AUTHORIZE if self.development.is_none() => Some(Endpoint::Authorize),
            paths::INTROSPECT => Some(Endpoint::Introspect),
            paths::JWK_SET => Some(Endpoint::JwkSet),
            paths::REVOKE if self.revocations.is_some() => Some(Endpoint::Revoke),
            paths::TOKEN => Some(Endpoint::Token),
            path => self.development.as_ref()?.endpoint(path).map(Endpoint::Development),
        }
    }

    async fn respond<ReqBody, B>(&self, request: Request<ReqBody>) -> Response<B>
    where
        B: From<Bytes>,
        ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let (head, body) = request.into_parts();
        let Some(endpoint) = self.endpoint(head.uri.path()) else { return empty(StatusCode::NOT_FOUND, "") };
        let notes = Notes::of(&head.extensions);
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let text = match endpoint {
            Endpoint::Development(endpoint) => return development::respond(self, endpoint, &head, body).await,
            Endpoint::Agent(endpoint) if head.method == Method::POST => {
                return agent_api::respond(self, endpoint, &head, body).await;
            }
            Endpoint::Introspect | Endpoint::Revoke | Endpoint::Token if head.method == Method::POST => {
                return self.respond_to_post(endpoint, &head, body, &notes).await;
            }
            Endpoint::Agent(_) | Endpoint::Introspect | Endpoint::Revoke | Endpoint::Token => {
                return empty(StatusCode::METHOD_NOT_ALLOWED, "POST");
            }
            Endpoint::Authorize | Endpoint::JwkSet | Endpoint::Metadata if !is_read => {
                return empty(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD");
            }
            Endpoint::Authorize => return no_sign_in(head.method == Method::GET),
            Endpoint::JwkSet => self.keys.jwk_set(self.clock.now()).await.to_string(),
            Endpoint::Metadata => self.metadata().to_string(),
        };
        document(text, head.method == Method::GET)
    }

    async fn respond_to_post<ReqBody, B>(
        &self,
        endpoint: Endpoint<'_>,
        head: &Parts,
        body: ReqBody,
        notes: &Notes,
    ) -> Response<B>
    where
        B: From<Bytes>,
        ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let form = match development::check(self, head) {
            Ok(()) => read_form(head, body).await,
            Err(error) => Err(error),
        };
        let form = match form {
            Ok(form) => form,
            Err(error) => return error.into_response(),
        };
        let mut fields = Vec::new();
        let response = match (endpoint, &self.revocations) {
            (Endpoint::Introspect, _) => {
                introspect::respond(self, head, &form).await.map(|members| not_stored(StatusCode::OK, &members))
            }
            (Endpoint::Revoke, Some(list)) => {
                revoke::respond(self, &**list, head, &form).await.map(|()| empty(StatusCode::OK, ""))
            }
            _ => token::respond(self, head, &form, &mut fields).await.map(|token| token.into_response(notes)),
        };
        let mut response = response.unwrap_or_else(OAuthError::into_response);
        response.headers_mut().extend(fields);
        response
    }
}

async fn read_form<ReqBody>(head: &Parts, body: ReqBody) -> Result<Form, OAuthError>
where
    ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    // RFC 6749 §2.3.1: credentials are never in the URL; nor is anything else.
    if head.uri.query().is_some() {
        return Err(OAuthError::invalid_request("Parameters are in the body, not in the URL."));
    }
    Form::check_type(&head.headers)?;
    Form::parse(&read_body(body, Form::MAX_BYTES).await?)
}

/// Reads a body within limits of length and time.
pub(super) async fn read_body<ReqBody>(body: ReqBody, max_bytes: usize) -> Result<Bytes, OAuthError>
where
    ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    match tokio::time::timeout(READ_TIMEOUT, Limited::new(body, max_bytes).collect()).await {
        Err(_) => Err(OAuthError::invalid_request("The body did not arrive in time.")),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(OAuthError::invalid_request("The body is too long.")),
        Ok(Err(_)) => Err(OAuthError::invalid_request("The body did not arrive.")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

impl<B, ReqBody> Service<Request<ReqBody>> for IssuerService<B>
where
    B: From<Bytes> + 'static,
    ReqBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let issuer = Arc::clone(&self.issuer);
        // Reads the form, and waits for stores.
        Box::pin(async move { Ok(issuer.respond(request).await) })
    }
}

impl<B> Clone for IssuerService<B> {
    fn clone(&self) -> Self {
        Self { body: PhantomData, issuer: Arc::clone(&self.issuer) }
    }
}

impl<B> fmt::Debug for IssuerService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerService").field("issuer", &self.issuer.name).finish_non_exhaustive()
    }
}

/// The time within which a form arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
