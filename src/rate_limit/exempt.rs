//! Exemptions from limits.

use std::net::IpAddr;

use crate::{
    caller::{AuthMethod, Principal},
    request::{Head, Network},
    scope::Scope,
};

/// A rule that exempts requests from a limit.
///
/// A rule depends only on values that a client cannot choose freely: the principal, the peer address, or the path. No
/// rule depends on a header field.
///
/// A subject is only a name: those who may mint API keys choose the names of their owners, and so does each issuer of
/// tokens. A rule for a subject or a tenant therefore states the [`CallerOrigin`] as well, and a single API key is exempted by
/// its id.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     rate_limit::{CallerOrigin, Exempt},
///     scope::Scope,
/// };
///
/// let rules = [
///     Exempt::path("/health"),
///     Exempt::peer("10.0.0.0/8".parse()?),
///     Exempt::scope(Scope::parse("limits:none")?),
///     Exempt::api_key("key_2b6a"),
///     Exempt::subject(CallerOrigin::issuer("https://auth.example.com").tenant("operations"), "monitor"),
/// ];
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exempt(Rule);

#[derive(Clone, Debug)]
enum Rule {
    ApiKey(Box<str>),
    Origin(CallerOrigin),
    Path(Box<str>),
    Peer(Network),
    Scope(Scope),
    Subject(CallerOrigin, Box<str>),
    Tier(Box<str>),
}

impl Exempt {
    /// Requests with the API key of this id, and not those that a key with this id has signed.
    #[must_use]
    pub fn api_key(id: impl Into<Box<str>>) -> Self {
        Self(Rule::ApiKey(id.into()))
    }

    /// Principals of this origin: all subjects of a tenant, or all subjects without a tenant.
    #[must_use]
    pub const fn origin(origin: CallerOrigin) -> Self {
        Self(Rule::Origin(origin))
    }

    /// Requests for exactly this path, as the layer sees it: inside axum's `nest`, without the prefix.
    #[must_use]
    pub fn path(path: impl Into<Box<str>>) -> Self {
        Self(Rule::Path(path.into()))
    }

    /// Connections whose peer address is in this network; forwarded addresses are ignored.
    #[must_use]
    pub const fn peer(network: Network) -> Self {
        Self(Rule::Peer(network))
    }

    /// Principals that hold this scope, of any origin: each issuer, and each minter of API keys with this scope, exempts
    /// callers.
    #[must_use]
    pub const fn scope(scope: Scope) -> Self {
        Self(Rule::Scope(scope))
    }

    /// Principals of this origin with this subject.
    #[must_use]
    pub fn subject(origin: CallerOrigin, subject: impl Into<Box<str>>) -> Self {
        Self(Rule::Subject(origin, subject.into()))
    }

    /// Principals of this tier, of any origin: each issuer that names tiers, and each minter of API keys of this tier,
    /// exempts callers.
    #[must_use]
    pub fn tier(tier: impl Into<Box<str>>) -> Self {
        Self(Rule::Tier(tier.into()))
    }

    pub(crate) fn applies(&self, head: &Head<'_>) -> bool {
        let caller = || head.extensions.get::<Principal>();
        match &self.0 {
            Rule::ApiKey(id) => caller()
                .is_some_and(|caller| caller.method() != AuthMethod::Signature && caller.key_id() == Some(&**id)),
            Rule::Origin(origin) => caller().is_some_and(|caller| origin.is_of(caller)),
            Rule::Path(path) => head.uri.path() == &**path,
            Rule::Peer(network) => head.peer().is_some_and(|peer: IpAddr| network.contains(peer)),
            Rule::Scope(scope) => caller().is_some_and(|caller| caller.holds(scope)),
            Rule::Subject(origin, subject) => {
                caller().is_some_and(|caller| origin.is_of(caller) && caller.subject() == &**subject)
            }
            Rule::Tier(tier) => caller().and_then(Principal::tier) == Some(&**tier),
        }
    }
}

/// The origin of a principal: the issuer of its credential, and the tenant that the credential names.
///
/// Both are compared: without [`tenant`](Self::tenant), only principals without a tenant are of the origin.
///
/// # Examples
///
/// ```
/// use tower_warden::rate_limit::CallerOrigin;
///
/// let acme = CallerOrigin::issuer("https://auth.example.com").tenant("acme");
/// let keys_of_operators = CallerOrigin::api_keys();
/// assert_ne!(acme, keys_of_operators);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallerOrigin {
    source: Source,
    tenant: Option<Box<str>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Source {
    Issuer(Box<str>),
    /// Credentials without an issuer.
    Method(AuthMethod),
}

impl CallerOrigin {
    /// API keys.
    #[must_use]
    pub const fn api_keys() -> Self {
        Self::method(AuthMethod::ApiKey)
    }

    /// Tokens of this issuer.
    #[must_use]
    pub fn issuer(issuer: impl Into<Box<str>>) -> Self {
        Self { source: Source::Issuer(issuer.into()), tenant: None }
    }

    /// Credentials without an issuer that are verified by this method, such as client certificates.
    #[must_use]
    pub const fn method(method: AuthMethod) -> Self {
        Self { source: Source::Method(method), tenant: None }
    }

    /// Sets the tenant that the credential names.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    fn is_of(&self, caller: &Principal) -> bool {
        let is_of_source = match &self.source {
            Source::Issuer(issuer) => caller.issuer() == Some(&**issuer),
            Source::Method(method) => caller.issuer().is_none() && caller.method() == *method,
        };
        // The tenant that the caller's own credential names: the issuer is that of the same credential.
        is_of_source && caller.own_tenant() == self.tenant.as_deref()
    }
}
