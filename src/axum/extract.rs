use std::{fmt, marker::PhantomData, ops::Deref};

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{Extensions, request::Parts};

use crate::{
    caller::{self, Principal},
    reason::Reason,
    refusal::{Problem, Rejection, RejectionKind, Respond},
    scope::Requirement,
};

/// A caller whose scopes meet a requirement: a type made by [`scopes!`](crate::scopes),
/// [`All`](crate::scope::All) or [`Any`](crate::scope::Any) of several. A tuple requires all of its members.
///
/// Other callers are refused with 403 and a challenge that names the scopes. It dereferences to the [`Principal`]. See the
/// [module docs](super).
// The bound is on the type, so that a mistake is an error at the parameter of the handler, which names what to write.
pub struct Scoped<R: Requirement> {
    principal: Principal,
    requirement: PhantomData<fn() -> R>,
}

impl<R: Requirement> Scoped<R> {
    /// The caller of a request, from its extensions: where there are no extractors, such as in the tools of an MCP server.
    ///
    /// # Errors
    ///
    /// 403 if the caller lacks a scope, and the errors of [`Principal::of`].
    pub fn of(extensions: &Extensions) -> Result<Self, Rejection> {
        let principal = caller::of(extensions)?;
        if principal.meets::<R>() {
            #[cfg(feature = "audit")]
            super::required::note::<R>(extensions, principal);
            Ok(Self { principal: principal.clone(), requirement: PhantomData })
        } else {
            Err(Rejection::insufficient_scope(R::scopes()).of_caller(principal))
        }
    }

    /// Returns the caller.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        self.principal
    }
}

impl<R: Requirement> Deref for Scoped<R> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<R: Requirement> Clone for Scoped<R> {
    fn clone(&self) -> Self {
        Self { principal: self.principal.clone(), requirement: PhantomData }
    }
}

impl<R: Requirement> fmt::Debug for Scoped<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.principal).finish()
    }
}

impl<R: Requirement, S: Sync> FromRequestParts<S> for Scoped<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions)
    }
}

/// Extracts the caller, or `None` for a request without a credential under an optional layer. A caller that lacks a scope is
/// refused: `Result<Scoped<R>, Rejection>` leaves that to the handler.
impl<R: Requirement, S: Sync> OptionalFromRequestParts<S> for Scoped<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(caller) => Ok(Some(caller)),
            Err(rejection) if rejection.kind() == RejectionKind::Missing => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

/// The tenant of the caller: 403 if it has none.
///
/// It is that of the caller, and not what the request names: see [`OwnTenant`](crate::authorize::OwnTenant) for that.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Tenant(Box<str>);

impl Tenant {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let principal = caller::of(&parts.extensions)?;
        let refused = || Rejection::new(RejectionKind::Forbidden, Reason::CALLER_WITHOUT_TENANT).of_caller(principal);
        principal.tenant().map(|tenant| Self(tenant.into())).ok_or_else(refused)
    }
}

/// Extracts the caller of an authenticated request.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        caller::of(&parts.extensions).cloned()
    }
}

/// Extracts the caller, or `None` for a request without a credential under an optional layer.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        match caller::of(&parts.extensions) {
            Ok(principal) => Ok(Some(principal.clone())),
            Err(rejection) if rejection.kind() == RejectionKind::Missing => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

/// Makes a response with a [`Problem`] body. The layer outside replaces the body if it is
/// [configured](crate::layer::AuthLayer::respond_with) with another one.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let response: Response<Body> = Problem.respond(&self);
        self.provisional().apply_to(response)
    }
}
