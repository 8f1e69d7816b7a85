use std::sync::{Arc, Once};

use super::confirmation::{ConfirmationMethod, SenderConstraint};
use crate::{
    log,
    scheme::{Challenges, Presented, Schemes},
    scope::ScopeHierarchy,
};

/// The settings that a layer applies to all of its callers.
///
/// Aligned so that the reference counts of two threads are never in one cache line: each request increments one.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(crate) struct Terms {
    pub(crate) challenges: Arc<Challenges>,
    /// The challenges where a credential must be bound by a method, or by any.
    pub(crate) constrained: Arc<[(Option<ConfirmationMethod>, Arc<Challenges>)]>,
    pub(crate) delegated_scopes: DelegatedScopes,
    pub(crate) hierarchy: ScopeHierarchy,
    pub(crate) schemes: Arc<Schemes>,
    /// The warning that no credential can be bound as required.
    pub(crate) warning: Arc<Once>,
}

impl Terms {
    /// The challenges of a refusal of a credential that is not bound as a route requires.
    pub(super) fn challenges_of(&self, constraint: SenderConstraint) -> &Arc<Challenges> {
        let method = constraint.method();
        let known = self.constrained.iter().find(|(known, _)| *known == method).map(|(_, challenges)| challenges);
        if !known.is_some_and(|challenges| challenges.is_satisfiable()) {
            self.warn_of_unsatisfiable();
        }
        known.unwrap_or(&self.challenges)
    }

    /// Warns that no scheme and proof of the layer can meet a constraint; once, whatever the number of requests and routes.
    pub(crate) fn warn_of_unsatisfiable(&self) {
        self.warning.call_once(|| {
            log::warning!(
                "`sender_constrained` of a layer or route requires a binding that no scheme and proof of the AuthLayer can prove: \
                 every credential is refused; AuthLayer::proof and AuthLayer::dpop add proofs"
            );
        });
    }
}

/// The scopes that apply when a caller acts for a subject that presented a credential of its own.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DelegatedScopes {
    /// Those that both hold.
    #[default]
    Both,
    /// Those of the caller.
    Caller,
    /// Those of the subject.
    Subject,
}

/// The challenges of the layer that handled a request, and the scheme of the request's credential.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeTerms {
    pub(crate) challenges: Arc<Challenges>,
    pub(crate) presented: Presented,
}
