use std::{sync::Arc, time::Duration};

use super::algorithm::Algorithm;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    url,
};

/// An issuer whose access tokens are accepted, and what they must claim.
///
/// Strict by default: `iss` and `aud` are compared as they stand, `exp` must be there, a claim of the wrong type is
/// refused, and so are ID tokens. Used by [`Jwt`](super::Jwt), and for introspection as well.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::jwt::{Algorithm, Issuer};
///
/// let issuer = Issuer::new("https://auth.example.com", "https://api.example.com")?
///     .algorithms([Algorithm::ES256])?
///     .skew(Duration::from_secs(10))?
///     .tenant_claim("org")
///     .strict();
///
/// assert!(Issuer::new("http://auth.example.com", "https://api.example.com").is_err(), "not https");
/// assert!(Issuer::new("https://auth.example.com", "").is_err(), "no audience");
/// assert!(issuer.algorithms([]).is_err(), "no algorithm");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(super) actors: Actors,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) audience_claim: Box<str>,
    /// `None` for any.
    pub(super) audiences: Option<Vec<Box<str>>>,
    pub(super) ignored_confirmations: Vec<Box<str>>,
    pub(super) max_lifetime: Duration,
    pub(super) name: Box<str>,
    pub(super) needs_expiry: bool,
    pub(super) needs_token_id: bool,
    pub(super) other_audiences: OtherAudiences,
    pub(super) profile: Profile,
    pub(super) required: Vec<(Box<str>, Box<str>)>,
    pub(super) roles: Option<Box<str>>,
    pub(super) scopes: Vec<Box<str>>,
    pub(super) skew: Duration,
    pub(super) tenant: Tenant,
    pub(super) tier: Option<Box<str>>,
}

/// Who may act for a subject, RFC 8693 §4.1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Actors {
    Accepted,
    Denied,
    Required,
}

/// Whether a token for us may be for others too.
#[derive(Clone, Copy, Debug)]
pub(super) enum OtherAudiences {
    Accepted,
    Refused,
}

/// Which kinds of token are accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Profile {
    /// Whatever is not of a kind of its own.
    Any,
    /// And no ID token.
    Common,
    /// RFC 9068.
    Strict,
}

/// Whose the issuer's subjects are.
#[derive(Clone, Debug)]
pub(super) enum Tenant {
    Claim(Box<str>),
    Fixed(Box<str>),
    None,
}

impl Issuer {
    /// Accepts tokens of the issuer `name` for `audience`: the value of `iss`, and one that must be in `aud`.
    ///
    /// # Errors
    ///
    /// If one is empty, or `name` is an `http` URL; `http` is accepted for a loopback host.
    pub fn new(name: &str, audience: &str) -> Result<Self, ConfigError> {
        if name.is_empty() || url::is_insecure(name) {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "an issuer is an https URL, or another name"));
        }
        let issuer = Self {
            actors: Actors::Accepted,
            algorithms: Algorithm::DEFAULT.to_vec(),
            audience_claim: "aud".into(),
            audiences: Some(Vec::new()),
            ignored_confirmations: Vec::new(),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            name: name.into(),
            needs_expiry: true,
            needs_token_id: false,
            other_audiences: OtherAudiences::Accepted,
            profile: Profile::Common,
            required: Vec::new(),
            roles: None,
            scopes: ["scope", "scp", "scopes"].map(Into::into).to_vec(),
            skew: Duration::from_secs(60),
            tenant: Tenant::None,
            tier: None,
        };
        issuer.accept_audience(audience)
    }

    /// The value of `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The algorithms that its tokens may be signed with: [`Algorithm::DEFAULT`] by default.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, ConfigError> {
        self.algorithms = algorithms.into_iter().collect();
        if self.algorithms.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "at least one algorithm is accepted"));
        }
        Ok(self)
    }

    /// Accepts tokens for another audience too.
    ///
    /// # Errors
    ///
    /// If it is empty.
    pub fn accept_audience(mut self, audience: &str) -> Result<Self, ConfigError> {
        if audience.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Audience, "an audience is not empty"));
        }
        self.audiences.get_or_insert_default().push(audience.into());
        Ok(self)
    }

    /// The claim in which the audience stands, for issuers that have no `aud`: `client_id` in Cognito's access tokens.
    #[must_use]
    pub fn audience_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.audience_claim = name.into();
        self
    }

    /// Refuses tokens that are for others besides one of our audiences, who could use them here.
    #[must_use]
    pub const fn refuse_other_audiences(mut self) -> Self {
        self.other_audiences = OtherAudiences::Refused;
        self
    }

    /// By how much the issuer's clock may differ from ours, in whole seconds: 60 by default.
    ///
    /// # Errors
    ///
    /// If it is more than 300 seconds.
    pub fn skew(mut self, skew: Duration) -> Result<Self, ConfigError> {
        if skew > Duration::from_secs(300) {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "clocks differ by 300 seconds at the most"));
        }
        self.skew = skew;
        Ok(self)
    }

    /// For how long a token may be good, from `iat` or else from now to `exp`, in whole seconds: 24 hours by default.
    #[must_use]
    pub const fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Accepts RFC 9068 only: `typ` must be `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` must
    /// be there.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.profile = Profile::Strict;
        self
    }

    /// Refuses tokens without `jti`, which cannot be revoked one by one.
    #[must_use]
    pub const fn require_jti(mut self) -> Self {
        self.needs_token_id = true;
        self
    }

    /// Refuses tokens in which the claim `name` is not the text `value`, such as Cognito's `token_use`, `access`.
    #[must_use]
    pub fn require_claim(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.required.push((name.into(), value.into()));
        self
    }

    /// Refuses tokens without an actor: the subject itself may not come (RFC 8693 §4.1).
    #[must_use]
    pub const fn require_actor(mut self) -> Self {
        self.actors = Actors::Required;
        self
    }

    /// Refuses tokens with an actor: nobody may come for the subject.
    #[must_use]
    pub const fn deny_actors(mut self) -> Self {
        self.actors = Actors::Denied;
        self
    }

    /// Passes over this member of `cnf`, which some issuers put beside `x5t#S256` or `jkt`. Others that are not understood
    /// refuse the token (RFC 7800 §3.1).
    #[must_use]
    pub fn ignore_confirmation(mut self, member: impl Into<Box<str>>) -> Self {
        self.ignored_confirmations.push(member.into());
        self
    }

    /// Takes scopes from this claim besides `scope`, `scp` and `scopes`: such as Auth0's `permissions`.
    ///
    /// Each may be a text, in which scopes are separated by spaces, or a list of texts. A claim of another type grants
    /// nothing.
    #[must_use]
    pub fn scopes_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.scopes.push(name.into());
        self
    }

    /// Takes the tenant from this claim, and refuses tokens without it.
    ///
    /// The claim is named, or shown by a JSON pointer (RFC 6901) if it begins with a slash: `/org/id`.
    #[must_use]
    pub fn tenant_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.tenant = Tenant::Claim(place.into());
        self
    }

    /// Gives all subjects of this issuer one tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Tenant::Fixed(tenant.into());
        self
    }

    /// Takes roles from this claim, a text or a list of texts; named as in [`tenant_claim`](Self::tenant_claim):
    /// `/realm_access/roles` for Keycloak.
    #[must_use]
    pub fn roles_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.roles = Some(place.into());
        self
    }

    /// Takes the tier, which chooses rate limits, from this claim; named as in [`tenant_claim`](Self::tenant_claim).
    #[must_use]
    pub fn tier_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.tier = Some(place.into());
        self
    }

    /// Accepts tokens that look like ID tokens, which have `nonce`, `at_hash` or `c_hash`: some issuers put these into
    /// access tokens.
    ///
    /// An ID token is shown to many who are not the API. Only `aud` keeps it out then.
    #[must_use]
    pub const fn danger_accept_id_tokens(mut self) -> Self {
        self.profile = Profile::Any;
        self
    }

    /// Accepts tokens for any audience, or none: whoever receives a token of this issuer can use it here.
    #[must_use]
    pub fn danger_any_audience(mut self) -> Self {
        self.audiences = None;
        self
    }
}

impl Issuer {
    /// For issuers that are asked about each token: when it ends need not be told.
    #[cfg(feature = "introspection")]
    #[allow(dead_code, reason = "introspection is under way")]
    pub(crate) const fn with_optional_expiry(mut self) -> Self {
        self.needs_expiry = false;
        self
    }
}

/// An issuer and its keys.
#[derive(Clone)]
pub(super) struct Trusted {
    pub(super) issuer: Issuer,
    pub(super) keys: Arc<dyn super::source::KeySource>,
}
