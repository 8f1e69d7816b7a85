use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap, HashSet},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use super::guard::{ReplayGuard, ReplayVerdict, UsedProof};
use crate::{Eventual, digest::Digest, error::Unavailable, time::UnixTime};

/// Records used proofs in memory: up to 100 000 by default, and up to 1 000 for each key.
///
/// A proof is never removed before it expires; when the guard is full, requests are refused. Clones share their records.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use tower_warden::{dpop::Dpop, replay::MemoryReplayGuard};
///
/// let capacity = NonZeroUsize::new(1_000_000).expect("not zero");
/// let capacity_per_key = NonZeroUsize::new(5_000).expect("not zero");
/// let guard = MemoryReplayGuard::new(capacity, capacity_per_key);
/// let dpop = Dpop::new("https://api.example.com")?.replay_guard(guard);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct MemoryReplayGuard {
    capacity: NonZeroUsize,
    capacity_per_key: NonZeroUsize,
    records: Arc<Mutex<Records>>,
}

impl MemoryReplayGuard {
    /// A guard that records up to `capacity` proofs, and up to `capacity_per_key` of each key.
    #[must_use]
    pub fn new(capacity: NonZeroUsize, capacity_per_key: NonZeroUsize) -> Self {
        Self { capacity, capacity_per_key, records: Arc::default() }
    }
}

impl Default for MemoryReplayGuard {
    fn default() -> Self {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");
        const CAPACITY_PER_KEY: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");
        Self::new(CAPACITY, CAPACITY_PER_KEY)
    }
}

impl ReplayGuard for MemoryReplayGuard {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        let digest = proof.digest();
        // Look-up and insertion are in one critical section, so one of two concurrent requests is new. No code of users
        // runs within, so nothing is half done if a thread panicked here.
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.remove_expired(proof.now);
        Eventual::Now(Ok(records.record(proof, digest, self.capacity, self.capacity_per_key)))
    }
}

impl fmt::Debug for MemoryReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayGuard")
            .field("capacity", &self.capacity)
            .field("capacity_per_key", &self.capacity_per_key)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Records {
    /// The proofs in the order of their expiry, the earliest on top.
    expiries: BinaryHeap<Reverse<Expiry>>,
    /// The number of recorded proofs of each key; never zero.
    keys: HashMap<Digest, usize>,
    proofs: HashSet<Digest>,
    /// The latest time of a request. Proofs that expired before it have been removed.
    removed_before: UnixTime,
}

/// The last second in which a recorded proof is valid.
struct Expiry {
    until: UnixTime,
    proof: Digest,
    key: Digest,
}

impl Records {
    fn remove_expired(&mut self, now: UnixTime) {
        self.removed_before = self.removed_before.max(now);
        while self.expiries.peek().is_some_and(|Reverse(expiry)| expiry.until < self.removed_before) {
            let Some(Reverse(expiry)) = self.expiries.pop() else { return };
            self.proofs.remove(&expiry.proof);
            if let Some(count) = self.keys.get_mut(&expiry.key) {
                *count -= 1;
                if *count == 0 {
                    self.keys.remove(&expiry.key);
                }
            }
        }
    }

    fn record(
        &mut self,
        proof: &UsedProof,
        digest: Digest,
        capacity: NonZeroUsize,
        capacity_per_key: NonZeroUsize,
    ) -> ReplayVerdict {
        // After the clock was set back, a removed proof would seem new.
        if proof.until < self.removed_before || self.proofs.contains(&digest) {
            return ReplayVerdict::Replayed;
        }
        if self.keys.get(&proof.key).is_some_and(|count| *count >= capacity_per_key.get()) {
            return ReplayVerdict::KeyFull;
        }
        if self.proofs.len() >= capacity.get() {
            return ReplayVerdict::Full;
        }
        self.proofs.insert(digest);
        *self.keys.entry(proof.key).or_default() += 1;
        self.expiries.push(Reverse(Expiry { until: proof.until, proof: digest, key: proof.key }));
        ReplayVerdict::New
    }
}

impl PartialEq for Expiry {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

impl Eq for Expiry {}

impl PartialOrd for Expiry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expiry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.until.cmp(&other.until)
    }
}
