//! Who may do what.

use std::sync::Arc;

use super::step_up::StepUp;
use crate::{
    Eventual,
    caller::Principal,
    caller::SenderConstraint,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scope::Scopes,
};

/// Decides whether a caller may make a request.
///
/// Closures over the principal and the head are policies too: `false` is 403.
pub trait Policy: Send + Sync + 'static {
    /// Decides; an error is [`Forbidden`](RejectionKind::Forbidden), [`StepUp`](RejectionKind::StepUp), or
    /// [`Unavailable`](RejectionKind::Unavailable) if a backend could not answer.
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>>;
}

impl<F> Policy for F
where
    F: Fn(&Principal, &Head<'_>) -> bool + Send + Sync + 'static,
{
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let refused = || Rejection::new(RejectionKind::Forbidden, Reason::POLICY);
        Eventual::Now(if self(principal, head) { Ok(()) } else { Err(refused()) })
    }
}

impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        (**self).decide(principal, head)
    }
}

/// Needs a credential that is bound to its sender.
impl Policy for SenderConstraint {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let refused = |reason| Rejection::new(RejectionKind::Invalid, reason);
        Eventual::Now(self.check(principal.confirmation()).map_err(refused))
    }
}

impl Policy for StepUp {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        Eventual::Now(self.check(principal))
    }
}

/// Needs scopes.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    pub(crate) scopes: Scopes,
    pub(crate) met: fn(&Scopes, &Principal) -> bool,
}

impl Policy for Needs {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let refused = || Rejection::insufficient_scope(self.scopes.clone());
        Eventual::Now(if (self.met)(&self.scopes, principal) { Ok(()) } else { Err(refused()) })
    }
}
