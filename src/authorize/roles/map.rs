use std::collections::HashMap;

use super::directory::{RoleDirectory, RoleQuery};
use crate::{
    Eventual,
    error::{ConfigError, Unavailable},
    scope::Scopes,
};

/// A static map of roles to scopes.
///
/// Roles are compared byte for byte. A role that is not in the map grants nothing.
///
/// # Examples
///
/// ```
/// use tower_warden::{authorize::RoleMap, layer::RoleLayer};
///
/// let roles = RoleMap::new([("support", "billing:read"), ("admin", "billing:read billing:write")])?
///     .of_issuer("https://auth.example.com");
/// let layer = RoleLayer::new(roles);
///
/// assert!(RoleMap::new([("support", "billing\"read")]).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RoleMap {
    issuer: Option<Box<str>>,
    scopes: HashMap<Box<str>, Scopes>,
}

impl RoleMap {
    /// These scopes for these roles. A role that occurs several times has all of its scopes.
    ///
    /// # Errors
    ///
    /// If the scopes cannot be parsed.
    pub fn new<R, S>(roles: impl IntoIterator<Item = (R, S)>) -> Result<Self, ConfigError>
    where
        R: Into<Box<str>>,
        S: TryInto<Scopes, Error: Into<ConfigError>>,
    {
        let mut map: HashMap<Box<str>, Scopes> = HashMap::new();
        for (role, scopes) in roles {
            let scopes = scopes.try_into().map_err(Into::into)?;
            let known = map.entry(role.into()).or_default();
            *known = known.iter().chain(scopes.iter()).cloned().collect();
        }
        Ok(Self { issuer: None, scopes: map })
    }

    /// Applies to callers with tokens of this issuer only. By default, a role grants the same whichever issuer names
    /// it, so that each issuer with a [`roles_claim`](crate::jwt::Issuer::roles_claim) grants all scopes of the map.
    #[must_use]
    pub fn of_issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }
}

impl RoleDirectory for RoleMap {
    fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        let is_meant = self.issuer.as_deref().is_none_or(|issuer| query.issuer == Some(issuer));
        let roles = query.roles.iter().filter(|_| is_meant);
        let scopes = roles.filter_map(|role| self.scopes.get(role)).flat_map(Scopes::iter);
        Eventual::Now(Ok(scopes.cloned().collect()))
    }
}
