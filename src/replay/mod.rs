//! Proofs that were seen, RFC 9449 §11.1.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Eventual, digest::Digest, error::Unavailable, time::UnixTime};

/// A proof that a request was made with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UsedProof {
    /// The thumbprint of its key.
    pub key: Digest,
    /// The digest of its `jti`, of all proofs with this key.
    pub id: Digest,
    /// Until which second, that one included, it would be good.
    pub until: UnixTime,
    /// When the request came.
    pub now: UnixTime,
}

impl UsedProof {
    /// For tests of a guard.
    #[must_use]
    pub const fn new(key: Digest, id: Digest, until: UnixTime, now: UnixTime) -> Self {
        Self { key, id, until, now }
    }

    /// One digest of key and id.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[*self.key.as_bytes(), *self.id.as_bytes()].concat())
    }
}

/// What becomes of a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayVerdict {
    /// There is no room to remember it: 503.
    Full,
    /// There is no room for more proofs with its key: the request is refused, and those of others are not.
    KeyFull,
    /// It was not seen before, and is remembered.
    New,
    /// It was seen before.
    Replayed,
}

/// Remembers which proofs were seen.
pub trait ReplayGuard: Send + Sync + 'static {
    /// Tells whether the proof is new, and remembers it for as long as it would be good, in one step: of two requests
    /// at once with the same proof, one is [`New`](ReplayVerdict::New).
    ///
    /// An error is a request that is answered with 503.
    fn spend(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>>;
}

impl<G: ReplayGuard + ?Sized> ReplayGuard for Arc<G> {
    fn spend(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        (**self).spend(proof)
    }
}

/// Remembers proofs in memory: 100 000 by default, and 1 000 for each key. When it is full, requests are refused: nothing
/// is forgotten before its time.
///
/// Clones share everything.
#[derive(Clone)]
pub struct MemoryReplayGuard {
    bound: NonZeroUsize,
    key_bound: NonZeroUsize,
    seen: Arc<Mutex<Seen>>,
}

impl MemoryReplayGuard {
    /// So many proofs at most, and so many for each key.
    #[must_use]
    pub fn new(bound: NonZeroUsize, key_bound: NonZeroUsize) -> Self {
        Self { bound, key_bound, seen: Arc::default() }
    }
}

impl Default for MemoryReplayGuard {
    fn default() -> Self {
        const BOUND: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");
        const KEY_BOUND: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");
        Self::new(BOUND, KEY_BOUND)
    }
}

impl ReplayGuard for MemoryReplayGuard {
    fn spend(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        let digest = proof.digest();
        // Whoever panicked here has left nothing half done.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(proof.now);
        Eventual::Now(Ok(seen.spend(proof, digest, self.bound, self.key_bound)))
    }
}

impl fmt::Debug for MemoryReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayGuard")
            .field("bound", &self.bound)
            .field("key_bound", &self.key_bound)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Seen {
    /// What is forgotten next, first.
    ends: BinaryHeap<Reverse<End>>,
    /// Everything before this second may have been forgotten.
    forgotten: UnixTime,
    keys: HashMap<Digest, usize>,
    proofs: HashSet<Digest>,
}

/// When a proof is forgotten.
struct End {
    until: UnixTime,
    proof: Digest,
    key: Digest,
}

impl Seen {
    fn forget(&mut self, now: UnixTime) {
        self.forgotten = self.forgotten.max(now);
        while self.ends.peek().is_some_and(|Reverse(end)| end.until < self.forgotten) {
            let Some(Reverse(end)) = self.ends.pop() else { return };
            self.proofs.remove(&end.proof);
            if let Some(count) = self.keys.get_mut(&end.key) {
                *count -= 1;
                if *count == 0 {
                    self.keys.remove(&end.key);
                }
            }
        }
    }

    fn spend(
        &mut self,
        proof: &UsedProof,
        digest: Digest,
        bound: NonZeroUsize,
        key_bound: NonZeroUsize,
    ) -> ReplayVerdict {
        // A clock that was set back must not make good again what was forgotten.
        if proof.until < self.forgotten || self.proofs.contains(&digest) {
            return ReplayVerdict::Replayed;
        }
        if self.keys.get(&proof.key).is_some_and(|count| *count >= key_bound.get()) {
            return ReplayVerdict::KeyFull;
        }
        if self.proofs.len() >= bound.get() {
            return ReplayVerdict::Full;
        }
        self.proofs.insert(digest);
        *self.keys.entry(proof.key).or_default() += 1;
        self.ends.push(Reverse(End { until: proof.until, proof: digest, key: proof.key }));
        ReplayVerdict::New
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.until.cmp(&other.until)
    }
}
