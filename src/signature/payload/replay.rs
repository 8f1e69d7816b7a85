use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Eventual,
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
};

/// Records requests, so that each is accepted once.
#[derive(Clone)]
pub(in crate::signature) struct Replays {
    guard: Arc<dyn ReplayGuard>,
    outage: Outage,
}

impl Replays {
    pub(in crate::signature) fn new(guard: impl ReplayGuard) -> Self {
        Self { guard: Arc::new(guard), outage: Outage::of("replay guard") }
    }

    #[cfg(feature = "audit")]
    pub(in crate::signature) fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.outage.observed_by(observer);
    }

    /// Records a request. `replayed` makes the refusal of one that was recorded before.
    pub(in crate::signature) fn record(
        &self,
        used: &UsedProof,
        replayed: impl FnOnce(Reason) -> Rejection + Send + 'static,
    ) -> Eventual<Result<(), Rejection>> {
        let outage = self.outage.clone();
        self.guard.record_or_wait(used).map(move |outcome| settle(outcome, &outage, replayed))
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").finish_non_exhaustive()
    }
}

fn settle(
    outcome: Result<(ReplayVerdict, Duration), Unavailable>,
    outage: &Outage,
    replayed: impl FnOnce(Reason) -> Rejection,
) -> Result<(), Rejection> {
    match outcome {
        Ok((ReplayVerdict::New, _)) => {
            outage.end();
            Ok(())
        }
        Ok((ReplayVerdict::Replayed, _)) => Err(replayed(Reason::PAYLOAD_REPLAY)),
        Ok((ReplayVerdict::KeyFull, wait)) => {
            Err(Rejection::new(RejectionKind::Throttled, Reason::PAYLOAD_REPLAY_KEY_FULL).retry_after(wait))
        }
        Ok((ReplayVerdict::Full, wait)) => {
            outage.begin("full", || {
                log::warning!("the replay guard is full; requests are refused with 503 until it has room");
            });
            Err(Rejection::new(RejectionKind::Unavailable, Reason::PAYLOAD_REPLAY_FULL).retry_after(wait))
        }
        Err(error) => {
            outage.begin(Causes(&error), || {
                log::warning!(
                    error = %Causes(&error),
                    "signed requests cannot be recorded; they are refused with 503 until the replay guard responds"
                );
            });
            Err(Rejection::new(RejectionKind::Unavailable, Reason::PAYLOAD_REPLAY_UNAVAILABLE))
        }
    }
}
