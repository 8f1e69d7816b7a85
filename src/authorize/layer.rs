use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{policy::Policy, required_scopes::RequiredScopes, step_up::StepUp};
use crate::{
    Eventual,
    caller::{self, Principal, SenderConstraint},
    gate::{Check, Gate, sealed::Sealed},
    refusal::{Problem, Rejection},
    request::Head,
    scope::{Requirement, Scope},
};

/// Admits the requests that a [`Policy`] allows an authenticated caller to make.
///
/// Place it inside of [`AuthLayer`](crate::layer::AuthLayer); with axum, on single routes with `route_layer`. Without an
/// `AuthLayer` around it, it refuses every request with 500 and logs an error. It refuses requests without a credential with
/// 401.
///
/// # Examples
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
    /// A layer with this policy.
    #[must_use]
    pub fn new(policy: impl Policy) -> Self {
        Self { authorization: Arc::new(Authorization(Box::new(policy))), respond: Problem }
    }

    /// Requires all of these scopes. An empty list refuses every caller.
    #[must_use]
    pub fn all_of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self::new(RequiredScopes::all(scopes))
    }

    /// Requires at least one of these scopes; a refusal names all of them. An empty list refuses every caller.
    #[must_use]
    pub fn any_of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self::new(RequiredScopes::any(scopes))
    }

    /// Requires the scopes of a type that [`scopes!`](crate::scopes) has made, or of a combination of such types.
    #[must_use]
    pub fn scoped<N: Requirement>() -> Self {
        Self::new(RequiredScopes::of::<N>())
    }

    /// Requires a credential that is bound to its sender.
    ///
    /// Other credentials are refused with 401, so that the client obtains a bound one.
    ///
    /// # Examples
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

    /// Requires a strong or recent authentication of the user ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)).
    ///
    /// Place it inside of the layer that requires scopes, so that a caller without the scope is not sent to authenticate
    /// again.
    #[must_use]
    pub fn step_up(needed: StepUp) -> Self {
        Self::new(needed)
    }

    /// Requires that a closure returns `true`; otherwise the request is refused with 403.
    #[must_use]
    pub fn when(policy: impl Fn(&Principal, &Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::new(policy)
    }
}

impl<R> AuthorizeLayer<R> {
    /// Sets what makes the body of refusals: [`Problem`] by default.
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
