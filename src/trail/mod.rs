//! The trail of an audited request: what is known when it arrives, and the notes that layers make about it.

#[cfg(feature = "rate-limit")]
use std::sync::atomic::AtomicU32;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Extensions;

pub(crate) use self::{
    id::Id,
    notes::{Notes, Route},
    path::Path,
    received::Received,
};
pub use self::{
    id::{EventId, RequestId},
    notes::{AuditedCertificate, AuditedLimit, AuditedPolicy, Counted, Observation},
    trace::TraceContext,
};
use crate::{refusal::Rejection, request::Head, scope::Scopes};

mod id;
mod notes;
mod path;
mod received;
mod trace;

/// The trail of one request, in its extensions.
///
/// `AuditLayer` inserts the trail and takes the notes when the request has ended; later notes are lost.
#[derive(Clone)]
pub(crate) struct Trail(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// A policy has noted something. It is set within the lock, and read without it, because most requests have no such
    /// note. The policies of a request run one after the other, so each sees what those before it have noted.
    has_policy: AtomicBool,
    notes: Mutex<Notes>,
    /// The units left of the limit in the notes, which a limit with more of them leaves as it is. It is written within the
    /// lock, and read without it.
    #[cfg(feature = "rate-limit")]
    tightest: AtomicU32,
    /// Set before the trail is shared.
    received: Option<Received>,
}

impl Trail {
    /// The trail of a request that has arrived, with first notes. It is large, and therefore made in place: `Arc::new` would
    /// copy it.
    #[inline]
    pub(crate) fn new(received: impl FnOnce() -> Received, note: impl FnOnce(&mut Notes)) -> Self {
        let mut shared = Arc::<Shared>::default();
        let this = Arc::get_mut(&mut shared).expect("it is not shared yet");
        this.received = Some(received());
        #[cfg(feature = "rate-limit")]
        {
            this.tightest = AtomicU32::new(u32::MAX);
        }
        note(this.notes.get_mut().unwrap_or_else(PoisonError::into_inner));
        Self(shared)
    }

    pub(crate) fn received(&self) -> &Received {
        self.0.received.as_ref().expect("set by `new`")
    }

    /// The notes, locked.
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the state of a limit; of several, that with the fewest units left.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn limited(&self, remaining: u32, limit: impl FnOnce() -> AuditedLimit) {
        if remaining <= self.0.tightest.load(Ordering::Relaxed) {
            let mut notes = self.notes();
            if remaining <= self.0.tightest.load(Ordering::Relaxed) {
                self.0.tightest.store(remaining, Ordering::Relaxed);
                notes.limit = Some(limit());
            }
        }
    }

    /// Returns whether a policy was noted.
    pub(crate) fn has_policy(&self) -> bool {
        self.0.has_policy.load(Ordering::Relaxed)
    }

    /// Sets or removes the policy that decided.
    pub(crate) fn set_policy(&self, policy: Option<AuditedPolicy>) {
        if policy.is_some() || self.has_policy() {
            let mut notes = self.notes();
            self.0.has_policy.store(policy.is_some(), Ordering::Relaxed);
            notes.policy = policy;
            notes.policy_admitted = false;
        }
    }

    /// Takes the policy that decided, if one was noted.
    pub(crate) fn take_policy(&self) -> Option<AuditedPolicy> {
        if !self.has_policy() {
            return None;
        }
        let mut notes = self.notes();
        self.0.has_policy.store(false, Ordering::Relaxed);
        notes.policy.take()
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").field("received", &self.0.received).finish_non_exhaustive()
    }
}

/// Makes a note about a request, if it is audited.
pub(crate) fn note(extensions: &Extensions, note: impl FnOnce(&mut Notes)) {
    if let Some(trail) = extensions.get::<Trail>() {
        note(&mut trail.notes());
    }
}

/// Notes that the policies of a layer have admitted a request: if it is refused later, that is not the decision of the policy
/// that was noted. `required` are the scopes that layers have required so far.
pub(crate) fn note_admitted(extensions: &Extensions, required: Option<Arc<Scopes>>) {
    let Some(trail) = extensions.get::<Trail>() else { return };
    if required.is_some() || trail.has_policy() {
        let mut notes = trail.notes();
        notes.policy_admitted = true;
        if required.is_some() {
            notes.required = required;
        }
    }
}

/// Notes that a layer refuses a request, and where it came from, and its route, as far as outer layers know it.
pub(crate) fn note_refused(head: &Head<'_>, rejection: &Rejection) {
    note(head.extensions, |notes| {
        notes.see(head);
        notes.refusal = Some(rejection.clone());
    });
}
