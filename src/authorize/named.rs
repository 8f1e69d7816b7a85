use std::{borrow::Cow, fmt, sync::Arc};

use super::{note::DecisionNote, policy::Policy};
use crate::{Eventual, caller::Principal, refusal::Rejection, request::Head, scope::Scopes};

/// A policy with a name, which the audit event of a request shows if the policy decided: made by [`Policy::named`].
#[derive(Clone)]
pub struct Named {
    name: Cow<'static, str>,
    policy: Arc<dyn Policy>,
}

impl Named {
    pub(super) fn new(name: Cow<'static, str>, policy: impl Policy) -> Self {
        Self { name, policy: Arc::new(policy) }
    }
}

impl Policy for Named {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let note = DecisionNote::of(head);
        let captured = note.capture(|| self.policy.decide(principal, head));
        match captured {
            Eventual::Now((verdict, noted)) => {
                note.record_named(self.name.clone(), noted);
                Eventual::Now(verdict)
            }
            Eventual::Later(captured) => {
                let name = self.name.clone();
                // The dependencies of the policy.
                Eventual::later(async move {
                    let (verdict, noted) = captured.await;
                    note.record_named(name, noted);
                    verdict
                })
            }
        }
    }

    fn scopes(&self) -> Scopes {
        self.policy.scopes()
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("name", &self.name).finish_non_exhaustive()
    }
}
