use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use serde_json::{Map, Value};
use tower_warden::{ConfigError, Eventual, fetch::Fetch, scope::Scopes};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Refresh, RefreshToken, Token, TokenError, TokenErrorKind, TokenRequest, TokenSource,
    endpoint::{Expected, Members, TIMEOUT, fetch_within, response},
    origin::secure_uri,
    secret::{Secret, SecretInput, SecretSource, Versioned},
    token::OwnedRequest,
};

/// A login with a JSON object, as APIs for agents have it, and optionally its endpoint for refresh tokens.
///
/// # Examples
///
/// `POST /auth/token {"agent_id", "agent_secret"}` and `POST /auth/refresh {"refresh_token"}`:
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_warden::{Eventual, Unavailable, UnixTime, fetch::Fetch};
/// use tower_warden_client::{TokenErrorKind, TokenRequest, TokenSource, grant::JsonLogin};
///
/// #[derive(Clone)]
/// struct Api;
///
/// impl Fetch for Api {
///     fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
///         let is_valid = &request.body()[..] == br#"{"agent_id":"agent-7","agent_secret":"s3cret"}"#;
///         let mut response = Response::new(Bytes::from_static(br#"{"data":{"jwt":"at"},"expires_in":60}"#));
///         if !is_valid {
///             *response.status_mut() = http::StatusCode::UNAUTHORIZED;
///         }
///         Eventual::Now(Ok(response))
///     }
/// }
///
/// let login = |secret| {
///     Ok::<_, tower_warden::ConfigError>(
///         JsonLogin::new("https://api.example/auth/token", Api)?
///             .field("agent_id", "agent-7")
///             .secret("agent_secret", secret)
///             .token_member("data.jwt")
///             .refresh_at("https://api.example/auth/refresh", "refresh_token")?,
///     )
/// };
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let request = TokenRequest::new(UnixTime::from_secs(1_000));
/// assert_eq!(login("s3cret")?.token(&request).wait().await?.expose(), "at");
/// let error = login("wrong")?.token(&request).wait().await.unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::InvalidClient);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct JsonLogin {
    fetch: Arc<dyn Fetch>,
    fields: Arc<Vec<(Box<str>, SecretInput)>>,
    members: Arc<Members>,
    refresh: Option<(Uri, Arc<str>)>,
    timeout: Duration,
    uri: Uri,
}

impl JsonLogin {
    /// Sends logins to this URL.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL or an `http` URL of a loopback host, or if `fetch` would refuse it.
    pub fn new(url: &str, fetch: impl Fetch) -> Result<Self, ConfigError> {
        let uri = secure_uri(url)?;
        fetch.check(&uri)?;
        let members = Arc::default();
        Ok(Self { fetch: Arc::new(fetch), fields: Arc::default(), members, refresh: None, timeout: TIMEOUT, uri })
    }

    /// Adds a member to the login.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        Arc::make_mut(&mut self.fields).push((name.into(), SecretInput::fixed(value)));
        self
    }

    /// Adds a secret member to the login. All members are treated as secret; the name serves the reader.
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.field(name, value)
    }

    /// Adds a member to the login that this source has by the name `secret`.
    ///
    /// It is read for each login. If the server refuses the current version, and the one before is still
    /// [valid](Versioned::previous), the login is sent once more with that one. If the source fails, the last version
    /// that was read remains in use.
    pub fn secret_from(mut self, name: &str, source: impl SecretSource, secret: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.fields).push((name.into(), SecretInput::named(source, secret)));
        self
    }

    /// Sets the member of the responses that states the lifetime in seconds: `expires_in` by default.
    pub fn expires_in_member(mut self, path: &str) -> Self {
        Arc::make_mut(&mut self.members).expires_in = path.into();
        self
    }

    /// Sets the URL for refresh tokens, and the member of the request that contains the token.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn refresh_at(mut self, url: &str, member: &str) -> Result<Self, ConfigError> {
        let uri = secure_uri(url)?;
        self.fetch.check(&uri)?;
        self.refresh = Some((uri, member.into()));
        Ok(self)
    }

    /// Sets the member of the responses that contains the refresh token: `refresh_token` by default.
    pub fn refresh_token_member(mut self, path: &str) -> Self {
        Arc::make_mut(&mut self.members).refresh_token = path.into();
        self
    }

    /// Sets the time limit of a request: 10 seconds by default.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets the member of the responses that contains the token: `access_token` by default. Dots separate the names of
    /// nested members.
    pub fn token_member(mut self, path: &str) -> Self {
        Arc::make_mut(&mut self.members).token = path.into();
        self
    }

    async fn post(&self, uri: &Uri, body: Bytes, request: &OwnedRequest) -> Result<Token, TokenError> {
        let built = Request::post(uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| TokenError::new(TokenErrorKind::Refused, "not a request"))?;
        let response = fetch_within(self.timeout, &*self.fetch, built).await?;
        if !response.status().is_success() {
            return Err(refusal(response::error(&response, request.now), response.status()));
        }
        let scopes = Scopes::default();
        response::token(response.body(), Expected { key: None, members: &self.members, request, scopes: &scopes })
    }
}

impl TokenSource for JsonLogin {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, request) = (self.clone(), OwnedRequest::of(request));
        // A request to the server.
        Eventual::later(async move {
            let mut fields: Vec<(&str, Versioned<Secret>)> = Vec::with_capacity(this.fields.len());
            for (name, value) in this.fields.iter() {
                fields.push((name, value.read().await?));
            }
            let current = fields.iter().map(|(name, value)| (*name, value.current().expose()));
            let result = this.post(&this.uri, object(current), &request).await;
            let has_previous = fields.iter().any(|(_, value)| value.previous(request.now).is_some());
            match result {
                Err(error) if has_previous && error.kind() == TokenErrorKind::InvalidClient => {
                    tracing::warn!("the current secret of a login is refused; the one before is tried");
                    let valid = |value: &'_ Versioned<Secret>| {
                        value.previous(request.now).unwrap_or_else(|| value.current()).clone()
                    };
                    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, valid(value))).collect();
                    let previous = fields.iter().map(|(name, value)| (*name, value.expose()));
                    this.post(&this.uri, object(previous), &request).await
                }
                result => result,
            }
        })
    }
}

impl Refresh for JsonLogin {
    /// Without a URL for refresh tokens, each one is refused, so that the login is repeated.
    fn refresh(&self, refresh: &RefreshToken, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let refused = || TokenError::new(TokenErrorKind::InvalidGrant, "the server refused the refresh token");
        let Some((uri, member)) = self.refresh.clone() else { return Eventual::Now(Err(refused())) };
        let (this, refresh, request) = (self.clone(), refresh.clone(), OwnedRequest::of(request));
        // A request to the server.
        Eventual::later(async move {
            let body = object([(&*member, refresh.expose())]);
            let result = this.post(&uri, body, &request).await;
            // Only the refresh token identifies the client here.
            result.map_err(|error| if error.kind() == TokenErrorKind::InvalidClient { refused() } else { error })
        })
    }
}

impl fmt::Debug for JsonLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.iter().map(|(name, _)| name).collect();
        f.debug_struct("JsonLogin")
            .field("fields", &names)
            .field("members", &self.members)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Classifies an error without a code by its status.
fn refusal(error: TokenError, status: StatusCode) -> TokenError {
    if matches!(status.as_u16(), 400 | 401 | 403) && error.code().is_none() {
        return TokenError::new(TokenErrorKind::InvalidClient, "the server refused the login");
    }
    error
}

/// A JSON object of texts, in a buffer that is wiped when it is dropped.
fn object<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Bytes {
    let mut members: Map<_, _> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    // With room for usual requests, because a buffer that is left behind by a reallocation is not wiped.
    let mut text = Zeroizing::new(Vec::with_capacity(8 * 1024));
    if serde_json::to_writer(&mut *text, &members).is_err() {
        text.clear();
    }
    for value in members.values_mut() {
        if let Value::String(text) = value {
            text.zeroize();
        }
    }
    Bytes::from_owner(text)
}
