//! The token endpoint of an authorization server.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use tower_warden::{ConfigError, Eventual, fetch::Fetch, scope::Scopes};

pub use self::client_auth::ClientAuth;
use self::client_auth::Credential;
pub(crate) use self::{
    form::Form,
    response::{Expected, Members},
};
use crate::{
    Refresh, RefreshToken, Token, TokenError, TokenErrorKind, TokenRequest,
    dpop::{DpopKey, PROOF},
    origin::{Origin, http_uri, refused, secure_uri},
    token::OwnedRequest,
};

mod client_auth;
mod form;
pub(crate) mod response;

/// The token endpoint of an authorization server ([RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)),
/// and the client that uses it. Clones are cheap.
///
/// A response that is a redirect is an error. An [`HttpClient`](tower_warden::fetch::HttpClient) follows none, so credentials
/// are sent to the configured URL only; a `reqwest::Client` needs `redirect::Policy::none()` for that, here and for all other
/// sources that take a `Fetch`. Nothing is repeated here, except once a request whose proof lacks a nonce: [`CachedToken`](crate::CachedToken) repeats what fails for a temporary
/// reason.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_warden::{Eventual, Unavailable, UnixTime, fetch::Fetch};
/// use tower_warden_client::{
///     ClientAuth, TokenEndpoint, TokenErrorKind, TokenRequest, TokenSource, grant::ClientCredentials,
/// };
///
/// struct Server(u16, &'static str);
///
/// impl Fetch for Server {
///     fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
///         let mut response = Response::new(Bytes::from_static(self.1.as_bytes()));
///         *response.status_mut() = self.0.try_into().expect("a status");
///         Eventual::Now(Ok(response))
///     }
/// }
///
/// let auth = ClientAuth::basic("billing", "s3cret");
/// let endpoint = |server| TokenEndpoint::new("https://auth.example/token", auth.clone(), server);
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let request = TokenRequest::new(UnixTime::from_secs(1_000));
///
/// let server = Server(200, r#"{"access_token":"at","token_type":"Bearer","expires_in":60}"#);
/// let token = ClientCredentials::new(endpoint(server)?).token(&request).wait().await?;
/// assert_eq!(token.expiry(), Some(UnixTime::from_secs(1_060)));
///
/// let server = Server(401, r#"{"error":"invalid_client"}"#);
/// let error = ClientCredentials::new(endpoint(server)?).token(&request).wait().await.unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::InvalidClient);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenEndpoint {
    auth: ClientAuth,
    fetch: Arc<dyn Fetch>,
    key: Option<DpopKey>,
    members: Arc<Members>,
    timeout: Duration,
    uri: Uri,
}

impl TokenEndpoint {
    /// Creates the endpoint. `fetch` sends the requests: an [`HttpClient`](tower_warden::fetch::HttpClient), or a
    /// `reqwest::Client` of the application.
    ///
    /// # Errors
    ///
    /// If the URL is not an `https` URL or an `http` URL of a loopback host, or if `fetch` would refuse it.
    pub fn new(url: &str, auth: ClientAuth, fetch: impl Fetch) -> Result<Self, ConfigError> {
        let uri = secure_uri(url).map_err(|error| match http_uri(url) {
            Some(_) => refused(PLAIN_HTTP, url),
            None => error,
        })?;
        Self::at(uri, auth, fetch)
    }

    /// Creates an endpoint whose URL may be one of plain `http`, such as that of `http://keycloak:8080` in a cluster without TLS.
    ///
    /// Anyone on the way can read the secret of the client and its tokens, and can replace these. An
    /// [`HttpClient`](tower_warden::fetch::HttpClient) sends such requests to declared networks only: see
    /// [`HttpClientBuilder::danger_plain_http`](tower_warden::fetch::HttpClientBuilder::danger_plain_http).
    ///
    /// # Errors
    ///
    /// If the URL is not an `https` or `http` URL, or if `fetch` would refuse it.
    pub fn danger_plain_http(url: &str, auth: ClientAuth, fetch: impl Fetch) -> Result<Self, ConfigError> {
        let message = "the URL of a token endpoint is an https or http URL, without a user name and a fragment";
        Self::at(http_uri(url).ok_or_else(|| refused(message, url))?, auth, fetch)
    }

    fn at(uri: Uri, auth: ClientAuth, fetch: impl Fetch) -> Result<Self, ConfigError> {
        fetch.check(&uri)?;
        Ok(Self { auth, fetch: Arc::new(fetch), key: None, members: Arc::default(), timeout: TIMEOUT, uri })
    }

    /// Requests tokens that are bound to this key, and refuses others
    /// ([RFC 9449 §5](https://www.rfc-editor.org/rfc/rfc9449#section-5)).
    #[must_use]
    pub fn dpop(mut self, key: DpopKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets the time limit of a request: 10 seconds by default.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Requests a token with these parameters, which do not contain the scopes.
    pub(crate) async fn request(
        &self,
        request: &OwnedRequest,
        scopes: &Scopes,
        fill: impl Fn(&mut Form) + Send + Sync,
    ) -> Result<Token, TokenError> {
        let (current, previous) = self.auth.credentials(request.now).await?;
        let result = self.request_as(&current, request, scopes, &fill).await;
        match (result, previous) {
            // The server does not know the current version of the secret yet.
            (Err(error), Some(previous)) if error.code() == Some("invalid_client") => {
                tracing::warn!(auth = ?self.auth, "the current secret of a client is refused; the one before is tried");
                self.request_as(&previous, request, scopes, &fill).await
            }
            (result, _) => result,
        }
    }

    async fn request_as(
        &self,
        credential: &Credential,
        request: &OwnedRequest,
        scopes: &Scopes,
        fill: &(dyn Fn(&mut Form) + Send + Sync),
    ) -> Result<Token, TokenError> {
        let mut is_repeated = false;
        loop {
            let response = self.send(credential, request, scopes, fill).await?;
            let has_nonce = self.key.as_ref().is_some_and(|key| {
                Origin::of(&self.uri).is_some_and(|origin| key.keep_nonce(&origin, response.headers()))
            });
            if response.status() == StatusCode::OK {
                let expected = Expected { key: self.key.as_ref(), members: &self.members, request, scopes };
                return response::token(response.body(), expected);
            }
            let error = response::error(&response, request.now);
            // RFC 9449 §8: the request is repeated with the nonce of the response.
            if is_repeated || !has_nonce || error.code() != Some("use_dpop_nonce") {
                return Err(error);
            }
            is_repeated = true;
        }
    }

    async fn send(
        &self,
        credential: &Credential,
        request: &OwnedRequest,
        scopes: &Scopes,
        fill: &(dyn Fn(&mut Form) + Send + Sync),
    ) -> Result<Response<Bytes>, TokenError> {
        let mut form = Form::new();
        fill(&mut form);
        if !scopes.is_empty() {
            form.add("scope", &scopes.to_string());
        }
        let mut builder = Request::post(self.uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        builder = self.auth.apply(credential, builder, &mut form, request.now)?;
        if let Some(key) = &self.key {
            builder = builder.header(PROOF, key.proof(&Method::POST, &self.uri, None, request.now)?);
        }
        let built = builder.body(form.body()).map_err(|_| TokenError::new(TokenErrorKind::Refused, "not a request"))?;
        fetch_within(self.timeout, &*self.fetch, built).await
    }
}

impl Refresh for TokenEndpoint {
    /// [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6).
    fn refresh(&self, refresh: &RefreshToken, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, refresh, request) = (self.clone(), refresh.clone(), OwnedRequest::of(request));
        // A request to the authorization server.
        Eventual::later(async move {
            let scopes = request.scopes.clone();
            let fill = |form: &mut Form| {
                form.add("grant_type", "refresh_token");
                form.add("refresh_token", refresh.expose());
            };
            this.request(&request, &scopes, fill).await
        })
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("auth", &self.auth)
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Sends a request, and fails if the response is not complete in time.
pub(crate) async fn fetch_within(
    timeout: Duration,
    fetch: &dyn Fetch,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TokenError> {
    let unavailable = || TokenError::new(TokenErrorKind::Unavailable, "the authorization server does not respond");
    let response = tokio::time::timeout(timeout, fetch.fetch(request, MAX_RESPONSE_BYTES).wait()).await;
    let response = response.map_err(|_| unavailable())?.map_err(|error| unavailable().because(error))?;
    // A custom `Fetch` may ignore the limit.
    if response.body().len() > MAX_RESPONSE_BYTES {
        return Err(TokenError::new(TokenErrorKind::Response, "the response is too long"));
    }
    Ok(response)
}

const PLAIN_HTTP: &str = "the URL of a token endpoint is an https URL, or an http URL of a loopback host; \
                          `TokenEndpoint::danger_plain_http` accepts http";

/// The time limit of a request by default.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum length of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;
