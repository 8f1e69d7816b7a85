//! Settings about the tokens as a whole: algorithms, audience, times, kind.

use std::time::Duration;

use super::{Actors, IdTokens, Issuer, IssuerName, OtherAudiences, Presence, Profile, name::Template};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    jwt::{algorithm::Algorithm, expected_claim::ExpectedClaim},
    url,
};

impl Issuer {
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

    /// Refuses tokens that have further audiences, each of which could use the token here. All audiences that are accepted
    /// count as this API.
    #[must_use]
    pub const fn refuse_other_audiences(mut self) -> Self {
        self.other_audiences = OtherAudiences::Refused;
        self
    }

    /// Sets the tolerated difference between the issuer's clock and the local one, in whole seconds: 60 by default,
    /// and 30 for [`strict`](Self::strict) tokens.
    ///
    /// # Errors
    ///
    /// If it is more than 300 seconds.
    pub fn skew(mut self, skew: Duration) -> Result<Self, ConfigError> {
        if skew > Duration::from_secs(300) {
            let error = ConfigError::new(ConfigErrorKind::Issuer, "the tolerated clock skew is at most 300 seconds");
            return Err(error.value(format_args!("{skew:?}")));
        }
        self.skew = Some(skew);
        Ok(self)
    }

    /// The tolerated difference of clocks.
    pub(crate) const fn tolerance(&self) -> Duration {
        match (self.skew, self.profile) {
            (Some(skew), _) => skew,
            (None, Profile::Strict) => Duration::from_secs(30),
            (None, _) => Duration::from_secs(60),
        }
    }

    /// Sets how many scopes, and how many roles, a token may have: 1000 of each by default. Tokens with more are refused: each
    /// scope of a cached token needs several times its length.
    #[must_use]
    pub const fn max_grants(mut self, scopes_or_roles: usize) -> Self {
        self.max_grants = scopes_or_roles;
        self
    }

    /// Sets the maximum lifetime of a token, from `iat`, or from now without one, to `exp`, in whole seconds: 28 hours by
    /// default, which includes the tokens of managed identities in Azure. Projected tokens of Kubernetes may be valid for a
    /// year.
    #[must_use]
    pub const fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Requires the profile of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068): `typ` is `at+jwt`, and `iss`,
    /// `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are present and not empty. The tolerated [clock skew](Self::skew) is 30
    /// seconds by default.
    ///
    /// No other setting takes this requirement back.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.profile = Profile::Strict;
        self
    }

    /// Requires this claim as [`require_claim`](Self::require_claim) does: the issuer distinguishes its access tokens from ID
    /// tokens by it, so a token that has it is not searched for the signs of an ID token.
    ///
    /// For issuers whose access tokens have claims of ID tokens, such as `nonce`: `access_token_claim("typ", "Bearer")` for
    /// Keycloak, `access_token_claim("scp", ExpectedClaim::present())` for Entra ID. ID tokens must not have the claim.
    #[must_use]
    pub fn access_token_claim(mut self, place: impl Into<Box<str>>, expected: impl Into<ExpectedClaim>) -> Self {
        self.id_tokens = IdTokens::Accepted;
        self.rule(place.into(), expected.into(), Presence::Required)
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

    /// Ignores this member of `cnf`, which some issuers write besides `x5t#S256` or `jkt`, or alone, such as `kid` and
    /// `xms_ksl` of Entra ID: a token all of whose members are ignored is not bound. Any other unknown member refuses the
    /// token ([RFC 7800 §3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1)); `x5t#S256` and `jkt` are never ignored.
    #[must_use]
    pub fn ignore_confirmation(mut self, member: impl Into<Box<str>>) -> Self {
        self.ignored_confirmations.push(member.into());
        self
    }

    /// Compares the placeholder of a [template](Self::template) with another claim, and another form of it:
    /// `template_claim("dest", "https://{shop}.myshopify.com")` for `https://{shop}.myshopify.com/admin`.
    ///
    /// # Errors
    ///
    /// If the form does not have exactly one placeholder, or the issuer is not a template.
    pub fn template_claim(mut self, name: impl Into<Box<str>>, form: &str) -> Result<Self, ConfigError> {
        if !matches!(self.name, IssuerName::Template(_)) {
            let message = "a claim is compared with the placeholder of `Issuer::template`, and this issuer has none; \
                           see `Issuer::require_claim`";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(self.name())));
        }
        self.template_claim = Some((name.into(), Template::parse(form)?));
        Ok(self)
    }

    /// Accepts tokens with the claims of ID tokens (`nonce`, `at_hash`, `c_hash` or `s_hash`, an `azp` that is the only
    /// audience, or a type), because some issuers write these into access tokens.
    ///
    /// ID tokens are sent to clients, not to APIs. With this setting only `aud` distinguishes them from access tokens:
    /// prefer [`access_token_claim`](Self::access_token_claim).
    #[must_use]
    pub const fn danger_accept_id_tokens(mut self) -> Self {
        self.id_tokens = IdTokens::Accepted;
        self
    }

    /// Accepts tokens without `iss` in the place of those with it, and attributes them to this issuer.
    ///
    /// For issuers that write no `iss`, such as Laravel Passport. Any system that signs with the same key, for whatever
    /// purpose, can then make tokens that are accepted here, if only the audience fits.
    ///
    /// # Errors
    ///
    /// If the issuer is a template or a trust domain, whose tokens are recognized by more than one name.
    pub fn danger_without_iss(mut self) -> Result<Self, ConfigError> {
        match self.name {
            IssuerName::Exact(name) | IssuerName::Missing(name) => {
                self.name = IssuerName::Missing(name);
                Ok(self)
            }
            IssuerName::Template(_) | IssuerName::TrustDomain(_) => {
                let message = "tokens without `iss` are attributed to an issuer of `Issuer::new` or `Issuer::named`, not to \
                               a template or a trust domain";
                Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(self.name.as_str())))
            }
        }
    }

    /// Accepts tokens for any audience and without one: anyone who receives a token of this issuer can use it here.
    #[must_use]
    pub fn danger_any_audience(mut self) -> Self {
        self.audiences = None;
        self
    }
}
