//! Signatures that are accepted once.

use std::{sync::Arc, time::Duration};

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

    /// Records a signature; an error if it was recorded before.
    pub(super) fn record(&self, used: &UsedProof) -> Eventual<Result<(), Rejection>> {
        let outage = self.outage.clone();
        self.guard.record_or_wait(used).map(move |outcome| require_new(outcome, &outage))
    }
}

impl Default for Replay {
    fn default() -> Self {
        Self::new(MemoryReplayGuard::default())
    }
}

/// A verified signature that is marked as used when its request is admitted.
pub(super) struct UsedSignature {
    pub(super) replay: Replay,
    pub(super) used: UsedProof,
}

impl SingleUse for UsedSignature {
    fn mark_used(&self, _: UnixTime) -> Eventual<Result<(), Rejection>> {
        self.replay.record(&self.used)
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
