use std::{borrow::Cow, fmt, sync::Arc};

use tower_warden::{Eventual, scope::Scopes};

use super::parameters::{Parameters, parameter_methods};
use crate::{
    Token, TokenEndpoint, TokenError, TokenErrorKind, TokenKind, TokenRequest, TokenSource, endpoint::Form,
    token::OwnedRequest,
};

/// Tokens for another token ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): of a user for whom an agent acts, for
/// another audience, or with fewer scopes.
///
/// An exchange is for one subject: use one [`CachedToken`](crate::CachedToken) for each.
///
/// # Examples
///
/// An agent that acts for a user, at two servers: the first one issues an identity assertion (ID-JAG), the second one
/// exchanges it for an access token.
///
/// ```no_run
/// use tower_warden::fetch::HttpClient;
/// use tower_warden_client::{
///     ClientAuth, TokenEndpoint,
///     grant::{JwtBearer, StaticKey, TokenExchange, TokenFile, TokenType},
/// };
///
/// let http = HttpClient::new()?;
/// let auth = ClientAuth::basic("agent", &std::env::var("AGENT_SECRET")?);
/// let login = TokenEndpoint::new("https://login.example.com/token", auth, http.clone())?;
/// let auth = ClientAuth::basic("agent", &std::env::var("PARTNER_SECRET")?);
/// let api = TokenEndpoint::new("https://auth.partner.example/token", auth, http)?;
///
/// let user = StaticKey::bearer(&std::env::var("ID_TOKEN_OF_THE_USER")?)?;
/// let assertion = TokenExchange::new(login, user, TokenType::ID_TOKEN)
///     .actor(TokenFile::new("/run/secrets/agent-token"), TokenType::JWT)
///     .requested_type(TokenType::ID_JAG)
///     .audience("https://auth.partner.example");
/// let tokens = JwtBearer::new(api, assertion);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenExchange {
    actor: Option<(Arc<dyn TokenSource>, TokenType)>,
    endpoint: TokenEndpoint,
    parameters: Parameters,
    requested: Option<TokenType>,
    subject: Arc<dyn TokenSource>,
    subject_type: TokenType,
}

impl TokenExchange {
    /// Exchanges tokens of this source, which are of this type.
    pub fn new(endpoint: TokenEndpoint, subject: impl TokenSource, subject_type: TokenType) -> Self {
        let parameters = Parameters::default();
        Self { actor: None, endpoint, parameters, requested: None, subject: Arc::new(subject), subject_type }
    }

    /// Sets the source of the actor's tokens: the party that acts for the subject.
    pub fn actor(mut self, actor: impl TokenSource, actor_type: TokenType) -> Self {
        self.actor = Some((Arc::new(actor), actor_type));
        self
    }

    /// Requests tokens for this audience, the name of a service. Of several calls, all apply.
    pub fn audience(self, audience: &str) -> Self {
        self.parameter("audience", audience)
    }

    /// Requests tokens of this type, and refuses a token whose `issued_token_type` is another one. If
    /// the response does not state the type, a token that can be sent to an API is accepted only for
    /// [`ACCESS_TOKEN`](TokenType::ACCESS_TOKEN) and [`JWT`](TokenType::JWT).
    pub fn requested_type(mut self, requested: TokenType) -> Self {
        self.requested = Some(requested);
        self
    }

    parameter_methods!();

    async fn exchange(&self, request: &OwnedRequest) -> Result<Token, TokenError> {
        let plain = TokenRequest::new(request.now).with_attempt(request.attempt);
        let subject = self.subject.token(&plain).wait().await?;
        let actor = match &self.actor {
            Some((actor, kind)) => Some((actor.token(&plain).wait().await?, kind)),
            None => None,
        };
        let fill = |form: &mut Form| {
            form.add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
            form.add("subject_token", subject.expose());
            form.add("subject_token_type", self.subject_type.as_str());
            if let Some((actor, kind)) = &actor {
                form.add("actor_token", actor.expose());
                form.add("actor_token_type", kind.as_str());
            }
            if let Some(requested) = &self.requested {
                form.add("requested_token_type", requested.as_str());
            }
            self.parameters.fill(form);
        };
        let scopes = self.parameters.scopes_with(&request.scopes);
        let result = self.endpoint.request(request, &scopes, fill).await;
        // RFC 8693 §2.2.2: a subject or actor token that is not acceptable is an `invalid_request`.
        let is_refused = |error: &TokenError| matches!(error.code(), Some("invalid_grant" | "invalid_request"));
        if result.as_ref().is_err_and(is_refused) {
            self.subject.invalidate(&subject);
            if let (Some((source, _)), Some((token, _))) = (&self.actor, &actor) {
                source.invalidate(token);
            }
        }
        let token = result?;
        // RFC 8693 §2.2.1: what was requested as an assertion may be an access token, which is not for other servers. If
        // the response does not state the type, a token for an API is accepted only for `ACCESS_TOKEN` and `JWT`.
        let is_requested = |requested: &TokenType| match token.issued_type() {
            Some(issued) => issued == requested.as_str(),
            None => {
                token.kind() == TokenKind::Assertion || [TokenType::ACCESS_TOKEN, TokenType::JWT].contains(requested)
            }
        };
        if !self.requested.as_ref().is_none_or(is_requested) {
            return Err(TokenError::new(TokenErrorKind::Response, "the token is of another type than requested"));
        }
        Ok(token)
    }
}

impl TokenSource for TokenExchange {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, request) = (self.clone(), OwnedRequest::of(request));
        // Requests to the authorization server, and possibly to those of the subject and the actor.
        Eventual::later(async move { this.exchange(&request).await })
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("endpoint", &self.endpoint)
            .field("parameters", &self.parameters)
            .field("subject_type", &self.subject_type)
            .finish_non_exhaustive()
    }
}

/// The type of a token in an exchange ([RFC 8693 §3](https://www.rfc-editor.org/rfc/rfc8693#section-3)).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenType(Cow<'static, str>);

impl TokenType {
    /// An access token.
    pub const ACCESS_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:access_token"));
    /// An identity assertion for another authorization server (ID-JAG).
    pub const ID_JAG: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:id-jag"));
    /// An ID token.
    pub const ID_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:id_token"));
    /// A JWT of any kind.
    pub const JWT: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:jwt"));
    /// A transaction token.
    pub const TXN_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:txn_token"));

    /// Another type, by its URI.
    #[must_use]
    pub fn custom(uri: &str) -> Self {
        Self(Cow::Owned(uri.to_owned()))
    }

    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
