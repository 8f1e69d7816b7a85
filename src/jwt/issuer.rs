use std::{sync::Arc, time::Duration};

use super::algorithm::Algorithm;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    url,
};

/// An issuer whose access tokens are accepted, and the requirements on their claims.
///
/// Strict by default: `iss` and `aud` are compared byte for byte, `exp` is required, and claims of the wrong type and ID
/// tokens are refused. Used by [`Jwt`](super::Jwt) and for token introspection.
///
/// # Examples
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
    /// `None` if any audience is accepted.
    pub(super) audiences: Option<Vec<Box<str>>>,
    pub(super) ignored_confirmations: Vec<Box<str>>,
    pub(super) max_grants: usize,
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

/// The treatment of tokens with and without an actor, RFC 8693 §4.1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Actors {
    Accepted,
    Denied,
    Required,
}

/// The treatment of tokens that have other audiences as well.
#[derive(Clone, Copy, Debug)]
pub(super) enum OtherAudiences {
    Accepted,
    Refused,
}

/// The kinds of token that are accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Profile {
    /// All tokens without a `typ` that marks another kind.
    Any,
    /// The same without ID tokens.
    Common,
    /// RFC 9068.
    Strict,
}

/// The tenant of the issuer's subjects.
#[derive(Clone, Debug)]
pub(super) enum Tenant {
    Claim(Box<str>),
    Fixed(Box<str>),
    None,
}

impl Issuer {
    /// Accepts tokens whose `iss` is `name` and whose `aud` contains `audience`.
    ///
    /// # Errors
    ///
    /// If one of them is empty, or `name` is an `http` URL; `http` is accepted for a loopback host.
    pub fn new(name: &str, audience: &str) -> Result<Self, ConfigError> {
        if name.is_empty() || url::is_insecure(name) {
            let message = "an issuer is an https URL (http for a loopback host), or a name that is not a URL";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(name)));
        }
        let issuer = Self {
            actors: Actors::Accepted,
            algorithms: Algorithm::DEFAULT.to_vec(),
            audience_claim: "aud".into(),
            audiences: Some(Vec::new()),
            ignored_confirmations: Vec::new(),
            max_grants: 1_000,
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

    /// Sets the algorithms that tokens may be signed with: [`Algorithm::DEFAULT`] by default.
    ///
    /// # Errors
    ///
    /// If the list is empty.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, ConfigError> {
        self.algorithms = algorithms.into_iter().collect();
        if self.algorithms.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "an issuer needs at least one algorithm"));
        }
        Ok(self)
    }

    /// Accepts tokens for this audience as well.
    ///
    /// # Errors
    ///
    /// If it is empty.
    pub fn accept_audience(mut self, audience: &str) -> Result<Self, ConfigError> {
        if audience.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Audience, "an audience is a text that is not empty"));
        }
        self.audiences.get_or_insert_default().push(audience.into());
        Ok(self)
    }

    /// Reads the audience from this claim instead of `aud`, such as `client_id` in the access tokens of Cognito.
    #[must_use]
    pub fn audience_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.audience_claim = name.into();
        self
    }

    /// Refuses tokens that have further audiences, each of which could use the token here.
    #[must_use]
    pub const fn refuse_other_audiences(mut self) -> Self {
        self.other_audiences = OtherAudiences::Refused;
        self
    }

    /// Sets the tolerated difference between the issuer's clock and the local one, in whole seconds: 60 by default.
    ///
    /// # Errors
    ///
    /// If it is more than 300 seconds.
    pub fn skew(mut self, skew: Duration) -> Result<Self, ConfigError> {
        if skew > Duration::from_secs(300) {
            let error = ConfigError::new(ConfigErrorKind::Issuer, "the tolerated clock skew is at most 300 seconds");
            return Err(error.value(format_args!("{skew:?}")));
        }
        self.skew = skew;
        Ok(self)
    }

    /// Sets how many scopes, and how many roles, a token may have: 1000 of each by default. Tokens with more are refused: each
    /// scope of a cached token needs several times its length.
    #[must_use]
    pub const fn max_grants(mut self, scopes_or_roles: usize) -> Self {
        self.max_grants = scopes_or_roles;
        self
    }

    /// Sets the maximum lifetime of a token, from `iat`, or from now without one, to `exp`, in whole seconds: 24 hours by
    /// default.
    #[must_use]
    pub const fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Requires the profile of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068): `typ` is `at+jwt`, and `iss`,
    /// `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are present.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.profile = Profile::Strict;
        self
    }

    /// Refuses tokens without `jti`, which cannot be revoked individually.
    #[must_use]
    pub const fn require_jti(mut self) -> Self {
        self.needs_token_id = true;
        self
    }

    /// Refuses tokens unless the claim `name` is the string `value`, such as `token_use` and `access` for Cognito.
    #[must_use]
    pub fn require_claim(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.required.push((name.into(), value.into()));
        self
    }

    /// Refuses tokens without an actor ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)):
    /// subjects cannot call directly.
    #[must_use]
    pub const fn require_actor(mut self) -> Self {
        self.actors = Actors::Required;
        self
    }

    /// Refuses tokens with an actor: nobody can act for the subject.
    #[must_use]
    pub const fn deny_actors(mut self) -> Self {
        self.actors = Actors::Denied;
        self
    }

    /// Ignores this member of `cnf`, which some issuers write besides `x5t#S256` or `jkt`. Any other unknown member refuses
    /// the token ([RFC 7800 §3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1)).
    #[must_use]
    pub fn ignore_confirmation(mut self, member: impl Into<Box<str>>) -> Self {
        self.ignored_confirmations.push(member.into());
        self
    }

    /// Reads scopes from this claim as well as from `scope`, `scp` and `scopes`; `permissions` for Auth0.
    ///
    /// Each claim is a string of scopes separated by spaces, or a list of strings. A claim of another type grants nothing.
    #[must_use]
    pub fn scopes_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.scopes.push(name.into());
        self
    }

    /// Reads the tenant from this claim, and refuses tokens without it.
    ///
    /// The place is the name of a claim, or a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) if it
    /// begins with a slash: `/org/id`.
    #[must_use]
    pub fn tenant_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.tenant = Tenant::Claim(place.into());
        self
    }

    /// Assigns all subjects of this issuer to one tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Tenant::Fixed(tenant.into());
        self
    }

    /// Reads roles from this claim, a string or a list of strings: `/realm_access/roles` for Keycloak. The place has the
    /// syntax of [`tenant_claim`](Self::tenant_claim).
    #[must_use]
    pub fn roles_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.roles = Some(place.into());
        self
    }

    /// Reads the tier, which selects rate limits, from this claim. The place has the syntax of
    /// [`tenant_claim`](Self::tenant_claim).
    #[must_use]
    pub fn tier_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.tier = Some(place.into());
        self
    }

    /// Accepts tokens with the claims of ID tokens (`nonce`, `at_hash` or `c_hash`), because some issuers write these into
    /// access tokens.
    ///
    /// ID tokens are sent to clients, not to APIs. With this setting only `aud` distinguishes them from access tokens.
    #[must_use]
    pub const fn danger_accept_id_tokens(mut self) -> Self {
        self.profile = Profile::Any;
        self
    }

    /// Accepts tokens for any audience and without one: anyone who receives a token of this issuer can use it here.
    #[must_use]
    pub fn danger_any_audience(mut self) -> Self {
        self.audiences = None;
        self
    }
}

impl Issuer {
    /// Accepts tokens without `exp`, for issuers that are queried about each token.
    #[cfg(feature = "introspection")]
    pub(crate) const fn with_optional_expiry(mut self) -> Self {
        self.needs_expiry = false;
        self
    }
}

/// An issuer and the source of its keys.
#[derive(Clone)]
pub(super) struct TrustedIssuer {
    pub(super) issuer: Issuer,
    pub(super) keys: Arc<dyn super::source::KeySource>,
}
