use tower_warden::{Eventual, scope::Scopes};

use super::parameters::{Parameters, parameter_methods};
use crate::{Token, TokenEndpoint, TokenError, TokenRequest, TokenSource, endpoint::Form, token::OwnedRequest};

/// Tokens of the client itself ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
///
/// See [`TokenEndpoint`] for an example with its outcomes.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{fetch::HttpClient, scope::Scopes};
/// use tower_warden_client::{CachedToken, ClientAuth, TokenEndpoint, grant::ClientCredentials};
///
/// let auth = ClientAuth::basic("billing", &std::env::var("BILLING_SECRET")?);
/// let endpoint = TokenEndpoint::new("https://auth.example.com/token", auth, HttpClient::new()?)?;
/// let grant = ClientCredentials::new(endpoint)
///     .scopes(Scopes::parse("orders:read")?)
///     .resource("https://orders.example.com");
/// let tokens = CachedToken::new(grant);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientCredentials {
    endpoint: TokenEndpoint,
    parameters: Parameters,
}

impl ClientCredentials {
    /// Requests tokens at this endpoint.
    pub fn new(endpoint: TokenEndpoint) -> Self {
        Self { endpoint, parameters: Parameters::default() }
    }

    /// Requests tokens for this audience, at servers that have the parameter `audience`.
    pub fn audience(self, audience: &str) -> Self {
        self.parameter("audience", audience)
    }

    parameter_methods!();
}

impl TokenSource for ClientCredentials {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, request) = (self.clone(), OwnedRequest::of(request));
        // A request to the authorization server.
        Eventual::later(async move {
            let fill = |form: &mut Form| {
                form.add("grant_type", "client_credentials");
                this.parameters.fill(form);
            };
            let scopes = this.parameters.scopes_with(&request.scopes);
            let mut token = this.endpoint.request(&request, &scopes, fill).await?;
            // RFC 6749 §4.4.3: a refresh token is of no use, because the client has its own credentials.
            token.take_refresh_token();
            Ok(token)
        })
    }
}
