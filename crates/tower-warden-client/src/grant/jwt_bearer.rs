use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde_json::json;
use tower_warden::{ConfigError, Eventual, UnixTime, scope::Scopes};

use super::parameters::{Parameters, parameter_methods};
use crate::{
    PrivateKeySource, Token, TokenEndpoint, TokenError, TokenErrorKind, TokenRequest, TokenSource,
    endpoint::Form,
    private_key::{PrivateKey, unique_id},
    token::OwnedRequest,
};

/// Tokens for an assertion ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)): one that the client
/// signs, one that another server has issued (ID-JAG), or one in a file (workload identity).
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{fetch::HttpClient, jwt::Algorithm};
/// use tower_warden_client::{
///     ClientAuth, PrivateKey, TokenEndpoint,
///     grant::{JwtBearer, SignedAssertion, TokenFile},
/// };
///
/// let auth = ClientAuth::none("billing");
/// let endpoint = TokenEndpoint::new("https://auth.example.com/token", auth, HttpClient::new()?)?;
/// let key = PrivateKey::from_pem(Algorithm::RS256, &std::fs::read("service-account.pem")?)?;
/// let account = JwtBearer::new(
///     endpoint.clone(),
///     SignedAssertion::new(key, "billing@example.com", "https://auth.example.com/token").subject("alice@example.com"),
/// );
/// let workload = JwtBearer::new(endpoint, TokenFile::new("/var/run/secrets/tokens/billing"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwtBearer {
    assertion: Arc<dyn TokenSource>,
    endpoint: TokenEndpoint,
    parameters: Parameters,
}

impl JwtBearer {
    /// Exchanges assertions of this source at this endpoint.
    pub fn new(endpoint: TokenEndpoint, assertion: impl TokenSource) -> Self {
        Self { assertion: Arc::new(assertion), endpoint, parameters: Parameters::default() }
    }

    parameter_methods!();
}

impl TokenSource for JwtBearer {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, request) = (self.clone(), OwnedRequest::of(request));
        // Requests to the authorization server, and possibly to that of the assertion.
        Eventual::later(async move {
            let plain = TokenRequest::new(request.now).with_attempt(request.attempt);
            let assertion = this.assertion.token(&plain).wait().await?;
            let fill = |form: &mut Form| {
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.add("assertion", assertion.expose());
                this.parameters.fill(form);
            };
            let scopes = this.parameters.scopes_with(&request.scopes);
            let result = this.endpoint.request(&request, &scopes, fill).await;
            // A cached one is not sent again.
            if result.as_ref().is_err_and(|error| error.kind() == TokenErrorKind::InvalidGrant) {
                this.assertion.invalidate(&assertion);
            }
            result
        })
    }
}

impl fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBearer")
            .field("endpoint", &self.endpoint)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// Assertions that the client signs itself ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)), a new one
/// for each request.
#[derive(Clone, Debug)]
#[must_use]
pub struct SignedAssertion {
    audience: Box<str>,
    /// Further claims.
    claims: BTreeMap<Box<str>, Box<str>>,
    issuer: Box<str>,
    key: SigningKey,
    lifetime: Duration,
    subject: Box<str>,
}

#[derive(Clone, Debug)]
enum SigningKey {
    Fixed(PrivateKey),
    Named(PrivateKeySource),
}

impl SignedAssertion {
    /// Signs assertions of this issuer about itself, for this authorization server.
    pub fn new(key: PrivateKey, issuer: &str, audience: &str) -> Self {
        Self::of(SigningKey::Fixed(key), issuer, audience)
    }

    /// Signs assertions with the current version of a key of a secret source.
    pub fn from_source(key: PrivateKeySource, issuer: &str, audience: &str) -> Self {
        Self::of(SigningKey::Named(key), issuer, audience)
    }

    fn of(key: SigningKey, issuer: &str, audience: &str) -> Self {
        let lifetime = Duration::from_secs(300);
        let claims = BTreeMap::new();
        Self { audience: audience.into(), claims, issuer: issuer.into(), key, lifetime, subject: issuer.into() }
    }

    /// Adds a claim, such as the `scope` or the `target_audience` that a server for service accounts expects. Of several
    /// calls with one name, the last one applies.
    ///
    /// # Errors
    ///
    /// If the claim is one that is always there: `iss`, `sub`, `aud`, `jti`, `iat` or `exp`.
    pub fn claim(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        if ["iss", "sub", "aud", "jti", "iat", "exp"].contains(&name) {
            return Err(ConfigError::custom("this claim of an assertion has a setting of its own").value(name));
        }
        self.claims.insert(name.into(), value.into());
        Ok(self)
    }

    /// Sets the lifetime: five minutes by default.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the subject: the issuer by default.
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = subject.into();
        self
    }

    fn sign(&self, key: &PrivateKey, now: UnixTime) -> Result<Token, TokenError> {
        let expiry = now + self.lifetime;
        let mut claims = json!({
            "iss": &*self.issuer, "sub": &*self.subject, "aud": &*self.audience, "jti": unique_id()?,
            "iat": now.as_secs(), "exp": expiry.as_secs(),
        });
        for (name, value) in &self.claims {
            claims[&**name] = (**value).into();
        }
        Ok(Token::assertion(&key.sign_jwt(json!({ "typ": "JWT" }), &claims)?)?.expires_at(expiry))
    }
}

impl TokenSource for SignedAssertion {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        match &self.key {
            SigningKey::Fixed(key) => Eventual::Now(self.sign(key, request.now())),
            SigningKey::Named(key) => {
                let (this, key, now) = (self.clone(), key.clone(), request.now());
                // The source may have to be read.
                Eventual::later(async move {
                    let (current, _) = key.read(now).await?;
                    this.sign(&current, now)
                })
            }
        }
    }
}
