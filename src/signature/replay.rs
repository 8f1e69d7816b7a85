//! Signatures that are accepted once.

use std::num::NonZeroUsize;

use super::refused;
use crate::{
    Eventual,
    auth::Few,
    caller::{RecordedProof, SingleUse},
    reason::Reason,
    refusal::Rejection,
    replay::{MemoryReplayGuard, Recorder, ReplayGuard, ReplayReasons, UsedProof},
    time::UnixTime,
};

/// The guard that records used signatures.
#[derive(Clone)]
pub(super) struct Replay(pub(super) Recorder);

impl Replay {
    pub(super) fn new(guard: impl ReplayGuard) -> Self {
        Self(Recorder::new(guard, &REASONS))
    }

    /// Records all valid signatures of a request; an error if one was recorded before.
    pub(super) fn record_all(&self, used: &[UsedProof]) -> Eventual<Result<(), Rejection>> {
        self.0.record_all(used, refused)
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
    pub(super) used: Few<UsedProof>,
}

impl SingleUse for UsedSignatures {
    fn mark_used(&self, _: UnixTime) -> Eventual<Result<(), Rejection>> {
        self.replay.record_all(self.used.as_slice())
    }

    fn records(&self, proof: &RecordedProof) -> bool {
        let guard = self.replay.0.address();
        let mut records = self.used.as_slice().iter().map(|&UsedProof { key, id, until, .. }| RecordedProof {
            key,
            id,
            until,
            guard,
        });
        records.any(|record| record.includes(proof))
    }
}

static REASONS: ReplayReasons = ReplayReasons {
    replayed: Reason::SIGNATURE_REPLAY,
    key_full: Reason::SIGNATURE_REPLAY_KEY_FULL,
    full: Reason::SIGNATURE_REPLAY_FULL,
    unavailable: Reason::SIGNATURE_REPLAY_UNAVAILABLE,
};
