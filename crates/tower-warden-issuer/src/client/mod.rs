//! The registered clients.

use serde::{Deserialize, Serialize};
use tower_warden::{ConfigError, UnixTime, api_key::KeyDigest, scope::Scopes};

pub use self::{
    authentication::ClientAuthentication,
    keys::ClientKeys,
    record::ClientRecord,
    secrets::ClientSecrets,
    store::{ClientStore, MemoryClientStore},
};
use crate::endpoint::CodeClient;

mod authentication;
mod certificates;
mod keys;
mod record;
mod secrets;
mod store;

/// A registered client: how it authenticates, and what it may request.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::{KeyDigest, KeyFormat};
/// use tower_warden_issuer::{Client, ClientAuthentication, ClientSecrets};
///
/// let secret = KeyFormat::new("cs")?.generate()?;
/// let secrets = ClientSecrets::new(KeyDigest::sha256(secret.expose()));
/// let client = Client::new("agent-7", "https://orders.example.com")?
///     .authentication(ClientAuthentication::SecretBasic(secrets))
///     .scopes("orders:read orders:write")?;
/// assert_eq!(client.resources().collect::<Vec<_>>(), ["https://orders.example.com"]);
///
/// assert!(Client::new("", "https://orders.example.com").is_err(), "no id");
/// assert!(Client::new("agent-7", "https://orders.example.com/#part").is_err(), "a resource with a fragment");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    authentication: Vec<ClientAuthentication>,
    binding: Option<TokenBinding>,
    pub(crate) code: CodeClient,
    grants: Vec<GrantType>,
    id: Box<str>,
    resources: Vec<Box<str>>,
    scopes: Scopes,
    served: Vec<Box<str>>,
}

/// The method by which the tokens of a client are always bound.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum TokenBinding {
    /// The client certificate of the connection ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)), which is
    /// a [`PeerCertificate`](tower_warden::certificate::PeerCertificate) in the extensions of the request. The issuer has
    /// [mutual TLS](crate::TokenIssuerBuilder::mutual_tls); otherwise the client gets no token.
    Certificate,
    /// The key of a DPoP proof ([RFC 9449 §5](https://www.rfc-editor.org/rfc/rfc9449#section-5)).
    Key,
}

/// A grant that a client may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GrantType {
    /// [RFC 6749 §4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1), at issuers with
    /// [`AutoConsent`](crate::AutoConsent).
    AuthorizationCode,
    /// [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4).
    ClientCredentials,
    /// [RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1), with the settings of
    /// [`JwtBearer`](crate::JwtBearer).
    JwtBearer,
    /// [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6), for tokens of
    /// [`TokenIssuer::issue_refresh_token`](crate::TokenIssuer::issue_refresh_token), of authorization codes, and of
    /// the [endpoints for agents](crate::TokenIssuerBuilder::agent_api).
    RefreshToken,
    /// [RFC 8693](https://www.rfc-editor.org/rfc/rfc8693), with the settings of
    /// [`TokenExchange`](crate::TokenExchange).
    TokenExchange,
}

impl GrantType {
    /// All grants.
    pub(crate) const ALL: [Self; 5] =
        [Self::AuthorizationCode, Self::ClientCredentials, Self::JwtBearer, Self::RefreshToken, Self::TokenExchange];

    /// The value of `grant_type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }
}

impl Client {
    /// A client with an id and the resource that its tokens are for: their `aud`, if a request names none.
    ///
    /// It may use client credentials, and has no scopes. It cannot authenticate until a
    /// [method](Self::authentication) is added.
    ///
    /// # Errors
    ///
    /// If the id is not 1 to 256 visible ASCII characters or spaces
    /// ([RFC 6749 A.1](https://www.rfc-editor.org/rfc/rfc6749#appendix-A.1)), or the resource is not an absolute URI
    /// without a fragment ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)).
    pub fn new(id: &str, resource: &str) -> Result<Self, ConfigError> {
        if !(1..=256).contains(&id.len()) || !id.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(ConfigError::custom("a client id is 1 to 256 visible ASCII characters").value(id));
        }
        let client = Self {
            authentication: Vec::new(),
            binding: None,
            code: CodeClient::default(),
            grants: vec![GrantType::ClientCredentials],
            id: id.into(),
            resources: Vec::new(),
            scopes: Scopes::default(),
            served: Vec::new(),
        };
        client.resource(resource)
    }

    /// Adds a method of authentication. Of [`Tls`](ClientAuthentication::Tls), the last one replaces those before it: a client
    /// has one expected name ([RFC 8705 §2.1.2](https://www.rfc-editor.org/rfc/rfc8705#section-2.1.2)).
    #[must_use]
    pub fn authentication(mut self, method: ClientAuthentication) -> Self {
        if matches!(method, ClientAuthentication::Tls(_)) {
            self.authentication.retain(|known| !matches!(known, ClientAuthentication::Tls(_)));
        }
        self.authentication.push(method);
        self
    }

    /// Requires tokens that are bound: a request without the certificate or proof is refused.
    ///
    /// Tokens are also bound to the key of a DPoP proof that a client sends without being required to.
    #[must_use]
    pub const fn require_binding(mut self, binding: TokenBinding) -> Self {
        self.binding = Some(binding);
        self
    }

    /// Sets the grants that the client may use: client credentials by default.
    #[must_use]
    pub fn grants(mut self, grants: impl IntoIterator<Item = GrantType>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// Adds a resource that the client may request tokens for.
    ///
    /// # Errors
    ///
    /// If it is not an absolute URI without a fragment.
    pub fn resource(mut self, resource: &str) -> Result<Self, ConfigError> {
        if !self.has_resource(resource) {
            self.resources.push(checked(resource)?.into());
        }
        Ok(self)
    }

    /// Replaces the secret of all methods that have one. The old one is accepted until the second `until`: see
    /// [`ClientSecrets::rotated`].
    #[must_use]
    pub fn rotate_secret(mut self, digest: &KeyDigest, until: UnixTime) -> Self {
        for method in &mut self.authentication {
            if let ClientAuthentication::AgentSecret(secrets)
            | ClientAuthentication::SecretBasic(secrets)
            | ClientAuthentication::SecretPost(secrets) = method
            {
                *secrets = secrets.clone().rotated(digest.clone(), until);
            }
        }
        self
    }

    /// Returns a client with the same id that can do nothing: it has no method of authentication, and no grant. For a
    /// [store](ClientStore) whose client is suspended: an id that is not found would be free for others.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden_issuer::{Client, GrantType};
    ///
    /// let client = Client::new("agent-7", "https://orders.example.com")?;
    /// assert!(client.may_use(GrantType::ClientCredentials));
    /// let suspended = client.suspended();
    /// assert_eq!((suspended.id(), suspended.may_use(GrantType::ClientCredentials)), ("agent-7", false));
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn suspended(self) -> Self {
        let (authentication, grants, served) = (Vec::new(), Vec::new(), Vec::new());
        Self { authentication, code: CodeClient::default(), grants, scopes: Scopes::default(), served, ..self }
    }

    /// Declares that the client is the server of a resource: it may introspect and exchange the access tokens for it.
    ///
    /// # Errors
    ///
    /// If it is not an absolute URI without a fragment.
    pub fn serve(mut self, resource: &str) -> Result<Self, ConfigError> {
        self.served.push(checked(resource)?.into());
        Ok(self)
    }

    /// Sets the scopes that the client may request. A request without `scope` is granted all of them.
    ///
    /// # Errors
    ///
    /// If a scope is not a token of [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
    pub fn scopes(mut self, scopes: impl TryInto<Scopes, Error: Into<ConfigError>>) -> Result<Self, ConfigError> {
        self.scopes = scopes.try_into().map_err(Into::into)?;
        Ok(self)
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The resources that it may request tokens for; the first is the default.
    #[must_use]
    pub fn resources(&self) -> impl ExactSizeIterator<Item = &str> {
        self.resources.iter().map(|resource| &**resource)
    }

    /// The scopes that it may request.
    #[must_use]
    pub const fn allowed_scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Returns whether it may use the grant. A [public](Self::public) client may use authorization codes and refresh tokens only.
    #[must_use]
    pub fn may_use(&self, grant: GrantType) -> bool {
        let is_for_public = matches!(grant, GrantType::AuthorizationCode | GrantType::RefreshToken);
        self.grants.contains(&grant) && (is_for_public || !self.is_public())
    }

    pub(crate) const fn binding(&self) -> Option<TokenBinding> {
        self.binding
    }

    /// Returns whether its refresh tokens suffice at the endpoints for agents.
    pub(crate) fn is_agent(&self) -> bool {
        self.authentication.iter().any(|method| matches!(method, ClientAuthentication::AgentSecret(_)))
    }

    pub(crate) fn serves(&self, resource: &str) -> bool {
        self.served.iter().any(|own| **own == *resource)
    }

    pub(crate) fn has_resource(&self, resource: &str) -> bool {
        self.resources.iter().any(|own| **own == *resource)
    }

    pub(crate) fn methods(&self) -> &[ClientAuthentication] {
        &self.authentication
    }
}

fn checked(resource: &str) -> Result<&str, ConfigError> {
    let refused = || ConfigError::custom("a resource is an absolute URI without a fragment").value(resource);
    if is_resource(resource) { Ok(resource) } else { Err(refused()) }
}

/// RFC 8707 §2: an absolute URI (RFC 3986 §4.3) without a fragment.
pub(crate) fn is_resource(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte);
    is_scheme && !rest.is_empty() && text.len() <= 1024 && rest.bytes().all(is_allowed)
}
