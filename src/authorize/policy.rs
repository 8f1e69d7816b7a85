use std::{borrow::Cow, iter, sync::Arc};

use super::{all_of::AllOf, any_of::AnyOf, named::Named, not::Not, step_up::StepUp, verdict::Verdict};
use crate::{
    Eventual,
    caller::{Principal, SenderConstraint},
    refusal::{Rejection, RejectionKind},
    request::Head,
    scope::{Scope, Scopes},
};

/// Decides whether an authenticated caller may make a request.
///
/// A closure over the principal and the head is a policy too: it refuses with 403 if it returns `false`, or with the
/// `Rejection` that it returns. A [`Rejection::with_code`] distinguishes refusals for clients, where that
/// reveals nothing. An async closure is a policy within [`policy_fn`](super::policy_fn). Policies are combined with
/// [`and`](Self::and), [`or`](Self::or) and [`not`](Self::not); see the [module docs](super).
///
/// # Examples
///
/// A policy with its own reason, which limits exports to callers of a tier:
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     Eventual, Head, Policy, Principal, Reason, Rejection, RejectionKind,
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     layer::{AuthLayer, AuthorizeLayer},
/// };
///
/// const TIER_WITHOUT_EXPORTS: Reason = Reason::custom("tier_without_exports");
///
/// /// Admits requests for CSV of callers with the tier `pro` only.
/// struct ExportsOfPro;
///
/// impl Policy for ExportsOfPro {
///     fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
///         let is_export = head.headers.get("accept").is_some_and(|media_type| media_type == "text/csv");
///         Eventual::Now(if !is_export || principal.tier() == Some("pro") {
///             Ok(())
///         } else {
///             Err(Rejection::new(RejectionKind::Forbidden, TIER_WITHOUT_EXPORTS))
///         })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, key) = keys.mint(NewKey::new("alice").tier("free")).await?;
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(keys))
///     .layer(AuthorizeLayer::new(ExportsOfPro))
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let call = |media_type: &str| {
///     let request = Request::get("/invoices").header("accept", media_type).header("x-api-key", key.expose());
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
///
/// assert_eq!(call("application/json").await?.status(), 200);
/// let refused = call("text/csv").await?;
/// assert_eq!(refused.status(), 403);
/// let rejection = refused.extensions().get::<Rejection>().expect("the layer inserts it");
/// assert_eq!(rejection.reason(), TIER_WITHOUT_EXPORTS);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Policy: Send + Sync + 'static {
    /// Decides on a request. Everything that is needed of the head is read before `Later` is returned.
    ///
    /// # Errors
    ///
    /// [`Forbidden`](RejectionKind::Forbidden) or [`StepUp`](RejectionKind::StepUp) if the caller may not make the
    /// request, and [`Unavailable`](RejectionKind::Unavailable) if a dependency does not answer.
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>>;

    /// The scopes that the policy requires of every caller, all of them or one: none by default. A layer asks once.
    ///
    /// A refusal for a missing scope names the scopes of all policies of its layer, and those of layers outside, so
    /// that a client obtains one token for the operation.
    fn scopes(&self) -> Scopes {
        Scopes::default()
    }

    /// Admits what both policies admit. This one decides first.
    fn and(self, other: impl Policy) -> AllOf
    where
        Self: Sized,
    {
        AllOf::new([Arc::new(self) as _, Arc::new(other) as _])
    }

    /// Admits what one of the policies admits. This one decides first, and the other one if it refuses or cannot
    /// decide.
    fn or(self, other: impl Policy) -> AnyOf
    where
        Self: Sized,
    {
        AnyOf::new([Arc::new(self) as _, Arc::new(other) as _])
    }

    /// Admits what the policy refuses, and refuses what it admits. Where it cannot decide, the request stays refused.
    fn not(self) -> Not
    where
        Self: Sized,
    {
        Not::new(self)
    }

    /// Names the policy. The audit event of a request shows the name of the policy that decided.
    fn named(self, name: impl Into<Cow<'static, str>>) -> Named
    where
        Self: Sized,
    {
        Named::new(name.into(), self)
    }
}

impl<F, V> Policy for F
where
    F: Fn(&Principal, &Head<'_>) -> V + Send + Sync + 'static,
    V: Verdict,
{
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        Eventual::Now(self(principal, head).into_result())
    }
}

impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        (**self).decide(principal, head)
    }

    fn scopes(&self) -> Scopes {
        (**self).scopes()
    }
}

/// Admits every caller: for what is declared and requires nothing more.
impl Policy for () {
    fn decide(&self, _: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        Eventual::Now(Ok(()))
    }
}

/// Requires the scope of the caller.
impl Policy for Scope {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let refused = || Rejection::insufficient_scope(self.scopes());
        Eventual::Now(if principal.holds(self) { Ok(()) } else { Err(refused()) })
    }

    fn scopes(&self) -> Scopes {
        [self.clone()].into_iter().collect()
    }
}

/// Requires that the credential of the caller is bound to its sender, and also that of the subject that it acts for.
impl Policy for SenderConstraint {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let refused = |reason| Rejection::new(RejectionKind::Invalid, reason).of_caller_without(*self, principal);
        let mut credentials = iter::once(principal).chain(principal.acting_for());
        let bound = credentials.try_for_each(|principal| self.check(principal.method(), principal.confirmation()));
        Eventual::Now(bound.map_err(refused))
    }
}

/// Requires a strong or recent authentication of the user.
impl Policy for StepUp {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        Eventual::Now(self.check(principal))
    }
}
