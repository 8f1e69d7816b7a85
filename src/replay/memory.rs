use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap, HashSet},
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::guard::{ReplayGuard, ReplayVerdict, UsedProof};
use crate::{Eventual, digest::Digest, error::Unavailable, time::UnixTime};

/// Records used proofs in memory: of up to 1000 requests a second by default, and of up to 10 a second of each key, at about
/// 200 bytes for each proof that is valid.
///
/// A proof is never removed before it expires. If there is no room for another proof, the request is refused: with 429 if
/// its key exceeds its own rate, otherwise with 503, and with `Retry-After`. A single key never takes all of the room, and
/// never more than half of a guard [for rates](Self::for_rates). Clones share their records.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use tower_warden::{dpop::Dpop, replay::MemoryReplayGuard};
///
/// let per_second = NonZeroU32::new(5_000).expect("not zero");
/// let per_key_and_second = NonZeroU32::new(50).expect("not zero");
/// let guard = MemoryReplayGuard::for_rates(per_second, per_key_and_second);
/// let dpop = Dpop::new("https://api.example.com")?.replay_guard(guard);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct MemoryReplayGuard {
    bounds: Bounds,
    records: Arc<Mutex<Records>>,
}

/// The number of proofs, in all and of each key.
#[derive(Clone, Copy, Debug)]
enum Bounds {
    Fixed(NonZeroUsize, NonZeroUsize),
    PerSecond(NonZeroU32, NonZeroU32),
}

impl MemoryReplayGuard {
    /// A guard that records up to `capacity` proofs, and up to `capacity_per_key` of each key, whatever the time for which
    /// they are valid. Prefer [`for_rates`](Self::for_rates).
    #[must_use]
    pub fn new(capacity: NonZeroUsize, capacity_per_key: NonZeroUsize) -> Self {
        Self { bounds: Bounds::Fixed(capacity, capacity_per_key), records: Arc::default() }
    }

    /// A guard with room for this many requests per second, and this many with proofs of one key, for as long as proofs are
    /// valid: see [`Dpop::window`](crate::dpop::Dpop::window).
    #[must_use]
    pub fn for_rates(per_second: NonZeroU32, per_key_and_second: NonZeroU32) -> Self {
        Self { bounds: Bounds::PerSecond(per_second, per_key_and_second), records: Arc::default() }
    }
}

impl Default for MemoryReplayGuard {
    fn default() -> Self {
        const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
        const PER_KEY_AND_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
        Self::for_rates(PER_SECOND, PER_KEY_AND_SECOND)
    }
}

impl ReplayGuard for MemoryReplayGuard {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        self.record_or_wait(proof).map(|outcome| outcome.map(|(verdict, _)| verdict))
    }

    fn record_or_wait(&self, proof: &UsedProof) -> Eventual<Result<(ReplayVerdict, Duration), Unavailable>> {
        let digest = proof.digest();
        // Look-up and insertion are in one critical section, so one of two concurrent requests is new. No code of users
        // runs within, so nothing is half done if a thread panicked here.
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.remove_expired(proof.now);
        Eventual::Now(Ok(records.record(proof, digest, self.bounds)))
    }
}

impl fmt::Debug for MemoryReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayGuard").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Bounds {
    /// The capacity in all, and for each key.
    fn capacities(self, window: Duration) -> (usize, usize) {
        // The last second of validity is included.
        let seconds = usize::try_from(window.as_secs()).unwrap_or(usize::MAX).saturating_add(1);
        let in_window = |rate: NonZeroU32| usize::try_from(rate.get()).unwrap_or(usize::MAX).saturating_mul(seconds);
        match self {
            // A single key leaves a place for another one.
            Self::Fixed(capacity, per_key) => (capacity.get(), per_key.get().min(capacity.get() - 1).max(1)),
            Self::PerSecond(rate, per_key) => (in_window(rate), in_window(per_key)),
        }
    }
}

#[derive(Default)]
struct Records {
    /// The proofs in the order of their expiry, the earliest on top.
    expiries: BinaryHeap<Reverse<Expiry>>,
    /// The expiries of the recorded proofs of each key, the earliest on top; never empty.
    keys: HashMap<Digest, BinaryHeap<Reverse<UnixTime>>>,
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
            if let Some(expiries) = self.keys.get_mut(&expiry.key) {
                // The earliest of the key, since it is the earliest of all.
                expiries.pop();
                if expiries.is_empty() {
                    self.keys.remove(&expiry.key);
                }
            }
        }
    }

    fn record(&mut self, proof: &UsedProof, digest: Digest, bounds: Bounds) -> (ReplayVerdict, Duration) {
        // After the clock was set back, a removed proof would seem new.
        if proof.until < self.removed_before || self.proofs.contains(&digest) {
            return (ReplayVerdict::Replayed, Duration::ZERO);
        }
        let (capacity, per_key) = bounds.capacities(proof.window);
        let free = capacity.saturating_sub(self.proofs.len());
        // A key may take as much as is left free. So one key takes at most half of the room, two keys two thirds, and none
        // takes the last place from another one.
        let share = match bounds {
            Bounds::Fixed(..) => capacity,
            Bounds::PerSecond(..) => free,
        };
        let (count, earliest) =
            self.keys.get(&proof.key).map_or((0, None), |expiries| (expiries.len(), expiries.peek()));
        // A place is free one second after the earliest expiry.
        let wait = |earliest: UnixTime| Duration::from_secs(earliest.as_secs().saturating_sub(proof.now.as_secs()) + 1);
        if let Some(Reverse(earliest)) = earliest.filter(|_| count >= per_key) {
            return (ReplayVerdict::KeyFull, wait(*earliest));
        }
        if free == 0 || count >= share {
            return (
                ReplayVerdict::Full,
                wait(self.expiries.peek().map_or(proof.until, |Reverse(expiry)| expiry.until)),
            );
        }
        self.proofs.insert(digest);
        self.keys.entry(proof.key).or_default().push(Reverse(proof.until));
        self.expiries.push(Reverse(Expiry { until: proof.until, proof: digest, key: proof.key }));
        (ReplayVerdict::New, Duration::ZERO)
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
