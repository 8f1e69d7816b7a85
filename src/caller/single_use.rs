use crate::{Eventual, digest::Digest, refusal::Rejection, time::UnixTime};

/// Marks a credential that is valid for one request as used.
///
/// An authenticator whose credentials are made for one request, such as signatures of requests, sets it as
/// [`Identity::single_use`](super::Identity::single_use). The layer calls it last, after everything else about the request
/// was found valid: a request that is refused for another reason does not use its credential up.
///
/// # Examples
///
/// Tickets that are removed when they are used:
///
/// ```
/// use std::{collections::HashSet, sync::{Arc, Mutex}};
/// use tower_warden::{AuthMethod, Eventual, Identity, Reason, Rejection, RejectionKind, UnixTime, caller::SingleUse};
///
/// struct Ticket {
///     unused: Arc<Mutex<HashSet<u64>>>,
///     number: u64,
/// }
///
/// impl SingleUse for Ticket {
///     fn mark_used(&self, _: UnixTime) -> Eventual<Result<(), Rejection>> {
///         let was_unused = self.unused.lock().expect("no panic while locked").remove(&self.number);
///         let used = || Rejection::new(RejectionKind::Invalid, const { Reason::custom("ticket_used") });
///         Eventual::Now(if was_unused { Ok(()) } else { Err(used()) })
///     }
/// }
///
/// let ticket = Arc::new(Ticket { unused: Arc::new(Mutex::new(HashSet::from([7]))), number: 7 });
/// let mut identity = Identity::new("alice", AuthMethod::Custom("ticket"));
/// identity.single_use = Some(ticket.clone());
///
/// let now = UnixTime::from_secs(1_800_000_000);
/// assert!(matches!(ticket.mark_used(now), Eventual::Now(Ok(()))));
/// assert!(matches!(ticket.mark_used(now), Eventual::Now(Err(_))));
/// ```
pub trait SingleUse: Send + Sync {
    /// Marks the credential as used, in one atomic step: of two concurrent requests with the same credential, one succeeds.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::RejectionKind::Invalid) if it was used before, and
    /// [`Unavailable`](crate::RejectionKind::Unavailable) if that is unknown.
    fn mark_used(&self, now: UnixTime) -> Eventual<Result<(), Rejection>>;

    /// Returns whether [`mark_used`](Self::mark_used) records this proof of another credential of the same request: in the same
    /// replay guard, and for as long. Then the layer does not record it a second time. By default, it records none.
    fn records(&self, proof: &RecordedProof) -> bool {
        let _ = proof;
        false
    }
}

/// A proof of possession that a replay guard records when its request is admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecordedProof {
    /// The thumbprint of the key.
    pub key: Digest,
    /// The id of the proof, among those of the key.
    pub id: Digest,
    /// The last second in which the proof is valid.
    pub until: UnixTime,
    /// The address of the guard.
    pub(crate) guard: usize,
}

impl RecordedProof {
    /// Returns whether a record of this proof is also one of the other: it is of the same proof and guard, and lasts as long.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        (self.guard, self.key, self.id) == (other.guard, other.key, other.id) && self.until >= other.until
    }
}
