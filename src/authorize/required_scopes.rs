use super::policy::Policy;
use crate::{
    Eventual,
    caller::Principal,
    refusal::Rejection,
    request::Head,
    scope::{Requirement, Scope, Scopes},
};

/// Requires scopes of the caller; a refusal names all of them.
///
/// [`AuthorizeLayer`](crate::layer::AuthorizeLayer) has the same requirements as constructors.
///
/// # Examples
///
/// ```
/// use tower_warden::{Policy, authorize::{AllowedTenants, RequiredScopes}, layer::AuthorizeLayer, scope::Scope};
///
/// let writers = RequiredScopes::all([Scope::from_static("billing:write")]);
/// let charge = AuthorizeLayer::new(writers.or(AllowedTenants::new(["operations"])));
/// ```
#[derive(Clone, Debug)]
pub struct RequiredScopes {
    is_met: fn(&Scopes, &Principal) -> bool,
    scopes: Scopes,
}

impl RequiredScopes {
    /// All of these scopes. An empty list, which may be a mistake, refuses every caller.
    #[must_use]
    pub fn all(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            is_met: |scopes, caller| !scopes.is_empty() && scopes.iter().all(|scope| caller.holds(scope)),
            scopes: scopes.into_iter().collect(),
        }
    }

    /// One or more of these scopes. An empty list refuses every caller.
    #[must_use]
    pub fn any(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            is_met: |scopes, caller| scopes.iter().any(|scope| caller.holds(scope)),
            scopes: scopes.into_iter().collect(),
        }
    }

    /// The scopes of a requirement.
    #[must_use]
    pub fn of<N: Requirement>() -> Self {
        Self { is_met: |_, caller| caller.meets::<N>(), scopes: N::scopes() }
    }
}

impl Policy for RequiredScopes {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let refused = || Rejection::insufficient_scope(self.scopes.clone());
        Eventual::Now(if (self.is_met)(&self.scopes, principal) { Ok(()) } else { Err(refused()) })
    }

    fn scopes(&self) -> Scopes {
        self.scopes.clone()
    }
}
