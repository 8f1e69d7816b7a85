use std::{fmt, iter, sync::Arc};

use super::{
    note::{Captured, DecisionNote},
    policy::Policy,
};
use crate::{
    Eventual,
    caller::Principal,
    refusal::Rejection,
    request::Head,
    scope::{Scope, Scopes},
};

/// Several policies, all of which must admit a request: made by [`Policy::and`].
///
/// They decide in order, and the first refusal is that of the request. If it names scopes, it names those of the other
/// policies as well, so that a client obtains one token for the operation.
#[derive(Clone)]
pub struct AllOf {
    parts: Arc<[Arc<dyn Policy>]>,
    /// The scopes of all parts; in an `Arc`, so that an admitted request notes them without an allocation.
    scopes: Option<Arc<Scopes>>,
}

impl AllOf {
    pub(crate) fn new(parts: impl IntoIterator<Item = Arc<dyn Policy>>) -> Self {
        let parts: Arc<[_]> = parts.into_iter().collect();
        let scopes: Vec<Scopes> = parts.iter().map(|part: &Arc<dyn Policy>| part.scopes()).collect();
        let scopes: Scopes = scopes.iter().flat_map(Scopes::iter).cloned().collect();
        Self { scopes: (!scopes.is_empty()).then(|| Arc::new(scopes)), parts }
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Arc<dyn Policy>> {
        self.parts.iter().cloned()
    }

    /// The scopes of all parts.
    pub(crate) const fn required(&self) -> Option<&Arc<Scopes>> {
        self.scopes.as_ref()
    }

    /// Completes a refusal by the scopes of the other policies. Of those that the caller meets, by the scopes by which
    /// it meets them.
    fn complete(&self, place: usize, rejection: Rejection, principal: &Principal) -> Rejection {
        let others = self.parts.iter().enumerate().filter(|(other, _)| *other != place);
        let scopes = others.flat_map(|(other, policy)| {
            let is_needed = |scope: &&Scope| other > place || principal.holds(scope);
            policy.scopes().iter().filter(is_needed).cloned().collect::<Vec<_>>()
        });
        rejection.also_needs(&scopes.collect::<Vec<_>>())
    }

    fn settle(
        &self,
        place: usize,
        (verdict, noted): Captured,
        note: &DecisionNote,
        principal: &Principal,
    ) -> Result<(), Rejection> {
        match verdict {
            Ok(()) => {
                note.keep(noted);
                Ok(())
            }
            Err(rejection) => {
                note.replace(noted);
                Err(self.complete(place, rejection, principal))
            }
        }
    }
}

impl Policy for AllOf {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        // The notes of a single policy are those of the request, unless a layer outside has some.
        if let [only] = &*self.parts
            && DecisionNote::is_empty(head)
        {
            return only.decide(principal, head);
        }
        let note = DecisionNote::of(head);
        let mut parts = self.parts.iter().enumerate();
        while let Some((place, part)) = parts.next() {
            let first = match note.capture(|| part.decide(principal, head)) {
                Eventual::Now(captured) => match self.settle(place, captured, &note, principal) {
                    Ok(()) => continue,
                    refused => return Eventual::Now(refused),
                },
                Eventual::Later(first) => first,
            };
            // All policies read the head before the first of them is awaited.
            let rest = parts.map(|(place, part)| (place, note.capture(|| part.decide(principal, head))));
            let verdicts: Vec<_> = iter::once((place, Eventual::Later(first))).chain(rest).collect();
            let (this, principal) = (self.clone(), principal.clone());
            // The policies' dependencies.
            return Eventual::later(async move {
                for (place, verdict) in verdicts {
                    this.settle(place, verdict.wait().await, &note, &principal)?;
                }
                Ok(())
            });
        }
        Eventual::Now(Ok(()))
    }

    fn scopes(&self) -> Scopes {
        self.scopes.as_deref().cloned().unwrap_or_default()
    }

    fn and(self, other: impl Policy) -> Self {
        Self::new(self.parts().chain(iter::once(Arc::new(other) as _)))
    }
}

impl fmt::Debug for AllOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllOf").field("parts", &self.parts.len()).field("scopes", &self.scopes).finish()
    }
}
