use tower_warden::{Eventual, scope::Scopes};

use super::parameters::{Parameters, parameter_methods};
use crate::{Token, TokenEndpoint, TokenError, TokenRequest, TokenSource, endpoint::Form, token::OwnedRequest};

/// Tokens of a grant that has no type of its own here, such as an authorization code
/// ([RFC 6749 §4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)), or one of an extension
/// ([§4.5](https://www.rfc-editor.org/rfc/rfc6749#section-4.5)).
///
/// The endpoint authenticates the client, and proves possession with the nonces of the server, as for all grants. A
/// refresh token remains [attached](Token::refresh_token), so that the grant can be the
/// [login](super::RefreshGrant::login) of a `RefreshGrant`.
///
/// A code is valid once: make a grant for each.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_warden::{Eventual, Unavailable, UnixTime, fetch::Fetch};
/// use tower_warden_client::{
///     ClientAuth, TokenEndpoint, TokenErrorKind, TokenRequest, TokenSource, grant::CustomGrant,
/// };
///
/// struct Server;
///
/// impl Fetch for Server {
///     fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
///         let is_valid = request.body().starts_with(b"grant_type=authorization_code&code=valid&");
///         let (status, body) = match is_valid {
///             true => (200, r#"{"access_token":"at","token_type":"Bearer","refresh_token":"rt"}"#),
///             false => (400, r#"{"error":"invalid_grant"}"#),
///         };
///         Eventual::Now(Ok(Response::builder().status(status).body(body.into()).expect("a response")))
///     }
/// }
///
/// let endpoint = TokenEndpoint::new("https://auth.example/token", ClientAuth::none("cli"), Server)?;
/// let grant = |code| CustomGrant::new(endpoint.clone(), "authorization_code").parameter("code", code);
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let request = TokenRequest::new(UnixTime::from_secs(1_000));
/// let token = grant("valid").token(&request).wait().await?;
/// assert!(token.refresh_token().is_some());
///
/// let error = grant("used").token(&request).wait().await.unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::InvalidGrant);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CustomGrant {
    endpoint: TokenEndpoint,
    grant_type: Box<str>,
    parameters: Parameters,
}

impl CustomGrant {
    /// Requests tokens of this grant type at this endpoint.
    pub fn new(endpoint: TokenEndpoint, grant_type: &str) -> Self {
        Self { endpoint, grant_type: grant_type.into(), parameters: Parameters::default() }
    }

    parameter_methods!();
}

impl TokenSource for CustomGrant {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, request) = (self.clone(), OwnedRequest::of(request));
        // A request to the authorization server.
        Eventual::later(async move {
            let fill = |form: &mut Form| {
                form.add("grant_type", &this.grant_type);
                this.parameters.fill(form);
            };
            let scopes = this.parameters.scopes_with(&request.scopes);
            this.endpoint.request(&request, &scopes, fill).await
        })
    }
}
