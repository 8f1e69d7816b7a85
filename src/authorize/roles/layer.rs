use std::{fmt, sync::Arc};

use tower_layer::Layer;

#[cfg(any(feature = "api-key", feature = "jwt"))]
use super::cached::CachedRoles;
use super::{
    check::{DEPENDENCY, RoleCheck, RoleSource},
    directory::RoleDirectory,
};
use crate::{
    gate::Gate,
    outage::Outage,
    refusal::{Problem, Responder},
};

/// Adds the scopes that a caller has by its roles to those of its credential.
///
/// Place it inside of [`AuthLayer`](crate::layer::AuthLayer) and outside of whatever requires scopes:
/// [`AuthorizeLayer`](crate::layer::AuthorizeLayer), policies and [`Scoped`](crate::axum::Scoped) see the added scopes,
/// as [`Principal::holds`](crate::Principal::holds) and [`Principal::scopes`](crate::Principal::scopes) do. Without it,
/// a caller has the scopes of its credential only. If the caller [acts for](crate::Principal::acting_for) a subject,
/// the scopes of both are added.
///
/// The routes that manage API keys accept a `keys:admin` that was added here. But an administrator of a tenant mints keys with
/// the scopes of its own credentials only: keys would keep added ones after the role is withdrawn. If the directory grants
/// scopes to owners of API keys by their names, put these routes inside of this layer: they check what it grants to the owner.
///
/// Requests without a credential pass, if `AuthLayer` admits them. If the directory does not respond, the layer
/// responds with 503.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     authorize::RoleMap,
///     jwt::{Issuer, Jwt},
///     layer::{AuthLayer, AuthorizeLayer, RoleLayer},
///     scope::Scope,
///     testing::TestIssuer,
/// };
///
/// let issuer = TestIssuer::new("https://auth.example.com");
/// let rules = Issuer::new(issuer.name(), "https://api.example.com")?.roles_claim("roles");
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(Jwt::new(rules, issuer.clone())))
///     .layer(RoleLayer::new(RoleMap::new([("support", "billing:read"), ("admin", "billing:read billing:write")])?))
///     .layer(AuthorizeLayer::all_of([Scope::from_static("billing:write")]))
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = |role: &str| {
///     let token = issuer.token("alice").audience("https://api.example.com").claim("roles", [role]).sign();
///     let request = Request::builder().header("authorization", format!("Bearer {token}"));
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// assert_eq!(call("admin").await?.status(), 200);
/// assert_eq!(call("support").await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RoleLayer<R = Problem> {
    check: Arc<RoleCheck>,
    respond: Responder<R>,
}

impl RoleLayer {
    /// Queries a directory for each request, without a time-out: for one in memory, such as a
    /// [`RoleMap`](super::RoleMap). Its outages are logged, and are not notices.
    #[must_use]
    pub fn new(directory: impl RoleDirectory) -> Self {
        Self::of(RoleSource::Direct { directory: Arc::new(directory), outage: Outage::of(DEPENDENCY) })
    }

    /// Queries a directory through a cache.
    #[cfg(any(feature = "api-key", feature = "jwt"))]
    #[must_use]
    pub fn cached(roles: &CachedRoles) -> Self {
        Self::of(RoleSource::Cached(roles.clone()))
    }

    fn of(source: RoleSource) -> Self {
        Self { check: Arc::new(RoleCheck(source)), respond: Responder::default() }
    }

    /// Sets what gets notices of outages of a directory that is queried directly: nothing by default. A cached one has the
    /// environment of its [`CachedRoles`].
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn environment(self, environment: &crate::Environment) -> Self {
        if let (RoleSource::Direct { outage, .. }, Some(observer)) = (&self.check.0, environment.observer()) {
            outage.observed_by(&observer);
        }
        self
    }

    /// Sets what makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R>(self, respond: R) -> RoleLayer<R> {
        RoleLayer { check: self.check, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for RoleLayer<R> {
    type Service = Gate<S, RoleCheck, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.check), self.respond.clone())
    }
}

impl<R: Clone> Clone for RoleLayer<R> {
    fn clone(&self) -> Self {
        Self { check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for RoleLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleLayer").finish_non_exhaustive()
    }
}
