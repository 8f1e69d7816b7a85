//! The rights of callers of the routes.

use std::{fmt, iter, sync::Arc};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{error::Failure, logged_change::LoggedChange};
use crate::{
    api_key::{ApiKeys, KeyError, KeyErrorKind, KeyId, KeyRecord},
    authorize::{PassedRoles, RoleQuery},
    axum::Scoped,
    caller::{AuthMethod, Confirmation, Principal},
    reason::Reason,
    refusal::Rejection,
    request::Network,
    scope::Scopes,
    time::UnixTime,
};

crate::scopes! {
    /// Permission to mint, list, change, rotate, revoke and purge keys.
    pub KeysAdmin = "keys:admin";
}

/// Decides which callers without a tenant manage the keys of all tenants.
#[derive(Clone)]
pub(super) struct Operators(Arc<dyn Fn(&Principal) -> bool + Send + Sync>);

impl Operators {
    pub(super) fn new(is_operator: impl Fn(&Principal) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_operator))
    }
}

/// API keys: the record of a key without a tenant was made by an operator, whereas a token may lack a tenant only because
/// its issuer has no rule for tenants.
impl Default for Operators {
    fn default() -> Self {
        Self::new(|caller| caller.method() == AuthMethod::ApiKey)
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operators")
    }
}

/// A caller that holds `KeysAdmin`.
pub(super) struct Admin {
    caller: Scoped<KeysAdmin>,
    roles: Option<PassedRoles>,
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self { caller: Scoped::of(&parts.extensions)?, roles: parts.extensions.get().cloned() })
    }
}

/// A caller, and the tenant whose keys it manages; `None` for all keys.
///
/// Invariant of a caller with a tenant: no key whose secret it receives, and no key that it changes, has more rights than
/// its own credentials, or fewer restrictions. Scopes that a `RoleLayer` has added are not rights of a credential: a key would
/// keep them after the role is withdrawn. Those that it would add to requests with the key are rights of the key.
pub(super) struct Rights<'a> {
    pub(super) caller: &'a Principal,
    roles: Option<&'a PassedRoles>,
    pub(super) tenant: Option<&'a str>,
}

impl<'a> Rights<'a> {
    /// Returns the rights of a caller, or refuses one without a tenant that is not an operator.
    pub(super) fn of(admin: &'a Admin, operators: &Operators) -> Result<Self, Failure> {
        let Admin { caller, roles } = admin;
        let rights = Self { caller, roles: roles.as_ref(), tenant: caller.tenant() };
        if rights.tenant.is_some() || rights.credentials().all(|credential| (operators.0)(credential)) {
            Ok(rights)
        } else {
            Err(rights.refused(Reason::OPERATOR_NOT_DECLARED))
        }
    }

    /// Returns the tenant of the keys to be managed: that of the caller, if the caller has one.
    pub(super) fn tenant(&self, requested: Option<String>) -> Result<Option<String>, Failure> {
        match (self.tenant, requested) {
            (Some(own), Some(tenant)) if own != tenant => Err(self.refused(Reason::TENANT_MISMATCH)),
            (own, requested) => Ok(requested.or_else(|| own.map(Into::into))),
        }
    }

    /// Returns the tier of a key to be minted: by default, that of the credential that names the tenant.
    pub(super) fn tier(&self, requested: Option<String>) -> Option<String> {
        requested.or_else(|| self.own_tier().map(Into::into))
    }

    /// Returns the networks of a key to be minted: by default, those that the caller's own credential is restricted to.
    pub(super) fn networks(&self, requested: Vec<Network>) -> Vec<Network> {
        if !requested.is_empty() || self.tenant.is_none() {
            return requested;
        }
        let mut own = self.credentials().map(Principal::networks).filter(|networks| !networks.is_empty());
        own.next().map(<[_]>::to_vec).unwrap_or_default()
    }

    /// The latest expiry of a key whose secret the caller receives: that of its own credentials.
    pub(super) fn not_after(&self) -> Option<UnixTime> {
        self.tenant.and_then(|_| self.credentials().filter_map(Principal::expires_at).min())
    }

    /// Refuses a key with more rights than the caller, or fewer restrictions.
    pub(super) fn check(
        &self,
        scopes: &Scopes,
        tier: Option<&str>,
        networks: &[Network],
        confirmation: Option<&Confirmation>,
    ) -> Result<(), Failure> {
        if self.tenant.is_none() {
            return Ok(());
        }
        let reason = if !scopes.iter().all(|scope| self.caller.holds_by_credential(scope)) {
            Reason::SCOPE_NOT_HELD
        } else if tier != self.own_tier() {
            Reason::TIER_NOT_HELD
        } else if confirmation.is_none() && self.credentials().any(|own| own.confirmation().is_some()) {
            Reason::BINDING_REQUIRED
        } else if !self.credentials().all(|own| are_within(networks, own.networks())) {
            Reason::NETWORK_NOT_HELD
        } else {
            return Ok(());
        };
        Err(self.refused(reason))
    }

    /// Refuses an owner to whom role layers add scopes that the caller does not hold.
    ///
    /// Its own name is no other owner: these scopes are withdrawn from the key and from the caller at once.
    pub(super) async fn check_owner(&self, owner: &str) -> Result<(), Failure> {
        let (Some(roles), Some(tenant)) = (self.roles, self.tenant) else { return Ok(()) };
        let query =
            RoleQuery { issuer: None, method: AuthMethod::ApiKey, roles: &[], subject: owner, tenant: Some(tenant) };
        if self.caller.acting_for().is_none() && query == RoleQuery::from(self.caller) {
            return Ok(());
        }
        let granted = roles.scopes(&query).await.map_err(Failure::Refused)?;
        let mut granted = granted.iter().flat_map(|scopes| scopes.iter());
        match granted.all(|scope| self.caller.holds_by_credential(scope)) {
            true => Ok(()),
            false => Err(self.refused(Reason::SCOPE_NOT_HELD)),
        }
    }

    /// Refuses a key with such an owner. The owner of a key does not change.
    pub(super) async fn check_owner_of(&self, keys: &ApiKeys, id: &KeyId) -> Result<(), Failure> {
        match (self.roles, self.tenant) {
            (Some(_), Some(_)) => self.check_owner(&self.key(keys, id).await?.owner).await,
            _ => Ok(()),
        }
    }

    /// Returns the new expiry of a key: no later than the caller could mint one, unless the key expires later already.
    pub(super) fn expiry(&self, old: Option<UnixTime>, requested: Option<UnixTime>) -> Option<UnixTime> {
        match (self.not_after(), old) {
            (Some(own), Some(old)) => requested.into_iter().chain([own.max(old)]).min(),
            _ => requested,
        }
    }

    /// Returns the expiry of a key that is to be changed to `new`, if the change has to set it.
    ///
    /// A key that gains a scope or loses a restriction expires no later than the caller could mint one: the caller would
    /// otherwise leave behind rights that outlive its own.
    pub(super) fn expiry_after(&self, old: &KeyRecord, new: &KeyRecord) -> Option<Option<UnixTime>> {
        let is_stronger = !new.scopes.iter().all(|scope| old.scopes.iter().any(|held| held == scope))
            || !are_within(&new.networks, &old.networks);
        let own = self.not_after().filter(|_| is_stronger)?;
        Some(new.expires_at.into_iter().chain([own]).min())
    }

    /// Refuses a record that the caller may not change or replace.
    pub(super) fn check_record(&self, record: &KeyRecord) -> Result<(), Failure> {
        self.check(&record.scopes, record.tier.as_deref(), &record.networks, record.confirmation.as_ref())
    }

    /// Returns the record of a key that the caller manages. A key of another tenant is `NotFound`, as if it did not exist.
    pub(super) async fn key(&self, keys: &ApiKeys, id: &KeyId) -> Result<Arc<KeyRecord>, KeyError> {
        let record = keys.get(id).await?;
        record.filter(|record| self.manages(record)).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
    }

    /// Returns whether the caller manages the keys of this key's tenant.
    pub(super) fn manages(&self, record: &KeyRecord) -> bool {
        self.tenant.is_none() || record.tenant.as_deref() == self.tenant
    }

    /// Begins a change of keys, which is logged for audit.
    pub(super) fn begin(&self, change: &'static str, keys: impl fmt::Display) -> LoggedChange<'_> {
        LoggedChange::new(self, change, keys.to_string())
    }

    /// The caller, and the subject that it acts for.
    fn credentials(&self) -> impl Iterator<Item = &'a Principal> {
        iter::once(self.caller).chain(self.caller.acting_for())
    }

    fn own_tier(&self) -> Option<&'a str> {
        self.tenant.and_then(|_| self.caller.member_of_tenant().tier())
    }

    fn refused(&self, reason: Reason) -> Failure {
        Failure::forbidden(self.caller, reason)
    }
}

/// Returns whether a key with these networks is accepted from no other ones than a key with the networks `wide`.
fn are_within(networks: &[Network], wide: &[Network]) -> bool {
    wide.is_empty() || (!networks.is_empty() && networks.iter().all(|one| wide.iter().any(|wide| wide.includes(one))))
}
