use std::time::Duration;

pub use self::trusted::TrustedIssuer;
pub(super) use self::{
    name::{IssuerName, Template, is_similar},
    settings::{
        Actors, ClaimRule, Expiry, IdTokens, Ids, OtherAudiences, Presence, Profile, Subject, SubjectFallback, Tenant,
    },
};
use super::algorithm::Algorithm;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    url,
};

mod claims;
#[cfg(feature = "introspection")]
mod introspected;
mod name;
mod rule_sets;
mod settings;
mod tokens;
mod trusted;

/// An issuer whose access tokens are accepted, and the requirements on their claims.
///
/// Strict by default: `iss` and `aud` are compared byte for byte, `exp` and `sub` are required, and ID tokens are refused
/// where they can be distinguished. The [module docs](super) state what happens to claims of the wrong type. Used by
/// [`Jwt`](super::Jwt) and for token introspection.
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
    pub(super) checked: Vec<ClaimRule>,
    pub(super) expiry: Expiry,
    pub(super) id_tokens: IdTokens,
    pub(super) ids: Ids,
    pub(super) ignored_confirmations: Vec<Box<str>>,
    pub(super) max_grants: usize,
    pub(super) max_lifetime: Duration,
    pub(super) name: IssuerName,
    pub(super) needs_token_id: bool,
    pub(super) other_audiences: OtherAudiences,
    pub(super) profile: Profile,
    pub(super) roles: Option<Box<str>>,
    pub(super) scopes: Vec<Box<str>>,
    /// `None` for the default of the profile.
    pub(super) skew: Option<Duration>,
    pub(super) subject: Subject,
    /// The claim that a template's placeholder is compared with, and the form of its value.
    pub(super) template_claim: Option<(Box<str>, Template)>,
    pub(super) tenant: Tenant,
    pub(super) tier: Option<Box<str>>,
}

impl Issuer {
    /// Accepts tokens whose `iss` is `name` and whose `aud` contains `audience`.
    ///
    /// # Errors
    ///
    /// If one of them is empty, or `name` is an `http` URL; `http` is accepted for a loopback host, and by
    /// [`named`](Self::named).
    pub fn new(name: &str, audience: &str) -> Result<Self, ConfigError> {
        if url::is_insecure(name) {
            let message = "an issuer is an https URL (http for a loopback host), or a name that is not a URL; \
                           `Issuer::named` accepts an http URL from which nothing is fetched";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(name)));
        }
        Self::named(name, audience)
    }

    /// Accepts tokens whose `iss` is `name`, any text, and whose `aud` contains `audience`.
    ///
    /// For issuers whose `iss` is an `http` URL that only identifies them, such as `http://HOST/adfs/services/trust` of
    /// AD FS. The keys come from elsewhere: `RemoteKeys` fetches them from an `https` URL.
    ///
    /// # Errors
    ///
    /// If one of them is empty.
    pub fn named(name: &str, audience: &str) -> Result<Self, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "an issuer has a name that is not empty"));
        }
        Self::of(IssuerName::Exact(name.into()), audience)
    }

    /// Accepts tokens whose `iss` has this form, with a placeholder that names a claim of the same value, and whose `aud`
    /// contains `audience`.
    ///
    /// For issuers with a name per tenant and one key set for all, such as `https://login.microsoftonline.com/{tid}/v2.0`.
    /// The placeholder stands for 1 to 128 letters, digits, `-`, `_` and `.`. Any tenant is accepted: limit them by
    /// [`require_claim`](Self::require_claim), or authorize by [`Principal::tenant`](crate::Principal::tenant). If each tenant
    /// has keys of its own, use an [`IssuerResolver`](super::IssuerResolver).
    ///
    /// A key whose JWK has the member `issuer`, as those of Entra ID have, verifies tokens of that issuer only; `{tenantid}` in it
    /// stands for any tenant.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::{ExpectedClaim, Issuer};
    ///
    /// let issuer = Issuer::template("https://login.microsoftonline.com/{tid}/v2.0", "api-client-id")?
    ///     .tenant_claim("tid")
    ///     .require_claim("tid", ExpectedClaim::one_of(["customer-1", "customer-2"]));
    ///
    /// assert!(Issuer::template("https://login.microsoftonline.com/common/v2.0", "api").is_err(), "no placeholder");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the template does not have exactly one placeholder, is an `http` URL, or the audience is empty.
    pub fn template(template: &str, audience: &str) -> Result<Self, ConfigError> {
        let parsed = Template::parse(template)?;
        if url::is_insecure(&parsed.filled("a")) {
            let message = "a template of issuers is an https URL (http for a loopback host), or not a URL";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(template)));
        }
        let own_claim = Template::parse(&format!("{{{}}}", parsed.placeholder()))?;
        let template_claim = Some((parsed.placeholder().into(), own_claim));
        let issuer = Self::of(IssuerName::Template(parsed), audience)?;
        Ok(Self { template_claim, ..issuer })
    }

    /// Accepts JWT-SVIDs ([SPIFFE](https://spiffe.io/docs/latest/spiffe-specs/jwt-svid/)): tokens whose `sub` is a SPIFFE ID of
    /// this trust domain, such as `spiffe://example.org`, and whose `aud` contains `audience`.
    ///
    /// The trust domain takes the place of the issuer: `iss` is not required and not compared. `typ` is `JWT`, `JOSE` or absent.
    /// The keys are those of the trust domain's bundle.
    ///
    /// # Errors
    ///
    /// If the trust domain is not `spiffe://` and a name, or the audience is empty.
    pub fn jwt_svid(trust_domain: &str, audience: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        let name = trust_domain.strip_prefix("spiffe://").unwrap_or_default();
        if name.is_empty() || name.len() > 255 || !name.bytes().all(is_allowed) {
            let message = "a trust domain is `spiffe://` and a name of lower-case letters, digits, '.', '-' and '_'";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(trust_domain)));
        }
        let issuer = Self::of(IssuerName::TrustDomain(trust_domain.into()), audience)?;
        let algorithms = Algorithm::SVID.to_vec();
        Ok(Self { algorithms, profile: Profile::Svid, ..issuer })
    }

    /// Accepts the assertions of a client at the token endpoint of an authorization server, which is named by `issuer`
    /// ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).
    ///
    /// `iss` and `sub` are the client's id, `aud` is the issuer alone, `jti` is required, and the maximum lifetime is ten
    /// minutes. `typ` is `client-authentication+jwt`, `JWT` or absent. The caller makes sure that each `jti` is used once,
    /// with a [`ReplayGuard`](crate::replay::ReplayGuard).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::Issuer;
    ///
    /// assert!(Issuer::client_assertion("billing", "https://auth.example.com").is_ok());
    /// assert!(Issuer::client_assertion("", "https://auth.example.com").is_err());
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If one of them is empty.
    pub fn client_assertion(client_id: &str, issuer: &str) -> Result<Self, ConfigError> {
        let rules = Self::named(client_id, issuer)?
            .refuse_other_audiences()
            .require_jti()
            .max_lifetime(Duration::from_secs(10 * 60))
            .require_claim("sub", client_id);
        Ok(Self { profile: Profile::ClientAssertion, ..rules })
    }

    /// Accepts assertions of an issuer that are grants for access tokens, at the token endpoint of an authorization server that
    /// is named by `audience` ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)).
    ///
    /// `aud` is the authorization server alone, `sub` and `jti` are required, and the maximum lifetime is ten minutes. `typ` is
    /// `JWT` or absent. The caller makes sure that each `jti` is used once, with a
    /// [`ReplayGuard`](crate::replay::ReplayGuard). The name may be any text, as for [`named`](Self::named).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::Issuer;
    ///
    /// assert!(Issuer::authorization_grant("https://login.example.com", "https://auth.example.com").is_ok());
    /// assert!(Issuer::authorization_grant("", "https://auth.example.com").is_err());
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If one of them is empty.
    pub fn authorization_grant(name: &str, audience: &str) -> Result<Self, ConfigError> {
        let rules = Self::named(name, audience)?
            .refuse_other_audiences()
            .require_jti()
            .max_lifetime(Duration::from_secs(10 * 60));
        Ok(Self { profile: Profile::Grant, ..rules })
    }

    /// Accepts identity assertions (ID-JAG,
    /// [draft](https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-assertion-authz-grant/)) of an identity provider, with
    /// the rules of [`authorization_grant`](Self::authorization_grant), except that `typ` is `oauth-id-jag+jwt`.
    ///
    /// The caller compares `client_id` with the client that presents the assertion.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::Issuer;
    ///
    /// assert!(Issuer::identity_assertion("https://login.example.com", "https://auth.example.com").is_ok());
    /// assert!(Issuer::identity_assertion("https://login.example.com", "").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// See [`authorization_grant`](Self::authorization_grant).
    pub fn identity_assertion(name: &str, audience: &str) -> Result<Self, ConfigError> {
        let rules = Self::authorization_grant(name, audience)?;
        Ok(Self { profile: Profile::IdentityAssertion, ..rules })
    }

    fn of(name: IssuerName, audience: &str) -> Result<Self, ConfigError> {
        let issuer = Self {
            actors: Actors::Accepted,
            algorithms: Algorithm::DEFAULT.to_vec(),
            audience_claim: "aud".into(),
            audiences: Some(Vec::new()),
            checked: Vec::new(),
            expiry: Expiry::Required,
            id_tokens: IdTokens::Refused,
            ids: Ids::Texts,
            ignored_confirmations: Vec::new(),
            max_grants: 1_000,
            max_lifetime: Duration::from_secs(28 * 60 * 60),
            name,
            needs_token_id: false,
            other_audiences: OtherAudiences::Accepted,
            profile: Profile::Common,
            roles: None,
            scopes: ["scope", "scp", "scopes"].map(Into::into).to_vec(),
            skew: None,
            subject: Subject { claims: None, fallback: SubjectFallback::None },
            template_claim: None,
            tenant: Tenant::None,
            tier: None,
        };
        issuer.accept_audience(audience)
    }

    /// The value of `iss`, the template, or the trust domain.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The rules for what a load balancer signs, and its clients: these are its audiences.
    ///
    /// # Errors
    ///
    /// If any audience is accepted, or the tokens are not recognized by one value of `iss`.
    #[cfg(feature = "jwks")]
    pub(super) fn for_load_balancer(mut self) -> Result<(Vec<Box<str>>, Self), ConfigError> {
        if !matches!(self.name, IssuerName::Exact(_)) {
            let message = "the issuer of a load balancer's tokens is that of the listener's action, by `Issuer::new` or \
                           `Issuer::named`";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(self.name())));
        }
        let clients = self.audiences.take().ok_or_else(|| {
            ConfigError::new(ConfigErrorKind::Audience, "the audience of a load balancer's tokens is the client id")
        })?;
        self.algorithms = vec![Algorithm::ES256];
        self.expiry = Expiry::Optional;
        self.id_tokens = IdTokens::Accepted;
        self.profile = Profile::Common;
        Ok((clients, self))
    }

    /// Returns whether this is a template, which stands for several issuers.
    pub(crate) const fn is_template(&self) -> bool {
        matches!(self.name, IssuerName::Template(_))
    }
}
