use std::{fmt, sync::Arc, time::Duration};

use tower_warden::{
    Clock, ConfigError, Environment, SystemClock,
    api_key::{KeyFormat, Pepper},
    dpop::{Dpop, PathRewrite},
    metadata::ProtectedResourceMetadata,
    replay::{MemoryReplayGuard, ReplayGuard},
};

use super::{Inner, TokenIssuer, decoy::Decoy};
use crate::{
    AutoConsent, ClaimsSource, ClientStore, JwtBearer, KeyOwners, RefreshTokens, Revoker, SigningKeys, TokenExchange,
    claims::NoClaims,
    endpoint::{Development, own_tokens},
};

/// Configures a [`TokenIssuer`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_issuer::{ClaimsRequest, ExtraClaims, MemoryClientStore, SigningKeys, TokenIssuer};
///
/// let builder = |name| {
///     TokenIssuer::builder(name, MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?)
/// };
/// let issuer = builder("https://auth.example.com")?
///     .access_token_lifetime(Duration::from_secs(600))?
///     .claims(|request: &ClaimsRequest<'_>| Ok(ExtraClaims::default()))
///     .build()?;
/// assert_eq!(issuer.name(), "https://auth.example.com");
///
/// assert!(builder("http://auth.example.com").is_err(), "not https");
/// assert!(builder("https://auth.example.com")?.access_token_lifetime(Duration::from_secs(86_400)).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[must_use]
pub struct TokenIssuerBuilder {
    api_keys: Option<KeyOwners>,
    claims: Arc<dyn ClaimsSource>,
    clients: Arc<dyn ClientStore>,
    clock: Arc<dyn Clock>,
    consent: Option<AutoConsent>,
    dpop: Option<Dpop>,
    exchange: Option<TokenExchange>,
    guard: Arc<dyn ReplayGuard>,
    has_agent_api: bool,
    has_mutual_tls: bool,
    jwt_bearer: Option<JwtBearer>,
    keys: SigningKeys,
    lifetime: Duration,
    name: Box<str>,
    peppers: Vec<Pepper>,
    refresh: Option<RefreshTokens>,
    revocations: Option<Arc<dyn Revoker>>,
}

impl TokenIssuerBuilder {
    pub(super) fn new(name: &str, clients: impl ClientStore, keys: SigningKeys) -> Result<Self, ConfigError> {
        // The same rules as for the URL of a resource.
        let is_url = ProtectedResourceMetadata::new(name).is_ok();
        if !is_url || name.contains(['?', '#']) || name.ends_with('/') {
            let message =
                "an issuer is an https URL (http for a loopback host) without a query, a fragment and a final slash";
            let error = ConfigError::custom(message);
            // A user name, a query and a fragment may be secret.
            return Err(if name.contains(['?', '#', '@']) { error } else { error.value(name) });
        }
        Ok(Self {
            api_keys: None,
            claims: Arc::new(NoClaims),
            clients: Arc::new(clients),
            clock: Arc::new(SystemClock::default()),
            consent: None,
            dpop: None,
            exchange: None,
            guard: Arc::new(MemoryReplayGuard::default()),
            has_agent_api: false,
            has_mutual_tls: false,
            jwt_bearer: None,
            keys,
            lifetime: Duration::from_secs(15 * 60),
            name: name.into(),
            peppers: Vec::new(),
            refresh: None,
            revocations: None,
        })
    }

    /// Sets the lifetime of access tokens, in whole seconds: 15 minutes by default.
    ///
    /// # Errors
    ///
    /// If it is not 5 to 30 minutes.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        if !(5 * 60..=30 * 60).contains(&lifetime.as_secs()) {
            let message = "the lifetime of access tokens is 5 to 30 minutes";
            return Err(ConfigError::custom(message).value(format_args!("{lifetime:?}")));
        }
        self.lifetime = lifetime;
        Ok(self)
    }

    /// Adds the endpoints `/auth/token` and `/auth/refresh`, which take JSON as APIs for agents do: see the
    /// [crate docs](crate#json-for-agents).
    pub const fn agent_api(mut self) -> Self {
        self.has_agent_api = true;
        self
    }

    /// Accepts the owners of API keys as clients. Without it, only registered clients are.
    pub fn api_keys(mut self, owners: KeyOwners) -> Self {
        self.api_keys = Some(owners);
        self
    }

    /// Supports authorization codes, which are granted without asking anyone: for development. It needs
    /// [`revocations`](Self::revocations) or [`refresh_tokens`](Self::refresh_tokens), so that the second use of a code revokes
    /// what the first has yielded.
    pub fn auto_consent(mut self, consent: AutoConsent) -> Self {
        self.consent = Some(consent);
        self
    }

    /// Sets the source of further claims, a closure for example. It is called for each token, so that a suspended account
    /// gets no more of them.
    pub fn claims(mut self, claims: impl ClaimsSource) -> Self {
        self.claims = Arc::new(claims);
        self
    }

    /// Sets the clock: that of the machine by default.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Adds a pepper for the digests of client secrets, the newest first. With peppers, digests without one are not
    /// accepted.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.peppers.push(pepper);
        self
    }

    /// Sets the verifier of DPoP proofs: one for the URL of the issuer by default, without nonces and with a guard in memory.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.dpop = Some(dpop);
        self
    }

    /// Supports revocation of tokens at an endpoint ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)), by the list that
    /// the APIs query: that of [`refresh_tokens`](Self::refresh_tokens) by default.
    pub fn revocations(mut self, list: impl Revoker) -> Self {
        self.revocations = Some(Arc::new(list));
        self
    }

    /// Supports refresh tokens, with these settings. Without them, the grant is not supported.
    pub fn refresh_tokens(mut self, refresh: RefreshTokens) -> Self {
        self.refresh = Some(refresh);
        self
    }

    /// Supports the grant of assertions, with these settings. Without them, the grant is not supported.
    pub fn jwt_bearer(mut self, grants: JwtBearer) -> Self {
        self.jwt_bearer = Some(grants);
        self
    }

    /// Uses the client certificates of connections ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)): to authenticate clients,
    /// and to bind tokens. The metadata states so.
    ///
    /// The certificate is a [`PeerCertificate`](tower_warden::certificate::PeerCertificate) in the extensions of the request: the
    /// `TlsListener` of the crate `tower-warden-tls` inserts it, or behind a proxy a
    /// [`ForwardedCertificateLayer`](https://docs.rs/tower-warden/latest/tower_warden/layer/struct.ForwardedCertificateLayer.html).
    pub const fn mutual_tls(mut self) -> Self {
        self.has_mutual_tls = true;
        self
    }

    /// Sets the guard that records assertions, each of which is accepted once: a [`MemoryReplayGuard`] by
    /// default, which works for one node.
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.guard = Arc::new(guard);
        self
    }

    /// Supports token exchange, with these settings. Without them, the grant is not supported.
    pub fn token_exchange(mut self, exchange: TokenExchange) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// Builds the issuer.
    ///
    /// # Errors
    ///
    /// If the system's random generator fails, the keys are the stored ones of another issuer, DPoP proofs cannot name
    /// the identifier, or it is that of an issuer whose assertions or tokens are accepted; with [`AutoConsent`], if the
    /// identifier is not a URL of a loopback host, or there is no list of revocations.
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        if let Some(other) = self.keys.issuer().filter(|issuer| *issuer != &*self.name) {
            return Err(ConfigError::custom("the stored signing keys are those of another issuer").value(other));
        }
        if let Some(exchange) = &self.exchange {
            exchange.check(&self.name)?;
        }
        // The current key begins to sign now, so that its first period does.
        self.keys.begin(self.clock.now());
        let dpop = match self.dpop {
            Some(dpop) => dpop,
            None => Dpop::new(&self.name)?.path_rewrite(PathRewrite::Unchanged)?,
        };
        let of_refresh_tokens = self.refresh.as_ref().map(|refresh| Arc::clone(&refresh.revoker));
        let revocations = self.revocations.or(of_refresh_tokens);
        if self.consent.is_some() && revocations.is_none() {
            let message =
                "`auto_consent` needs `revocations` or `refresh_tokens`: a code that is used twice revokes its tokens";
            return Err(ConfigError::custom(message));
        }
        let development = self.consent.map(|consent| Development::new(consent, &self.name)).transpose()?;
        let registered = match &development {
            Some(development) => development.registered(self.clients),
            None => self.clients,
        };
        let clients = match &development {
            Some(development) => development.clients(Arc::clone(&registered), Arc::clone(&self.clock), &self.name),
            None => Arc::clone(&registered),
        };
        Ok(TokenIssuer(Arc::new(Inner {
            api_keys: self.api_keys,
            claims: self.claims,
            clients,
            clock: self.clock,
            decoy: Decoy::generate()?,
            development,
            dpop,
            exchange: self.exchange,
            guard: self.guard,
            has_agent_api: self.has_agent_api,
            has_mutual_tls: self.has_mutual_tls,
            jwt_bearer: self.jwt_bearer.map(|grants| grants.verify_for(&self.name)).transpose()?,
            own: own_tokens(&self.name, self.keys.clone())?,
            keys: self.keys,
            lifetime: self.lifetime,
            name: self.name,
            peppers: self.peppers,
            refresh: self.refresh,
            registered,
            revocations,
            secret_format: KeyFormat::new("cs")?,
        })))
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
