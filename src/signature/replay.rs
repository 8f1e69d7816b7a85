//! Signatures that are accepted once.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use crate::{
    Eventual,
    caller::SingleUse,
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    time::UnixTime,
};

/// The guard that records used signatures.
#[derive(Clone)]
pub(super) struct Replay {
    guard: Arc<dyn ReplayGuard>,
    pub(super) outage: Outage,
}

impl Replay {
    pub(super) fn new(guard: impl ReplayGuard) -> Self {
        Self { guard: Arc::new(guard), outage: Outage::of("replay guard") }
    }

    /// Records all valid signatures of a request; an error if one was recorded before.
    pub(super) fn record_all(&self, mut used: Vec<UsedProof>) -> Eventual<Result<(), Rejection>> {
        // Of two concurrent requests with the same signatures in different orders, one is accepted. A signature may be there
        // twice, under two labels.
        used.sort_by_key(|proof| *proof.digest().as_bytes());
        used.dedup_by_key(|proof| *proof.digest().as_bytes());
        let mut rest = used.into_iter();
        while let Some(proof) = rest.next() {
            match self.record(&proof) {
                Eventual::Now(Ok(())) => {}
                Eventual::Now(Err(rejection)) => return Eventual::Now(Err(rejection)),
                Eventual::Later(recorded) => {
                    let this = self.clone();
                    // The replay guard.
                    return Eventual::later(async move {
                        recorded.await?;
                        for proof in rest {
                            this.record(&proof).wait().await?;
                        }
                        Ok(())
                    });
                }
            }
        }
        Eventual::Now(Ok(()))
    }

    /// Records a signature; an error if it was recorded before.
    fn record(&self, used: &UsedProof) -> Eventual<Result<(), Rejection>> {
        let outage = self.outage.clone();
        self.guard.record_or_wait(used).map(move |outcome| require_new(outcome, &outage))
    }
}

impl Default for Replay {
    fn default() -> Self {
        // Not for rates: a policy may accept signatures for 24 hours, and each would be kept for as long.
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(400_000).expect("not zero");
        const CAPACITY_PER_KEY: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");
        Self::new(MemoryReplayGuard::new(CAPACITY, CAPACITY_PER_KEY))
    }
}

/// The valid signatures of a request, which are marked as used when it is admitted.
pub(super) struct UsedSignatures {
    pub(super) replay: Replay,
    pub(super) used: Vec<UsedProof>,
}

impl SingleUse for UsedSignatures {
    fn mark_used(&self, _: UnixTime) -> Eventual<Result<(), Rejection>> {
        self.replay.record_all(self.used.clone())
    }
}

fn require_new(outcome: Result<(ReplayVerdict, Duration), Unavailable>, outage: &Outage) -> Result<(), Rejection> {
    match outcome {
        Ok((ReplayVerdict::New, _)) => {
            outage.end();
            Ok(())
        }
        Ok((ReplayVerdict::Replayed, _)) => Err(super::refused(Reason::SIGNATURE_REPLAY)),
        Ok((ReplayVerdict::KeyFull, wait)) => {
            Err(Rejection::new(RejectionKind::Throttled, Reason::SIGNATURE_REPLAY_KEY_FULL).retry_after(wait))
        }
        Ok((ReplayVerdict::Full, wait)) => {
            outage.begin("full", || {
                log::warning!("the replay guard is full; requests are refused with 503 until it has room")
            });
            Err(Rejection::new(RejectionKind::Unavailable, Reason::SIGNATURE_REPLAY_FULL).retry_after(wait))
        }
        Err(error) => {
            outage.begin(Causes(&error), || {
                log::warning!(
                    error = %Causes(&error),
                    "signatures cannot be recorded; requests are refused with 503 until the replay guard responds"
                );
            });
            Err(Rejection::new(RejectionKind::Unavailable, Reason::SIGNATURE_REPLAY_UNAVAILABLE))
        }
    }
}
