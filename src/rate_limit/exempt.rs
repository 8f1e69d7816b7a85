//! Exemptions from limits.

use std::net::IpAddr;

use crate::{
    caller::Principal,
    request::{Head, Network},
    scope::Scope,
};

/// A rule that exempts requests from a limit.
///
/// A rule depends only on values that a client cannot choose freely: the principal, the peer address, or the path. No
/// rule depends on a header field.
///
/// # Examples
///
/// ```
/// use tower_warden::{rate_limit::Exempt, scope::Scope};
///
/// let rules = [
///     Exempt::path("/health"),
///     Exempt::peer("10.0.0.0/8".parse()?),
///     Exempt::scope(Scope::parse("limits:none")?),
///     Exempt::subject("monitor"),
/// ];
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exempt(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Path(Box<str>),
    Peer(Network),
    Scope(Scope),
    Subject(Box<str>),
    Tenant(Box<str>),
    Tier(Box<str>),
}

impl Exempt {
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

    /// Principals that hold this scope.
    #[must_use]
    pub const fn scope(scope: Scope) -> Self {
        Self(Rule::Scope(scope))
    }

    /// Principals with this subject, of any tenant.
    #[must_use]
    pub fn subject(subject: impl Into<Box<str>>) -> Self {
        Self(Rule::Subject(subject.into()))
    }

    /// Principals of this tenant.
    #[must_use]
    pub fn tenant(tenant: impl Into<Box<str>>) -> Self {
        Self(Rule::Tenant(tenant.into()))
    }

    /// Principals of this tier.
    #[must_use]
    pub fn tier(tier: impl Into<Box<str>>) -> Self {
        Self(Rule::Tier(tier.into()))
    }

    pub(crate) fn applies(&self, head: &Head<'_>) -> bool {
        let caller = || head.extensions.get::<Principal>();
        match &self.0 {
            Rule::Path(path) => head.uri.path() == &**path,
            Rule::Peer(network) => head.peer().is_some_and(|peer: IpAddr| network.contains(peer)),
            Rule::Scope(scope) => caller().is_some_and(|caller| caller.holds(scope)),
            Rule::Subject(subject) => caller().is_some_and(|caller| caller.subject() == &**subject),
            Rule::Tenant(tenant) => caller().and_then(Principal::tenant) == Some(&**tenant),
            Rule::Tier(tier) => caller().and_then(Principal::tier) == Some(&**tier),
        }
    }
}
