use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use http::{Request, Uri, header};
use tower_warden::{Digest, Eventual, UnixTime, fetch::HttpClient, scope::Scopes};
use tower_warden_client::{
    Token, TokenEndpoint, TokenError, TokenErrorKind, TokenRequest, TokenSource, grant::CustomGrant,
};

use crate::{BoxError, fetched};

/// A login without a browser, at servers that sign in any client: the authorization code flow with PKCE
/// ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)). It follows the redirects itself.
#[derive(Clone, Debug)]
pub struct CodeFlow {
    http: HttpClient,
    registration: Registration,
}

/// The client of a [`CodeFlow`], and the server that it is registered with.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "not a published crate")]
pub struct Registration {
    /// The URL of the authorization endpoint.
    pub authorization: String,
    /// The id of the client.
    pub client_id: String,
    /// The token endpoint, with the authentication of the client.
    pub endpoint: TokenEndpoint,
    /// The issuer.
    pub issuer: String,
    /// The server states its issuer in each response ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).
    pub states_issuer: bool,
    /// The URL that codes are sent to. Nothing listens there.
    pub redirect: String,
    /// The resource of the tokens.
    pub resource: String,
    /// The scopes of each login.
    pub scopes: Scopes,
}

impl CodeFlow {
    /// Creates the source.
    #[must_use]
    pub const fn new(http: HttpClient, registration: Registration) -> Self {
        Self { http, registration }
    }

    async fn login(&self, scopes: &Scopes, now: UnixTime) -> Result<Token, TokenError> {
        let failed = |error: BoxError| TokenError::new(TokenErrorKind::Refused, "the login failed").because(error);
        let verifier = random().map_err(failed)?;
        let code = self.code(scopes, &verifier).await.map_err(failed)?;
        let Registration { endpoint, redirect, resource, .. } = &self.registration;
        let grant = CustomGrant::new(endpoint.clone(), "authorization_code")
            .parameter("code", &code)
            .parameter("code_verifier", &verifier)
            .parameter("redirect_uri", redirect)
            .resource(resource);
        let token = grant.token(&TokenRequest::new(now)).wait().await?;
        // RFC 6749 §5.1: the scopes are those of the authorization request if the response does not state them.
        Ok(if token.scopes().is_some() { token } else { token.with_scopes(scopes.clone()) })
    }

    /// Obtains a code.
    async fn code(&self, scopes: &Scopes, verifier: &str) -> Result<String, BoxError> {
        let state = random()?;
        let response = self.redirected(&self.authorization_url(scopes, verifier, &state)).await?;
        let (_, query) = response.split_once('?').unwrap_or_default();
        let parameters: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if parameters.get("state") != Some(&state) {
            return Err("the response is not one to this request".into());
        }
        // RFC 9207 §2.4.
        match parameters.get("iss") {
            Some(issuer) if *issuer != self.registration.issuer => return Err("a response of another issuer".into()),
            None if self.registration.states_issuer => return Err("the response does not state its issuer".into()),
            _ => {}
        }
        let error = || format!("the server refuses: {}", parameters.get("error").map_or("no code", |error| error));
        parameters.get("code").cloned().ok_or_else(|| error().into())
    }

    fn authorization_url(&self, scopes: &Scopes, verifier: &str, state: &str) -> String {
        let Registration { authorization, client_id, redirect, resource, .. } = &self.registration;
        let mut query = Serializer::new(String::new());
        query
            .append_pair("client_id", client_id)
            .append_pair("code_challenge", &Digest::of(verifier.as_bytes()).to_base64url())
            .append_pair("code_challenge_method", "S256")
            .append_pair("redirect_uri", redirect)
            .append_pair("resource", resource)
            .append_pair("response_type", "code")
            .append_pair("state", state);
        if !scopes.is_empty() {
            query.append_pair("scope", &scopes.to_string());
        }
        let separator = if authorization.contains('?') { '&' } else { '?' };
        format!("{authorization}{separator}{}", query.finish())
    }

    /// Follows redirects, with the cookies of the server, up to that of the client.
    async fn redirected(&self, url: &str) -> Result<String, BoxError> {
        let mut cookies = BTreeMap::new();
        let mut url = url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let request = Request::get(&url).header(header::COOKIE, cookie).body(bytes::Bytes::new())?;
            let response = fetched(&self.http, request).await?;
            for line in response.headers().get_all(header::SET_COOKIE) {
                if let Some((name, value)) = line.to_str()?.split(';').next().and_then(|pair| pair.split_once('=')) {
                    cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            let missing = || format!("{} without a redirect", response.status());
            url = resolved(&url, location.ok_or_else(missing)?)?;
            if url.split('?').next() == Some(&self.registration.redirect) {
                return Ok(url);
            }
        }
        Err("too many redirects".into())
    }
}

impl TokenSource for CodeFlow {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, now) = (self.clone(), request.now());
        let scopes = this.registration.scopes.iter().chain(request.scopes.iter()).cloned().collect();
        // Requests to the authorization server.
        Eventual::later(async move { this.login(&scopes, now).await })
    }
}

/// The URL that a redirect leads to.
fn resolved(base: &str, location: &str) -> Result<String, BoxError> {
    if !location.starts_with('/') {
        return Ok(location.to_owned());
    }
    let base: Uri = base.parse()?;
    let authority = base.authority().map_or("", |authority| authority.as_str());
    Ok(format!("{}://{authority}{location}", base.scheme_str().unwrap_or("https")))
}

fn random() -> Result<String, BoxError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

const MAX_REDIRECTS: usize = 16;
