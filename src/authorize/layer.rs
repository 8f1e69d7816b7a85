use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    policy::{Needs, Policy},
    step_up::StepUp,
};
use crate::{
    Eventual,
    caller::SenderConstraint,
    caller::{self, Principal},
    gate::{Check, Gate, sealed::Sealed},
    refusal::Problem,
    refusal::Rejection,
    request::Head,
    scope::{Requirement, Scope, Scopes},
};

/// Lets through what a policy allows to an authenticated caller.
///
/// Stands inside of [`AuthLayer`](crate::layer::AuthLayer), route by route with axum's `route_layer`. Where that layer is
/// missing every request is answered with 500 and a line in the log; an anonymous request is answered with 401.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::{get, post}};
/// use tower_warden::{Principal, StepUp, layer::AuthorizeLayer, scope::{All, scopes}};
///
/// scopes! {
///     /// Read balances.
///     pub BillingRead = "billing:read";
///     /// Charge a card.
///     pub BillingWrite = "billing:write";
/// }
///
/// let app: Router = Router::new()
///     .route("/charges", post(async || "charged"))
///     .route_layer(AuthorizeLayer::step_up(StepUp::recent(Duration::from_secs(300))))
///     .route_layer(AuthorizeLayer::scoped::<All<(BillingRead, BillingWrite)>>())
///     .route("/balance", get(async || "12 EUR"))
///     .route_layer(AuthorizeLayer::any_of([BillingRead::SCOPE, BillingWrite::SCOPE]))
///     .route_layer(AuthorizeLayer::when(|caller, head| {
///         caller.tenant() == Some("acme") || head.method.is_safe()
///     }));
/// ```
pub struct AuthorizeLayer<R = Problem> {
    authorization: Arc<Authorization>,
    respond: R,
}

impl AuthorizeLayer {
    /// Asks a policy.
    #[must_use]
    pub fn new(policy: impl Policy) -> Self {
        Self { authorization: Arc::new(Authorization(Box::new(policy))), respond: Problem }
    }

    /// Needs all of these scopes; if there are none, nobody passes.
    #[must_use]
    pub fn all_of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        // Nothing that is asked for, a list that was left empty by mistake, is no reason to let everybody pass.
        let met =
            |needed: &Scopes, caller: &Principal| !needed.is_empty() && needed.iter().all(|scope| caller.holds(scope));
        Self::new(Needs { scopes: scopes.into_iter().collect(), met })
    }

    /// Needs one of these scopes, whichever; a refusal names them all. If there are none, nobody passes.
    #[must_use]
    pub fn any_of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let met = |needed: &Scopes, caller: &Principal| needed.iter().any(|scope| caller.holds(scope));
        Self::new(Needs { scopes: scopes.into_iter().collect(), met })
    }

    /// Needs what a type says, made by [`scopes!`](crate::scopes).
    #[must_use]
    pub fn scoped<N: Requirement>() -> Self {
        Self::new(Needs { scopes: N::scopes(), met: |_, caller| caller.meets::<N>() })
    }

    /// Needs a credential that is bound to its sender: others are answered with 401, so that a client gets itself one
    /// that is.
    ///
    /// ```
    /// use axum::{Router, routing::delete};
    /// use tower_warden::{caller::SenderConstraint, layer::AuthorizeLayer};
    ///
    /// let app: Router = Router::new()
    ///     .route("/users/{id}", delete(async || "deleted"))
    ///     .route_layer(AuthorizeLayer::sender_constrained(SenderConstraint::Certificate));
    /// ```
    #[must_use]
    pub fn sender_constrained(constraint: SenderConstraint) -> Self {
        Self::new(constraint)
    }

    /// Needs a user who has authenticated strongly, or recently, enough: RFC 9470.
    ///
    /// Beside scopes, stack it inside of the layer that asks for them: who lacks the scope is not sent to authenticate.
    #[must_use]
    pub fn step_up(needed: StepUp) -> Self {
        Self::new(needed)
    }

    /// Asks a closure; `false` is 403.
    #[must_use]
    pub fn when(policy: impl Fn(&Principal, &Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::new(policy)
    }
}

impl<R> AuthorizeLayer<R> {
    /// Makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> AuthorizeLayer<R2> {
        AuthorizeLayer { authorization: self.authorization, respond }
    }
}

impl<S, R: Clone> Layer<S> for AuthorizeLayer<R> {
    type Service = Gate<S, Authorization, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.authorization), self.respond.clone())
    }
}

impl<R: Clone> Clone for AuthorizeLayer<R> {
    fn clone(&self) -> Self {
        Self { authorization: Arc::clone(&self.authorization), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for AuthorizeLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer").finish_non_exhaustive()
    }
}

/// The check of [`AuthorizeLayer`].
pub struct Authorization(Box<dyn Policy>);

impl Sealed for Authorization {}

impl Check for Authorization {
    type Pass = ();

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let principal = match caller::of(head.extensions) {
            Ok(principal) => principal,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        match self.0.decide(principal, head) {
            Eventual::Now(verdict) => Eventual::Now(verdict.map_err(|refused| refused.of_caller(principal))),
            Eventual::Later(verdict) => {
                let principal = principal.clone();
                // The policy's dependency.
                Eventual::later(async move { verdict.await.map_err(|refused| refused.of_caller(&principal)) })
            }
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization")
    }
}
