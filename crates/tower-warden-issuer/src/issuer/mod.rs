//! The issuer, which all endpoints share.

use std::{fmt, iter, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tower_warden::{
    Clock, ConfigError, UnixTime,
    api_key::{KeyDigest, KeyFormat, KeySecret, Pepper},
    dpop::Dpop,
    jwt::{Algorithm, Jwt},
    replay::ReplayGuard,
};

pub use self::builder::TokenIssuerBuilder;
use self::decoy::Decoy;
use crate::{
    ClaimsSource, ClientStore, GrantType, KeyOwners, RefreshTokens, Revoker, SigningKey, SigningKeys, SigningKeysError,
    TokenExchange, endpoint::Development, jwt_bearer::AssertionGrants,
};

mod builder;
mod decoy;

/// Issues access tokens to registered clients. Clones are the same issuer.
///
/// See the [crate docs](crate) for an example.
#[derive(Clone)]
pub struct TokenIssuer(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) api_keys: Option<KeyOwners>,
    pub(crate) claims: Arc<dyn ClaimsSource>,
    pub(crate) clients: Arc<dyn ClientStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) decoy: Decoy,
    pub(crate) development: Option<Development>,
    pub(crate) dpop: Dpop,
    pub(crate) exchange: Option<TokenExchange>,
    pub(crate) guard: Arc<dyn ReplayGuard>,
    /// `true` if there are endpoints in JSON.
    pub(crate) has_agent_api: bool,
    /// `true` if the certificates of connections are used.
    pub(crate) has_mutual_tls: bool,
    pub(crate) jwt_bearer: Option<AssertionGrants>,
    pub(crate) keys: SigningKeys,
    pub(crate) lifetime: Duration,
    pub(crate) name: Box<str>,
    /// Verifies its own access tokens.
    pub(crate) own: Jwt,
    /// The newest first.
    pub(crate) peppers: Vec<Pepper>,
    pub(crate) refresh: Option<RefreshTokens>,
    /// The clients that have the only claim to their id: those that are found without asking others.
    pub(crate) registered: Arc<dyn ClientStore>,
    pub(crate) revocations: Option<Arc<dyn Revoker>>,
    secret_format: KeyFormat,
}

impl TokenIssuer {
    /// Returns a builder for the issuer with this identifier, an `https` URL, and these clients and keys.
    ///
    /// # Errors
    ///
    /// If the identifier is not an `https` URL without a query, a fragment and a slash at its end
    /// ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)); `http` is accepted for a loopback host.
    pub fn builder(
        name: &str,
        clients: impl ClientStore,
        keys: SigningKeys,
    ) -> Result<TokenIssuerBuilder, ConfigError> {
        TokenIssuerBuilder::new(name, clients, keys)
    }

    /// Generates a secret for a client, and its digest under the newest pepper.
    ///
    /// # Errors
    ///
    /// If the system's random generator fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::Algorithm;
    /// use tower_warden_issuer::{
    ///     Client, ClientAuthentication, ClientSecrets, MemoryClientStore, SigningKeys, TokenIssuer,
    /// };
    ///
    /// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
    /// let issuer = TokenIssuer::builder("https://auth.example.com", clients.clone(), keys)?.build()?;
    ///
    /// let (secret, digest) = issuer.generate_secret()?;
    /// let basic = ClientAuthentication::SecretBasic(ClientSecrets::new(digest));
    /// clients.insert(Client::new("agent-7", "https://orders.example.com")?.authentication(basic));
    /// println!("shown once: {}", secret.expose());
    /// assert_eq!(format!("{secret:?}"), "KeySecret(..)");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn generate_secret(&self) -> Result<(KeySecret, KeyDigest), ConfigError> {
        self.0.generate_secret()
    }

    /// The identifier: `iss` of its tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its keys, which are a [`KeySource`](tower_warden::jwt::KeySource) for resource servers in the same process.
    #[must_use]
    pub fn keys(&self) -> SigningKeys {
        self.0.keys.clone()
    }

    /// Publishes a key that will replace the current one, and returns the time from which it signs. See [`SigningKeys`].
    ///
    /// # Errors
    ///
    /// If the store of the keys does not answer, or what it has cannot be used.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{Environment, ManualClock, UnixTime, jwt::Algorithm};
    /// use tower_warden_issuer::{MemoryClientStore, SigningKey, SigningKeys, TokenIssuer};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let now = UnixTime::from_secs(1_800_000_000);
    /// let environment = Environment::default().with_clock(ManualClock::at(now));
    /// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
    /// let issuer =
    ///     TokenIssuer::builder("https://auth.example.com", clients, keys)?.environment(&environment).build()?;
    ///
    /// let signs_from = issuer.rotate_keys(SigningKey::generate(Algorithm::ES256)?).await?;
    /// assert_eq!(signs_from, now + SigningKeys::LEAD);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn rotate_keys(&self, next: SigningKey) -> Result<UnixTime, SigningKeysError> {
        self.0.keys.publish(&next, self.0.clock.now()).await
    }

    /// Removes a key that was disclosed, at once: tokens that it signed are refused. Other nodes follow: see
    /// [`SigningKeys`].
    ///
    /// If it is the key that signs, the one before it signs again if that is still published; otherwise the next one signs,
    /// whether caches have it already or not.
    ///
    /// # Errors
    ///
    /// If there is no such key, or no other one: publish one first. If the store of the keys does not answer.
    pub async fn withdraw_key(&self, kid: &str) -> Result<(), SigningKeysError> {
        self.0.keys.withdraw(kid, self.0.clock.now()).await
    }

    /// The key set in JSON ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
    pub async fn jwk_set(&self) -> String {
        self.0.keys.jwk_set(self.0.clock.now()).await.to_string()
    }

    /// The metadata in JSON ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)). It states only what is
    /// implemented.
    #[must_use]
    pub fn metadata(&self) -> String {
        self.0.metadata().to_string()
    }
}

impl Inner {
    pub(crate) fn metadata(&self) -> Value {
        let mut methods = vec!["client_secret_basic", "client_secret_post", "private_key_jwt"];
        if self.has_mutual_tls {
            methods.extend(["self_signed_tls_client_auth", "tls_client_auth"]);
        }
        const ALGORITHMS: [&str; 5] = ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"];
        let mut metadata = json!({
            // It has no response type. RFC 8414 §2 does not require it, but clients do: the SDKs of MCP.
            "authorization_endpoint": self.url(paths::AUTHORIZE),
            "dpop_signing_alg_values_supported": algorithm_names(self.dpop.allowed_algorithms()),
            "grant_types_supported": self.grants().map(GrantType::as_str).collect::<Vec<_>>(),
            "introspection_endpoint": self.url(paths::INTROSPECT),
            "introspection_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
            "issuer": self.name,
            "jwks_uri": self.url(paths::JWK_SET),
            // Required by RFC 8414 §2.
            "response_types_supported": [],
            "token_endpoint": self.url(paths::TOKEN),
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        });
        if self.jwt_bearer.as_ref().is_some_and(AssertionGrants::has_identity_assertions) {
            metadata["authorization_grant_profiles_supported"] = json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
        }
        if self.has_mutual_tls {
            metadata["tls_client_certificate_bound_access_tokens"] = true.into();
        }
        if self.revocations.is_some() {
            metadata["revocation_endpoint"] = self.url(paths::REVOKE).into();
            metadata["revocation_endpoint_auth_methods_supported"] = methods.into();
            metadata["revocation_endpoint_auth_signing_alg_values_supported"] = ALGORITHMS.into();
        }
        if let Some(development) = &self.development {
            development.describe(&self.name, &mut metadata);
        }
        metadata
    }

    /// A new secret, and its digest under the newest pepper.
    pub(crate) fn generate_secret(&self) -> Result<(KeySecret, KeyDigest), ConfigError> {
        let secret = self.secret_format.generate()?;
        let digest = match self.peppers.first() {
            Some(pepper) => pepper.digest(secret.expose()),
            None => KeyDigest::sha256(secret.expose()),
        };
        Ok((secret, digest))
    }

    /// The grants that are supported.
    pub(crate) fn grants(&self) -> impl Iterator<Item = GrantType> {
        GrantType::ALL.into_iter().filter(|grant| match grant {
            GrantType::AuthorizationCode => self.development.is_some(),
            GrantType::ClientCredentials => true,
            GrantType::JwtBearer => self.jwt_bearer.is_some(),
            GrantType::RefreshToken => self.refresh.is_some(),
            GrantType::TokenExchange => self.exchange.is_some(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.name)
    }

    /// The path of the identifier; empty if it is an origin.
    pub(crate) fn base_path(&self) -> &str {
        let authority = self.name.find("://").map_or(0, |scheme| scheme + "://".len());
        self.name[authority..].find('/').map_or("", |path| &self.name[authority + path..])
    }
}

/// The names of algorithms. Clients know Ed25519 by one of two.
fn algorithm_names(algorithms: &[Algorithm]) -> Vec<&'static str> {
    let names = algorithms.iter().flat_map(|algorithm| {
        let alias = (*algorithm == Algorithm::EdDSA).then_some("Ed25519");
        iter::once(algorithm.as_str()).chain(alias)
    });
    names.collect()
}

/// The paths of the endpoints, after that of the identifier.
pub(crate) mod paths {
    pub(crate) const AGENT_REFRESH: &str = "/auth/refresh";
    pub(crate) const AGENT_TOKEN: &str = "/auth/token";
    pub(crate) const AUTHORIZE: &str = "/oauth/authorize";
    pub(crate) const INTROSPECT: &str = "/oauth/introspect";
    pub(crate) const JWK_SET: &str = "/oauth/jwks";
    pub(crate) const REVOKE: &str = "/oauth/revoke";
    pub(crate) const TOKEN: &str = "/oauth/token";
    /// RFC 8414 §3: before the path of the identifier.
    pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { keys, lifetime, name, .. } = &*self.0;
        let mut debug = f.debug_struct("TokenIssuer");
        debug.field("keys", keys).field("lifetime", lifetime).field("name", name).finish_non_exhaustive()
    }
}
