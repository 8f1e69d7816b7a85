use std::{fmt, sync::Arc, time::Duration};

use super::guard::{ReplayGuard, ReplayVerdict, UsedProof};
use crate::{
    Eventual,
    answer::within_time_out,
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// A guard, its state, and the refusals of proofs that it does not report as new.
#[derive(Clone)]
pub(crate) struct Recorder {
    guard: Arc<dyn ReplayGuard>,
    outage: Outage,
    reasons: &'static ReplayReasons,
}

/// The reasons of the refusals.
pub(crate) struct ReplayReasons {
    pub(crate) replayed: Reason,
    pub(crate) key_full: Reason,
    pub(crate) full: Reason,
    pub(crate) unavailable: Reason,
}

impl Recorder {
    pub(crate) fn new(guard: impl ReplayGuard, reasons: &'static ReplayReasons) -> Self {
        Self { guard: Arc::new(guard), outage: Outage::of("replay guard"), reasons }
    }

    /// The address of the guard, which clones share.
    #[cfg(feature = "signature")]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.guard).cast::<()>().addr()
    }

    #[cfg(feature = "audit")]
    pub(crate) fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.outage.observed_by(observer);
    }

    /// Records a proof. `replayed` makes the refusal of one that was recorded before.
    pub(crate) fn record(
        &self,
        used: &UsedProof,
        replayed: fn(Reason) -> Rejection,
    ) -> Eventual<Result<(), Rejection>> {
        let (outage, reasons) = (self.outage.clone(), self.reasons);
        match self.guard.record_or_wait(used) {
            Eventual::Now(outcome) => Eventual::Now(require_new(outcome, &outage, reasons, replayed)),
            // The replay guard.
            Eventual::Later(outcome) => Eventual::later(async move {
                require_new(within_time_out("the replay guard", outcome).await, &outage, reasons, replayed)
            }),
        }
    }

    /// Records all proofs of one request, by each of which it would be accepted again; an error if one was recorded before.
    #[cfg(feature = "signature")]
    pub(crate) fn record_all(
        &self,
        used: &[UsedProof],
        replayed: fn(Reason) -> Rejection,
    ) -> Eventual<Result<(), Rejection>> {
        if let [only] = used {
            return self.record(only, replayed);
        }
        // The order of two concurrent requests with the same proofs is the same, so one of them is accepted. A proof may be there
        // twice.
        let mut used = used.to_vec();
        used.sort_by_cached_key(|proof| *proof.digest().as_bytes());
        used.dedup_by_key(|proof| proof.digest());
        let mut rest = used.into_iter();
        while let Some(proof) = rest.next() {
            match self.record(&proof, replayed) {
                Eventual::Now(Ok(())) => {}
                Eventual::Now(Err(rejection)) => return Eventual::Now(Err(rejection)),
                Eventual::Later(recorded) => {
                    let this = self.clone();
                    // The replay guard.
                    return Eventual::later(async move {
                        recorded.await?;
                        for proof in rest {
                            this.record(&proof, replayed).wait().await?;
                        }
                        Ok(())
                    });
                }
            }
        }
        Eventual::Now(Ok(()))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

fn require_new(
    outcome: Result<(ReplayVerdict, Duration), Unavailable>,
    outage: &Outage,
    reasons: &ReplayReasons,
    replayed: fn(Reason) -> Rejection,
) -> Result<(), Rejection> {
    // No recorded proof is removed before it expires, so a proof that cannot be recorded is refused. Nothing is wrong with it:
    // the client sends too many.
    match outcome {
        Ok((ReplayVerdict::New, _)) => {
            outage.end();
            Ok(())
        }
        Ok((ReplayVerdict::Replayed, _)) => Err(replayed(reasons.replayed)),
        Ok((ReplayVerdict::KeyFull, wait)) => {
            Err(Rejection::new(RejectionKind::Throttled, reasons.key_full).retry_after(wait))
        }
        Ok((ReplayVerdict::Full, wait)) => {
            outage.begin("full", || {
                log::warning!("the replay guard is full; requests are refused with 503 until it has room")
            });
            Err(Rejection::new(RejectionKind::Unavailable, reasons.full).retry_after(wait))
        }
        Err(error) => {
            outage.begin(Causes(&error), || {
                log::warning!(
                    error = %Causes(&error),
                    "used proofs cannot be recorded; requests are refused with 503 until the replay guard responds"
                );
            });
            Err(Rejection::new(RejectionKind::Unavailable, reasons.unavailable))
        }
    }
}
