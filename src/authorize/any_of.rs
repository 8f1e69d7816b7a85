use std::{fmt, iter, sync::Arc};

use super::{
    not::is_decision,
    note::{Captured, DecisionNote, Noted},
    policy::Policy,
};
use crate::{
    Eventual,
    caller::Principal,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scope::Scopes,
};

/// Several policies, one of which must admit a request: made by [`Policy::or`].
///
/// They decide in order, and the first that admits the request decides. If none does, the refusal of a policy that could
/// not decide is returned, such as a 503; if all have decided, one that names what the client can obtain, such as a scope.
/// A refusal that names scopes names those of all alternatives.
#[derive(Clone)]
pub struct AnyOf {
    parts: Arc<[Arc<dyn Policy>]>,
    /// The scopes of all parts, if each of them requires some.
    scopes: Scopes,
}

impl AnyOf {
    pub(super) fn new(parts: impl IntoIterator<Item = Arc<dyn Policy>>) -> Self {
        let parts: Arc<[Arc<dyn Policy>]> = parts.into_iter().collect();
        let scopes: Vec<Scopes> = parts.iter().map(|part| part.scopes()).collect();
        let requires_some = !scopes.iter().any(Scopes::is_empty);
        let scopes = scopes.iter().filter(|_| requires_some).flat_map(Scopes::iter).cloned().collect();
        Self { scopes, parts }
    }
}

impl Policy for AnyOf {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let note = DecisionNote::of(head);
        let mut parts = self.parts.iter();
        let mut refused = Refused::default();
        while let Some(part) = parts.next() {
            let first = match note.capture(|| part.decide(principal, head)) {
                Eventual::Now(captured) => {
                    if refused.is_admitted_by(captured, &note) {
                        return Eventual::Now(Ok(()));
                    }
                    continue;
                }
                Eventual::Later(first) => first,
            };
            // All policies read the head before the first of them is awaited.
            let rest = parts.map(|part| note.capture(|| part.decide(principal, head)));
            let verdicts: Vec<_> = iter::once(Eventual::Later(first)).chain(rest).collect();
            // The policies' dependencies.
            return Eventual::later(async move {
                for verdict in verdicts {
                    if refused.is_admitted_by(verdict.wait().await, &note) {
                        return Ok(());
                    }
                }
                Err(refused.combine(&note))
            });
        }
        Eventual::Now(Err(refused.combine(&note)))
    }

    fn scopes(&self) -> Scopes {
        self.scopes.clone()
    }

    fn or(self, other: impl Policy) -> Self {
        Self::new(self.parts.iter().cloned().chain(iter::once(Arc::new(other) as _)))
    }
}

impl fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyOf").field("parts", &self.parts.len()).field("scopes", &self.scopes).finish()
    }
}

/// The refusals of the alternatives so far.
#[derive(Default)]
struct Refused(Vec<(Rejection, Noted)>);

impl Refused {
    /// Returns whether an alternative admits the request, and keeps its refusal otherwise.
    fn is_admitted_by(&mut self, (verdict, noted): Captured, note: &DecisionNote) -> bool {
        match verdict {
            Ok(()) => {
                note.keep(noted);
                true
            }
            Err(rejection) => {
                self.0.push((rejection, noted));
                false
            }
        }
    }

    /// The most helpful refusal, of several the first.
    fn combine(self, note: &DecisionNote) -> Rejection {
        let needed = self.0.iter().filter_map(|(rejection, _)| rejection.needed());
        let scopes: Vec<_> = needed.flat_map(Scopes::iter).cloned().collect();
        let most_helpful = self.0.into_iter().min_by_key(|(rejection, _)| rank(rejection));
        let (rejection, noted) = most_helpful.expect("there are at least two alternatives");
        note.replace(noted);
        rejection.also_needs(&scopes)
    }
}

/// The order in which refusals represent the request: those that are no decision first, because another credential may
/// not help; then those that name what would.
fn rank(rejection: &Rejection) -> u8 {
    match rejection.kind() {
        RejectionKind::Unavailable => 0,
        _ if !is_decision(rejection) => 1,
        _ if rejection.needed().is_some() => 2,
        RejectionKind::StepUp => 3,
        RejectionKind::Invalid | RejectionKind::InvalidProof => 4,
        _ if rejection.has_challenge_parameters() => 5,
        _ => 6,
    }
}
