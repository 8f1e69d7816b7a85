use std::{fmt, sync::Arc};

use super::policy::Policy;
use crate::{
    Eventual,
    caller::Principal,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// The opposite of a policy: made by [`Policy::not`].
///
/// It refuses with 403 what the policy admits, and admits what the policy refuses with 401 or 403. What the policy could
/// not decide stays refused: every other status, and the reasons [`PEER_UNKNOWN`](Reason::PEER_UNKNOWN),
/// [`POLICY_FAILED`](Reason::POLICY_FAILED) and [`POLICY_UNDEFINED`](Reason::POLICY_UNDEFINED).
#[derive(Clone)]
pub struct Not(Arc<dyn Policy>);

impl Not {
    pub(super) fn new(policy: impl Policy) -> Self {
        Self(Arc::new(policy))
    }
}

impl Policy for Not {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        self.0.decide(principal, head).map(|verdict| match verdict {
            Ok(()) => Err(Rejection::new(RejectionKind::Forbidden, Reason::POLICY)),
            Err(rejection) if is_decision(&rejection) => Ok(()),
            undecided => undecided,
        })
    }
}

impl fmt::Debug for Not {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Not").finish_non_exhaustive()
    }
}

/// Refusals with these reasons do not mean that a policy has decided against the caller.
const UNDECIDED: &[Reason] = &[Reason::PEER_UNKNOWN, Reason::POLICY_FAILED, Reason::POLICY_UNDEFINED];

/// Returns whether a policy has decided against the caller, rather than failed to decide.
pub(super) fn is_decision(rejection: &Rejection) -> bool {
    let is_refusal = matches!(
        rejection.kind(),
        RejectionKind::Forbidden | RejectionKind::Invalid | RejectionKind::InvalidProof | RejectionKind::StepUp
    );
    is_refusal && !UNDECIDED.contains(&rejection.reason())
}
