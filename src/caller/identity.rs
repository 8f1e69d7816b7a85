//! Who a caller is: asserted by an authenticator, then vouched for by the crate.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, HeaderName, header};

use super::confirmation::Confirmation;
use crate::{
    log,
    refusal::{Rejection, RejectionKind},
    request::Network,
    scheme::Challenge,
    scope::{Requirement, Scope, ScopeHierarchy, Scopes},
    time::UnixTime,
};

/// What an authenticator asserts of a caller; not yet to be trusted.
///
/// Only [`AuthLayer`](crate::layer::AuthLayer) turns it into a [`Principal`], after it looked at the expiry, at
/// what the credential is bound to, at the networks and at what was revoked, on each request, whether the identity comes
/// from a cache or not.
#[derive(Clone)]
#[non_exhaustive]
pub struct Identity {
    /// How the subject authenticated to the issuer, RFC 9470 §6: the authentication context class.
    pub acr: Option<Box<str>>,
    /// Who acts, if it is not the subject: the actor first, then those who acted for it (RFC 8693 §4.1).
    pub actors: Vec<Actor>,
    /// When the subject authenticated to the issuer, RFC 9470 §6.
    pub auth_time: Option<UnixTime>,
    /// What the token says, as JSON: an object.
    pub claims: Option<Box<str>>,
    /// By which client the token was asked for, RFC 8693 §4.3.
    pub client_id: Option<Box<str>>,
    /// To whose certificate or key it is bound; none means whoever has it may use it.
    pub confirmation: Option<Confirmation>,
    /// When it ends; it is refused from this second on.
    pub expires_at: Option<UnixTime>,
    /// When it was issued.
    pub issued_at: Option<UnixTime>,
    /// Who issued the token, RFC 7519 §4.1.1.
    pub issuer: Option<Box<str>>,
    /// The API key's id.
    pub key_id: Option<Box<str>>,
    /// What the issuer attached to it.
    pub metadata: BTreeMap<Box<str>, Box<str>>,
    /// How the caller authenticated.
    pub method: AuthMethod,
    /// Where it may come from; none means anywhere.
    pub networks: Vec<Network>,
    /// The roles of the subject, RFC 9068 §2.2.3.1.
    pub roles: Vec<Box<str>>,
    /// What it may do.
    pub scopes: Scopes,
    /// The session in which the token was issued: the claim `sid`.
    pub session_id: Option<Box<str>>,
    /// How far the issuer's clock may differ from ours: so much later than `expires_at` it is refused, in whole seconds.
    pub skew: Duration,
    /// For whom the caller acts.
    pub subject: Box<str>,
    /// To whom the subject belongs.
    pub tenant: Option<Box<str>>,
    /// Which rate limits apply.
    pub tier: Option<Box<str>>,
    /// The token's own id: the claim `jti`, RFC 7519 §4.1.7.
    pub token_id: Option<Box<str>>,
    /// Who wants to know that it was let in.
    pub(crate) on_admission: Option<Arc<dyn OnAdmission>>,
}

/// Is told of each request that was let in.
pub(crate) trait OnAdmission: Send + Sync {
    fn admitted(&self, now: UnixTime);
}

impl Identity {
    /// An identity that never expires, may come from anywhere, and holds no scope.
    #[must_use]
    pub fn new(subject: impl Into<Box<str>>, method: AuthMethod) -> Self {
        Self {
            acr: None,
            actors: Vec::new(),
            auth_time: None,
            claims: None,
            client_id: None,
            confirmation: None,
            expires_at: None,
            issued_at: None,
            issuer: None,
            key_id: None,
            metadata: BTreeMap::new(),
            method,
            networks: Vec::new(),
            roles: Vec::new(),
            scopes: Scopes::default(),
            session_id: None,
            skew: Duration::ZERO,
            subject: subject.into(),
            tenant: None,
            tier: None,
            token_id: None,
            on_admission: None,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the claims: who knows what an issuer puts there.
        f.debug_struct("Identity")
            .field("acr", &self.acr)
            .field("actors", &self.actors)
            .field("auth_time", &self.auth_time)
            .field("client_id", &self.client_id)
            .field("confirmation", &self.confirmation)
            .field("expires_at", &self.expires_at)
            .field("issued_at", &self.issued_at)
            .field("issuer", &self.issuer)
            .field("key_id", &self.key_id)
            .field("metadata", &self.metadata)
            .field("method", &self.method)
            .field("networks", &self.networks)
            .field("roles", &self.roles)
            .field("scopes", &self.scopes)
            .field("session_id", &self.session_id)
            .field("subject", &self.subject)
            .field("tenant", &self.tenant)
            .field("tier", &self.tier)
            .field("token_id", &self.token_id)
            .finish_non_exhaustive()
    }
}

/// How a caller authenticated.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// By an API key.
    ApiKey,
    /// By a client certificate alone.
    ClientCertificate,
    /// By an authenticator of the user's own.
    Custom(&'static str),
    /// By a token that its issuer was asked about, RFC 7662.
    Introspection,
    /// By a JWT access token.
    Jwt,
}

impl AuthMethod {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::ClientCertificate => "client_certificate",
            Self::Custom(name) => name,
            Self::Introspection => "introspection",
            Self::Jwt => "jwt",
        }
    }
}

/// Somebody who acts for the subject, RFC 8693 §4.1.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Actor {
    /// Who issued the name, if it was not the issuer of the token.
    pub issuer: Option<Box<str>>,
    /// Who.
    pub subject: Box<str>,
}

impl Actor {
    /// Names an actor.
    #[must_use]
    pub fn new(subject: impl Into<Box<str>>) -> Self {
        Self { issuer: None, subject: subject.into() }
    }
}

/// A caller that the crate vouches for.
///
/// Nobody else can make one, so whoever holds one knows that every check has passed:
///
/// ```compile_fail
/// # use std::sync::Arc;
/// # use tower_warden::{AuthMethod, Identity, Principal};
/// let forged = Principal::vouched(Arc::new(Identity::new("root", AuthMethod::ApiKey)));
/// ```
#[derive(Clone, Debug)]
pub struct Principal {
    identity: Arc<Identity>,
    terms: Arc<Terms>,
    admitted_at: UnixTime,
}

/// What one layer holds its callers to; on lines of memory of its own, because each request counts a reference.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(crate) struct Terms {
    pub(crate) api_key_header: Option<HeaderName>,
    pub(crate) challenge: Arc<Challenge>,
    /// For requests whose token came under the scheme `DPoP`.
    pub(crate) dpop_challenge: Arc<Challenge>,
    pub(crate) hierarchy: ScopeHierarchy,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            api_key_header: Some(HeaderName::from_static("x-api-key")),
            challenge: Arc::default(),
            dpop_challenge: Arc::default(),
            hierarchy: ScopeHierarchy::default(),
        }
    }
}

impl Principal {
    /// Vouches for an identity; to be called after its checks, and nowhere else.
    pub(crate) const fn vouched(identity: Arc<Identity>, terms: Arc<Terms>, now: UnixTime) -> Self {
        Self { identity, terms, admitted_at: now }
    }

    /// What refusals of this caller's requests name.
    pub(crate) fn challenge(&self) -> &Arc<Challenge> {
        // A token that is bound to a key came under no other scheme.
        match self.confirmation().and_then(Confirmation::key_thumbprint) {
            Some(_) => &self.terms.dpop_challenge,
            None => &self.terms.challenge,
        }
    }

    /// Marks the credential, wherever it came, so that nobody prints it.
    pub(crate) fn conceal(&self, headers: &mut HeaderMap) {
        // There is one credential, so it is in one of the two.
        if let Some(credential) = headers.get_mut(header::AUTHORIZATION) {
            credential.set_sensitive(true);
        } else if let Some(credential) = self.terms.api_key_header.as_ref().and_then(|name| headers.get_mut(name)) {
            credential.set_sensitive(true);
        }
    }

    /// For whom the caller acts: a user, a service, an agent.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.identity.subject
    }

    /// To whom the subject belongs.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.identity.tenant.as_deref()
    }

    /// The scopes that were granted, as they were granted; [`holds`](Self::holds) counts what they imply too.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.identity.scopes
    }

    /// Whether the caller has the scope, or one that implies it.
    #[must_use]
    pub fn holds(&self, scope: &Scope) -> bool {
        self.terms.hierarchy.grants(&self.identity.scopes, scope)
    }

    /// Whether the caller's scopes meet the requirement.
    #[must_use]
    pub fn meets<R: Requirement>(&self) -> bool {
        R::is_met(&|scope| self.holds(scope))
    }

    /// How the caller authenticated.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        self.identity.method
    }

    /// The API key's id; it is no secret.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.identity.key_id.as_deref()
    }

    /// Which rate limits apply.
    #[must_use]
    pub fn tier(&self) -> Option<&str> {
        self.identity.tier.as_deref()
    }

    /// When the credential was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.identity.issued_at
    }

    /// To which certificate or key the credential is bound; the sender has proved to hold it.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.identity.confirmation.as_ref()
    }

    /// When the credential ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.identity.expires_at
    }

    /// What the issuer attached to the credential.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<Box<str>, Box<str>> {
        &self.identity.metadata
    }

    /// Who acts, if it is not the subject: the outermost `act` of RFC 8693 §4.1, the one that counts.
    ///
    /// So a log can say that an agent did something for a user.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.identity.actors.first()
    }

    /// The actor first, then those who acted before it, for information only. Empty for API keys.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.identity.actors
    }

    /// Who issued the token; `None` for API keys. A subject means something only together with it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.identity.issuer.as_deref()
    }

    /// By which client the token was asked for.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.identity.client_id.as_deref()
    }

    /// The roles of the subject, where the issuer was told in which claim they stand.
    #[must_use]
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.identity.roles.iter().map(|role| &**role)
    }

    /// The token's own id: the claim `jti`.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.identity.token_id.as_deref()
    }

    /// The session in which the token was issued: the claim `sid`.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.identity.session_id.as_deref()
    }

    /// How the subject authenticated to the issuer: the authentication context class of RFC 9470 §6.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.identity.acr.as_deref()
    }

    /// When the subject authenticated to the issuer, RFC 9470 §6.
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.identity.auth_time
    }

    /// What the token says, as JSON: an object, as the issuer has written it. `None` for API keys.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        self.identity.claims.as_deref()
    }

    /// When this request was let in, by the layer's clock.
    #[must_use]
    pub const fn admitted_at(&self) -> UnixTime {
        self.admitted_at
    }
}

/// Nobody: a request without a credential, under an optional layer.
#[derive(Clone, Debug)]
pub(crate) struct Anonymous(Arc<Challenge>);

impl Anonymous {
    pub(crate) fn new(challenge: &Arc<Challenge>) -> Self {
        Self(Arc::clone(challenge))
    }
}

/// The caller whom the layer above has let through.
///
/// 401 if it let nobody through, and 500 if there is no such layer: a mistake of the server, which must not look like
/// one of the client's, nor let anybody in.
pub(crate) fn caller(extensions: &Extensions) -> Result<&Principal, Rejection> {
    if let Some(principal) = extensions.get::<Principal>() {
        return Ok(principal);
    }
    match extensions.get::<Anonymous>() {
        Some(anonymous) => Err(Rejection::new(RejectionKind::Missing, "credential_missing").challenge(&anonymous.0)),
        None => {
            log::error!("AuthLayer is missing around this route; the request is answered with 500");
            Err(Rejection::new(RejectionKind::Internal, "auth_layer_missing"))
        }
    }
}
