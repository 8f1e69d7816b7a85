//! Authorization: decisions on what an authenticated caller may do.
//!
//! [`AuthorizeLayer`] applies a [`Policy`] to routes. In axum handlers, [`Scoped`](crate::axum::Scoped) checks scopes
//! as well.
//!
//! | policy | requires |
//! |---|---|
//! | [`RequiredScopes`] | scopes, all or one of them |
//! | [`RequiredRoles`] | roles, all or one of them |
//! | [`RequiredClaim`](crate::jwt::RequiredClaim) | a value of a claim |
//! | [`RequiredAuthorization`](crate::jwt::RequiredAuthorization) | an entry of `authorization_details` (RFC 9396) |
//! | [`AllowedMethods`], [`AllowedNetworks`], [`AllowedTenants`] | one of the methods of authentication, networks, tenants |
//! | [`OwnTenant`] | the tenant of the caller in the path, a header field or the host |
//! | [`SenderConstraint`](crate::caller::SenderConstraint) | a credential that is bound to its sender |
//! | [`StepUp`] | a strong or recent authentication of the user |
//! | [`TimeOfDay`] | hours of the day |
//! | [`DecisionPoint`](crate::decision_point::DecisionPoint) | what another server decides |
//! | [`AbuseGuard`](crate::audit::AbuseGuard) | that the caller is not under an alert |
//! | `RegoPolicy` of the crate `tower-warden-rego` | what a policy in Rego decides |
//! | a closure, [`policy_fn`] | what a closure, or an async closure, decides |
//!
//! # Combined policies
//!
//! [`and`](Policy::and), [`or`](Policy::or) and [`not`](Policy::not) combine policies, and [`named`](Policy::named)
//! gives them a name for the audit event of the request:
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     Head, Policy, Principal,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     authorize::{AllowedTenants, RequiredScopes},
//!     caller::SenderConstraint,
//!     layer::{AuthLayer, AuthorizeLayer},
//!     scope::Scope,
//! };
//!
//! let safe = |_: &Principal, head: &Head<'_>| head.method.is_safe();
//! let destructive = safe.or(SenderConstraint::Certificate).named("destructive operations need a certificate");
//! let suspended = AllowedTenants::new(["umbrella"]);
//! let policy = RequiredScopes::all([Scope::from_static("billing")]).and(suspended.not()).and(destructive);
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, key) = keys.mint(NewKey::new("alice").tenant("acme").scopes("billing")).await?;
//! let service = ServiceBuilder::new()
//!     .layer(AuthLayer::new(keys))
//!     .layer(AuthorizeLayer::new(policy))
//!     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
//!
//! let read = Request::get("/").header("x-api-key", key.expose()).body(())?;
//! assert_eq!(service.clone().oneshot(read).await?.status(), 200);
//! let delete = Request::delete("/").header("x-api-key", key.expose()).body(())?;
//! assert_eq!(service.oneshot(delete).await?.status(), 401, "the key is not bound to a certificate");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A policy that cannot decide, for example because a dependency does not respond, never admits a request: `or` refuses
//! unless another policy admits, with 503 if a dependency does not respond, and `not` leaves the refusal as it is.
//!
//! # Two credentials
//!
//! If the caller [acts for](crate::Principal::acting_for) a subject, the policies consider:
//!
//! | of | policies |
//! |---|---|
//! | both | [`RequiredScopes`], unless [`delegated_scopes`](crate::layer::AuthLayer::delegated_scopes) is set to those of the caller; [`SenderConstraint`](crate::caller::SenderConstraint); [`OwnTenant::operators`] |
//! | the caller only | [`RequiredRoles`], [`RequiredClaim`](crate::jwt::RequiredClaim), [`AllowedMethods`] |
//! | the subject only, the user | [`StepUp`], [`RequiredAuthorization`](crate::jwt::RequiredAuthorization) |
//! | the caller, or the subject if the caller has no tenant | [`AllowedTenants`], [`OwnTenant`] |
//! | neither | [`AllowedNetworks`], [`TimeOfDay`] |
//! | what is sent | [`DecisionPoint`](crate::decision_point::DecisionPoint) |
//!
//! Two credentials of different tenants are refused by the layer.
//!
//! # Permissions by role
//!
//! A token that has a role, and no scopes, gets its permissions here: a [`RoleLayer`] between `AuthLayer` and
//! `AuthorizeLayer` adds the scopes of a [`RoleMap`] or of another [`RoleDirectory`].
//!
//! # All scopes of an operation
//!
//! A client obtains the scopes that a challenge names, and no others. If an operation needs several, state them in
//! *one* layer: with [`All`](crate::scope::All), with [`AuthorizeLayer::and`], or with [`Policy::and`]. Its challenge
//! names all of them.
//!
//! Layers that are stacked are evaluated from the outside to the inside, and each knows only of those outside. An inner
//! layer, or an extractor, names the scopes of the layers outside as well. An outer layer cannot name those of inner
//! ones: a client without any of the scopes is sent to the authorization server twice. The first such request logs a
//! warning.
//!
//! ```
//! use tower_warden::{layer::AuthorizeLayer, scope::scopes};
//!
//! scopes! {
//!     /// Read balances.
//!     pub BillingRead = "billing:read";
//!     /// Charge a card.
//!     pub BillingWrite = "billing:write";
//! }
//!
//! // One challenge: scope="billing:read billing:write"
//! let charge = AuthorizeLayer::scoped::<BillingRead>()
//!     .and(AuthorizeLayer::scoped::<BillingWrite>())
//!     .and(AuthorizeLayer::when(|caller, _| caller.tenant().is_some()));
//! ```

#[cfg(all(feature = "api-key", feature = "axum"))]
pub(crate) use self::roles::PassedRoles;
#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use self::roles::{CachedRoles, CachedRolesBuilder};
pub use self::{
    all_of::AllOf,
    allowed::{AllowedMethods, AllowedNetworks, AllowedTenants, RequiredRoles},
    any_of::AnyOf,
    check::{AuthorizationCheck, Authorized},
    layer::AuthorizeLayer,
    named::Named,
    not::Not,
    note::DecisionNote,
    own_tenant::OwnTenant,
    policy::Policy,
    policy_fn::{PolicyFn, policy_fn},
    required_scopes::RequiredScopes,
    roles::{Granted, RoleCheck, RoleDirectory, RoleLayer, RoleMap, RoleQuery},
    step_up::StepUp,
    time_of_day::{TimeOfDay, Weekday},
    verdict::Verdict,
};

mod all_of;
mod allowed;
mod any_of;
#[cfg(feature = "audit")]
mod audited;
mod check;
mod layer;
mod named;
mod not;
mod note;
mod own_tenant;
mod policy;
mod policy_fn;
mod reason;
mod required_scopes;
mod roles;
mod step_up;
mod time_of_day;
#[cfg(not(feature = "audit"))]
mod unaudited;
mod verdict;
