use std::borrow::Cow;

#[cfg(feature = "audit")]
use super::audited::Recorder;
#[cfg(not(feature = "audit"))]
use super::unaudited::Recorder;
use crate::{Eventual, refusal::Rejection, request::Head};

#[cfg(feature = "audit")]
pub(super) use super::audited::Noted;
#[cfg(not(feature = "audit"))]
pub(super) use super::unaudited::Noted;

/// The place where a policy notes its name and the rule that decided, for the audit event of the request.
///
/// It is for policies with rules of their own, such as those of a policy language. Other policies are
/// [named](super::Policy::named). Without an `AuditLayer`, nothing is noted.
///
/// # Examples
///
/// ```
/// use tower_warden::{Eventual, Head, Policy, Principal, Reason, Rejection, RejectionKind, authorize::DecisionNote};
///
/// /// A table of methods and the roles that may use them.
/// struct Table(Vec<(http::Method, &'static str)>);
///
/// impl Policy for Table {
///     fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
///         let rule = self.0.iter().find(|(method, _)| method == head.method);
///         DecisionNote::of(head).record("table", rule.map(|(_, role)| (*role).into()));
///         let is_allowed = rule.is_some_and(|(_, needed)| principal.roles().any(|role| role == *needed));
///         let refused = || Rejection::new(RejectionKind::Forbidden, Reason::ROLE_MISSING);
///         Eventual::Now(if is_allowed { Ok(()) } else { Err(refused()) })
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DecisionNote(Recorder);

/// The verdict of a policy, and what was noted about it.
pub(super) type Captured = (Result<(), Rejection>, Noted);

impl DecisionNote {
    /// The place for the notes of a request. A policy that decides later takes it along.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Self {
        Self(Recorder::of(head.extensions))
    }

    /// Returns whether nothing is noted about a request so far.
    pub(super) fn is_empty(head: &Head<'_>) -> bool {
        Recorder::is_empty(head.extensions)
    }

    /// Notes the name of the policy, and the rule if it has several. Of several notes about a request, the last one
    /// remains.
    pub fn record(&self, policy: impl Into<Cow<'static, str>>, rule: Option<Cow<'static, str>>) {
        if self.0.is_on() {
            self.0.set(Recorder::noted(policy.into(), rule));
        }
    }

    /// Records the name of a policy over what it has noted itself, which becomes the rule.
    pub(super) fn record_named(&self, name: Cow<'static, str>, noted: Noted) {
        if self.0.is_on() {
            self.0.set(Recorder::under(name, noted));
        }
    }

    /// Sets what the refusing policy has noted, or removes the note of another policy.
    pub(super) fn replace(&self, noted: Noted) {
        self.0.set(noted);
    }

    /// Sets what an admitting policy has noted, if anything.
    pub(super) fn keep(&self, noted: Noted) {
        self.0.keep(noted);
    }

    /// Evaluates a policy, and takes what it notes.
    ///
    /// The policies of a request are evaluated one after the other, so what is noted in between is the policy's own.
    pub(super) fn capture(&self, decide: impl FnOnce() -> Eventual<Result<(), Rejection>>) -> Eventual<Captured> {
        let before = self.0.take();
        match decide() {
            Eventual::Now(verdict) => {
                let noted = self.0.take();
                self.0.set(before);
                Eventual::Now((verdict, noted))
            }
            Eventual::Later(verdict) => {
                let early = self.0.take();
                self.0.set(before);
                let recorder = self.0.clone();
                // The dependencies of the policy.
                Eventual::later(async move {
                    let before = recorder.take();
                    recorder.set(early);
                    let verdict = verdict.await;
                    let noted = recorder.take();
                    recorder.set(before);
                    (verdict, noted)
                })
            }
        }
    }
}
