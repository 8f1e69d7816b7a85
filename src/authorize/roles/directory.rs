use std::sync::Arc;

use crate::{
    Eventual,
    caller::{AuthMethod, Principal},
    error::Unavailable,
    scope::Scopes,
};

/// Returns the scopes that a caller has by its roles or by its name.
///
/// A [`RoleLayer`](super::RoleLayer) queries it. [`RoleMap`](super::RoleMap) is a static one; for one that queries a
/// database, [`CachedRoles`](super::CachedRoles) adds a cache, a time-out and a bound of concurrent queries.
///
/// # Deployment caveat
///
/// A subject identifies a caller only together with issuer, method and tenant: the subject of an API key is its owner, a text
/// that was chosen when the key was minted, and that may be the name of a certificate or of an owner in another tenant. A
/// caller that can mint a key for an owner gains the scopes that a directory grants to that owner. The key routes refuse this
/// inside of a [`RoleLayer`](super::RoleLayer) only.
///
/// # Examples
///
/// A directory in SQL:
///
/// ```
/// use tower_warden::{Eventual, Unavailable, authorize::{RoleDirectory, RoleQuery}, scope::Scopes};
/// # #[derive(Clone)]
/// # struct Pool;
/// # impl Pool {
/// #     async fn query(&self, _sql: &str, _parameters: Vec<String>) -> std::io::Result<Vec<String>> {
/// #         Ok(vec!["billing:read".into()])
/// #     }
/// # }
///
/// struct Permissions(Pool);
///
/// impl RoleDirectory for Permissions {
///     fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
///         let pool = self.0.clone();
///         // A subject is unique only together with the other three.
///         let RoleQuery { issuer, method, tenant, subject, .. } = *query;
///         let key = [issuer.unwrap_or_default(), method.as_str(), tenant.unwrap_or_default(), subject];
///         let parameters = key.map(str::to_owned).to_vec();
///         Eventual::later(async move {
///             let sql = "SELECT scope FROM permission WHERE issuer = $1 AND method = $2 AND tenant = $3 AND subject = $4";
///             let unavailable = |error| Unavailable::new("the directory of roles").because(error);
///             let rows = pool.query(sql, parameters).await.map_err(unavailable)?;
///             // A row that is not a scope grants nothing.
///             Ok(rows.iter().filter_map(|row| row.as_str().try_into().ok()).collect())
///         })
///     }
/// }
/// ```
pub trait RoleDirectory: Send + Sync + 'static {
    /// The scopes of a caller, besides those of its credential; none if it is unknown.
    ///
    /// # Errors
    ///
    /// If the directory does not respond. The request is refused with 503.
    fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>>;
}

impl<D: RoleDirectory + ?Sized> RoleDirectory for Arc<D> {
    fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        (**self).scopes(query)
    }
}

/// The properties of a caller by which a [`RoleDirectory`] finds its scopes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RoleQuery<'a> {
    /// The issuer of the token; `None` for API keys and certificates.
    pub issuer: Option<&'a str>,
    /// The method by which the caller authenticated.
    pub method: AuthMethod,
    /// The roles that the credential names.
    pub roles: &'a [Box<str>],
    /// The subject, which is unique together with issuer, method and tenant.
    pub subject: &'a str,
    /// The tenant that the credential names.
    pub tenant: Option<&'a str>,
}

impl<'a> From<&'a Principal> for RoleQuery<'a> {
    /// The query for one credential: not for that of a subject that the caller acts for.
    fn from(principal: &'a Principal) -> Self {
        Self {
            issuer: principal.issuer(),
            method: principal.method(),
            roles: principal.role_list(),
            subject: principal.subject(),
            tenant: principal.own_tenant(),
        }
    }
}
