//! The copy of the list on one node.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tower_warden::{
    Clock, Environment, Eventual, Unavailable, UnixTime,
    caller::Identity,
    revocation::{MemoryRevocationList, Revocation, RevocationErrorKind, RevocationList, RevocationName},
};

/// Revocations may be missing.
const INCOMPLETE: u8 = 0;

/// No revocation is missing.
const COMPLETE: u8 = 1;

/// A revocation could not be stored, so one is always missing.
const TRUNCATED: u8 = 2;

/// The copy of the list on one node, and whether it is complete.
///
/// Invariant: while the state is `COMPLETE`, every revocation that was stored in Redis more than 80 milliseconds ago is in
/// `list`. The [`subscriber`](super::subscriber) sets the state only when this holds. `TRUNCATED` is final: the state is
/// changed by compare-and-swap between the other two only.
pub(super) struct Replica {
    list: MemoryRevocationList,
    state: AtomicU8,
}

impl Replica {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        let environment = Environment::default().with_clock(Arc::clone(clock));
        let list = MemoryRevocationList::default().environment(&environment);
        Self { list, state: AtomicU8::new(INCOMPLETE) }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMPLETE
    }

    pub(super) fn set_complete(&self) {
        let _ = self.state.compare_exchange(INCOMPLETE, COMPLETE, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn set_incomplete(&self) {
        let _ = self.state.compare_exchange(COMPLETE, INCOMPLETE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Queries the revocations that this node has received.
    pub(super) fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        self.list.is_revoked(identity)
    }

    pub(super) fn add(&self, revocation: Revocation, until: UnixTime) {
        let added = self.list.revoke(revocation, until);
        if added.is_err_and(|error| error.kind() != RevocationErrorKind::Expired) {
            self.truncate();
        }
    }

    /// Adds a revocation as Redis stores it. One that cannot be parsed may revoke any credential.
    pub(super) fn add_encoded(&self, name: &[u8], times: &[u8]) {
        match (RevocationName::from_bytes(name), parse_times(times)) {
            (Some(name), Some((issued_until, until))) => self.add(Revocation::new(name, issued_until), until),
            _ => self.truncate(),
        }
    }

    fn truncate(&self) {
        if self.state.swap(TRUNCATED, Ordering::AcqRel) != TRUNCATED {
            tracing::warn!("a revocation cannot be stored on this node; Redis is queried for each credential");
        }
    }
}

/// Parses the last covered second of issue, and the expiry of the covered credentials.
pub(super) fn parse_times(text: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let (issued_until, until) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let time = |text: &str| text.parse().ok().map(UnixTime::from_secs);
    Some((time(issued_until)?, time(until)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_lacks_a_revocation_is_never_complete_again() {
        let clock: Arc<dyn Clock> = Arc::new(tower_warden::SystemClock::default());
        let replica = Replica::new(&clock);
        replica.set_complete();
        assert!(replica.is_complete());
        replica.set_incomplete();
        assert!(!replica.is_complete());
        replica.add_encoded(b"?", b"1 2");
        replica.set_complete();
        assert!(!replica.is_complete());
    }
}
