//! Clients whose secret is an API key.

use std::fmt;

use tower_warden::{ConfigError, Identity, api_key::ApiKeys};

use crate::{Client, TokenBinding};

/// Accepts the owners of API keys as clients: the owner is the client's id, and the key is its secret. An agent that has a key
/// exchanges it for a short-lived JWT in this way, by the grant of client credentials, with any OAuth client and without a
/// registration.
///
/// # Rules
///
/// 1. The methods are `client_secret_basic` and `client_secret_post`, at the token endpoint and for client credentials only.
/// 2. The scopes of the token are those of the key, or fewer; `sub` and `client_id` are the owner. `tenant` and `tier` are
///    claims with these names, unless the [claims of the application](crate::ClaimsSource) have them.
/// 3. The token expires with the key, or before. It stays valid if the key is revoked afterwards: for 30 minutes or less.
/// 4. A key that is bound to a certificate or to another key needs its proof, and its token is bound in the same way. A key that
///    is limited to certain networks is refused, because its token would not be.
/// 5. An owner with the id of a registered client is refused. Owners of different tenants may have the same name: APIs
///    then distinguish them by `tenant`, which an [exchanged](crate::TokenExchange) token keeps. The names of owners
///    are not known to the issuer: keep them apart from other subjects, by a prefix for example.
/// 6. Every key that is refused gets the response to an unknown client. If the key store does not respond, that is 503.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, header::CONTENT_TYPE};
/// use http_body_util::Full;
/// use tower::ServiceExt;
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     jwt::Algorithm,
/// };
/// use tower_warden_issuer::{IssuerService, KeyOwners, MemoryClientStore, SigningKeys, TokenIssuer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let api_keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, key) = api_keys.mint(NewKey::new("agent-7").scopes("orders:read")).await?;
///
/// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
/// let issuer = TokenIssuer::builder("https://auth.example.com", clients, keys)?
///     .api_keys(KeyOwners::new(api_keys, "https://orders.example.com")?)
///     .build()?;
///
/// let tokens: IssuerService<Full<Bytes>> = issuer.service();
/// let request = |secret: &str| {
///     let form = format!("grant_type=client_credentials&client_id=agent-7&client_secret={secret}");
///     let request = Request::post("/oauth/token").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
///     tokens.clone().oneshot(request.body(Full::<Bytes>::from(form)).expect("a request"))
/// };
/// assert_eq!(request(key.expose()).await?.status(), 200);
/// assert_eq!(request("sk_agent_guess").await?.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct KeyOwners {
    pub(crate) keys: ApiKeys,
    resources: Vec<Box<str>>,
}

impl KeyOwners {
    /// Accepts the owners of these keys. Their tokens are for this resource, if a request names none.
    ///
    /// # Errors
    ///
    /// If the resource is not an absolute URI without a fragment
    /// ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)).
    pub fn new(keys: ApiKeys, resource: &str) -> Result<Self, ConfigError> {
        Self { keys, resources: Vec::new() }.resource(resource)
    }

    /// Adds a resource that the owners may request tokens for.
    ///
    /// # Errors
    ///
    /// If it is not an absolute URI without a fragment.
    pub fn resource(mut self, resource: &str) -> Result<Self, ConfigError> {
        // The same rules as for a registered client.
        Client::new("owner", resource)?;
        self.resources.push(resource.into());
        Ok(self)
    }

    /// The client that the owner of a key is; `None` if its name cannot be the id of a client.
    pub(crate) fn client(&self, key: &Identity) -> Option<Client> {
        let first = Client::new(&key.subject, self.resources.first()?).ok()?;
        let client = self.resources.iter().try_fold(first, |client, resource| client.resource(resource)).ok()?;
        let client = client.scopes(key.scopes.clone()).ok()?;
        let bound = key.confirmation.as_ref();
        Some(if bound.is_some_and(|bound| bound.certificate_thumbprint().is_some()) {
            client.require_binding(TokenBinding::Certificate)
        } else {
            client
        })
    }
}

impl fmt::Debug for KeyOwners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOwners").field("keys", &self.keys).field("resources", &self.resources).finish()
    }
}
