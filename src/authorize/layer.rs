use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    check::AuthorizationCheck, policy::Policy, required_scopes::RequiredScopes, step_up::StepUp, verdict::Verdict,
};
use crate::{
    caller::{Principal, SenderConstraint},
    gate::Gate,
    refusal::{Problem, Responder},
    request::Head,
    scope::{Requirement, Scope},
};

/// Admits the requests that a [`Policy`] allows an authenticated caller to make.
///
/// Place it inside of [`AuthLayer`](crate::layer::AuthLayer); with axum, on single routes with `route_layer`. Without an
/// `AuthLayer` around it, it refuses every request with 500 and logs an error. It refuses requests without a credential with
/// 401.
///
/// If an operation needs several scopes, state all of them in one layer, with [`All`](crate::scope::All) or with
/// [`and`](Self::and): a client obtains the scopes that a challenge names, and a layer cannot name those of layers inside of it.
/// See the [module docs](crate::authorize).
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
    check: Arc<AuthorizationCheck>,
    respond: Responder<R>,
}

impl AuthorizeLayer {
    /// A layer with this policy.
    #[must_use]
    pub fn new(policy: impl Policy) -> Self {
        Self { check: Arc::new(AuthorizationCheck::new(policy)), respond: Responder::default() }
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

    /// Requires that a closure admits the request: it returns `true`, or `Ok(())`.
    ///
    /// `false` is a 403 without a challenge. To name scopes that would help, or to set a reason and a code, return a
    /// `Result<(), Rejection>`.
    ///
    /// # Examples
    ///
    /// A scope that only some requests need:
    ///
    /// ```
    /// use tower_warden::{Principal, Rejection, layer::AuthorizeLayer, scope::scopes};
    ///
    /// scopes! {
    ///     /// Read the audit log.
    ///     pub AuditRead = "audit:read";
    /// }
    ///
    /// let audit = AuthorizeLayer::when(|caller, head| {
    ///     if head.uri.path().starts_with("/audit") && !caller.meets::<AuditRead>() {
    ///         return Err(Rejection::insufficient_scope([AuditRead::SCOPE].into_iter().collect()));
    ///     }
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn when<V: Verdict + 'static>(policy: impl Fn(&Principal, &Head<'_>) -> V + Send + Sync + 'static) -> Self {
        Self::new(policy)
    }
}

impl<R> AuthorizeLayer<R> {
    /// Adds the requirements of another layer, which are checked after those of this one. A refusal for a missing scope names
    /// the scopes of both. What makes the bodies of its refusals is dropped: that of this layer makes them.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_warden::{StepUp, layer::AuthorizeLayer, scope::Scope};
    ///
    /// let transfer = AuthorizeLayer::all_of([Scope::from_static("transfers:write")])
    ///     .and(AuthorizeLayer::any_of([Scope::from_static("eu"), Scope::from_static("us")]))
    ///     .and(AuthorizeLayer::step_up(StepUp::recent(Duration::from_secs(300))));
    /// ```
    #[must_use]
    pub fn and<R2>(self, other: AuthorizeLayer<R2>) -> Self {
        let AuthorizeLayer { check, .. } = other;
        Self { check: Arc::new(self.check.and(&check)), respond: self.respond }
    }

    /// Sets what makes the body of refusals, also of those of layers and extractors inside that have none: [`Problem`] by
    /// default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> AuthorizeLayer<R2> {
        AuthorizeLayer { check: self.check, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for AuthorizeLayer<R> {
    type Service = Gate<S, AuthorizationCheck, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.check), self.respond.clone())
    }
}

impl<R: Clone> Clone for AuthorizeLayer<R> {
    fn clone(&self) -> Self {
        Self { check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for AuthorizeLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer").finish_non_exhaustive()
    }
}
