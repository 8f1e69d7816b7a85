//! Policies that admit the callers whose property is in a list.

use super::policy::Policy;
use crate::{
    Eventual,
    caller::{AuthMethod, Principal},
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::{Head, Network, UnknownClient},
};

/// Requires that the caller authenticated by one of these methods. An empty list refuses every caller. A subject that the
/// caller [acts for](Principal::acting_for) may have authenticated by any method.
///
/// # Examples
///
/// ```
/// use tower_warden::{AuthMethod, authorize::AllowedMethods, layer::AuthorizeLayer};
///
/// let no_api_keys = AuthorizeLayer::new(AllowedMethods::new([AuthMethod::Jwt, AuthMethod::Introspection]));
/// ```
#[derive(Clone, Debug)]
pub struct AllowedMethods(Box<[AuthMethod]>);

impl AllowedMethods {
    /// Requires one of these methods.
    #[must_use]
    pub fn new(methods: impl IntoIterator<Item = AuthMethod>) -> Self {
        Self(methods.into_iter().collect())
    }
}

impl Policy for AllowedMethods {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        forbid_unless(self.0.contains(&principal.method()), Reason::METHOD_FORBIDDEN)
    }
}

/// Requires that the client's address is in one of these networks. An empty list refuses every caller.
///
/// The address is that of the peer, or the one that a [`ClientAddressLayer`](crate::layer::ClientAddressLayer) has
/// resolved behind a trusted proxy. If it is unknown, the request is refused, also within [`Policy::not`].
///
/// # Examples
///
/// ```
/// use tower_warden::{Policy, authorize::AllowedNetworks, layer::AuthorizeLayer};
///
/// let office = AllowedNetworks::new(["198.51.100.0/24".parse()?, "2001:db8::/32".parse()?]);
/// let internal = AuthorizeLayer::new(office.named("office"));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AllowedNetworks(Box<[Network]>);

impl AllowedNetworks {
    /// Requires one of these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl Policy for AllowedNetworks {
    fn decide(&self, _: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        match head.client() {
            Ok(client) => {
                let is_inside = self.0.iter().any(|network| network.contains(client));
                forbid_unless(is_inside, Reason::CLIENT_NETWORK_FORBIDDEN)
            }
            Err(UnknownClient::NoPeer) => {
                log::error!("the peer address, which a policy by networks needs, is not in the request's extensions");
                Eventual::Now(Err(Rejection::new(RejectionKind::Internal, Reason::PEER_UNKNOWN)))
            }
            Err(UnknownClient::NotForwarded) => forbid_unless(false, Reason::PEER_UNKNOWN),
        }
    }
}

/// Requires that the caller belongs to one of these tenants: [`Principal::tenant`]. An empty list refuses every caller.
///
/// # Examples
///
/// ```
/// use tower_warden::{authorize::AllowedTenants, layer::AuthorizeLayer};
///
/// let preview = AuthorizeLayer::new(AllowedTenants::new(["acme", "umbrella"]));
/// ```
#[derive(Clone, Debug)]
pub struct AllowedTenants(Box<[Box<str>]>);

impl AllowedTenants {
    /// Requires one of these tenants.
    #[must_use]
    pub fn new(tenants: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self(tenants.into_iter().map(Into::into).collect())
    }
}

impl Policy for AllowedTenants {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let is_allowed = principal.tenant().is_some_and(|tenant| self.0.iter().any(|allowed| **allowed == *tenant));
        forbid_unless(is_allowed, Reason::TENANT_MISMATCH)
    }
}

/// Requires roles of the caller: [`Principal::roles`]. An empty list refuses every caller. Those of a subject that the caller
/// [acts for](Principal::acting_for) are not considered.
///
/// If permissions follow from roles, a [`RoleLayer`](super::RoleLayer) turns these into scopes instead.
///
/// # Examples
///
/// ```
/// use tower_warden::{authorize::RequiredRoles, layer::AuthorizeLayer};
///
/// let support = AuthorizeLayer::new(RequiredRoles::any(["support", "admin"]));
/// ```
#[derive(Clone, Debug)]
pub struct RequiredRoles {
    is_met: fn(&[Box<str>], &Principal) -> bool,
    roles: Box<[Box<str>]>,
}

impl RequiredRoles {
    /// Requires all of these roles.
    #[must_use]
    pub fn all(roles: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let is_met = |roles: &[Box<str>], caller: &Principal| {
            !roles.is_empty() && roles.iter().all(|role| has_role(caller, role))
        };
        Self { is_met, roles: roles.into_iter().map(Into::into).collect() }
    }

    /// Requires one or more of these roles.
    #[must_use]
    pub fn any(roles: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let is_met = |roles: &[Box<str>], caller: &Principal| roles.iter().any(|role| has_role(caller, role));
        Self { is_met, roles: roles.into_iter().map(Into::into).collect() }
    }
}

impl Policy for RequiredRoles {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        forbid_unless((self.is_met)(&self.roles, principal), Reason::ROLE_MISSING)
    }
}

fn has_role(caller: &Principal, needed: &str) -> bool {
    caller.roles().any(|role| role == needed)
}

/// 403 without a challenge, because no other credential is known to help.
pub(super) fn forbid_unless(is_allowed: bool, reason: Reason) -> Eventual<Result<(), Rejection>> {
    Eventual::Now(if is_allowed { Ok(()) } else { Err(Rejection::new(RejectionKind::Forbidden, reason)) })
}
