use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use moka::sync::Cache;

use super::{
    fingerprint::Fingerprint,
    generations::Generations,
    in_flight::{Completed, InFlight, Joined},
    outcome::{Failure, Outcome, Tagged},
    per_thread::PerThread,
};
use crate::{
    digest::Digest,
    metrics,
    reason::Reason,
    time::{Arrival, UnixTime},
};

/// The tolerated difference between the times of concurrent requests, since each reads the clock when it arrives.
const SKEW: Duration = Duration::from_secs(2);

/// The size of a value that takes one place of the capacity, in bytes; a larger one takes several.
const PLACE: usize = 4096;

/// The number of look-ups that one request joins when each is invalidated before it completes.
const ATTEMPTS: usize = 3;

/// Bounds and lifetimes of a cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) positive_capacity: u64,
    pub(crate) positive_ttl: Duration,
    pub(crate) negative_capacity: u64,
    pub(crate) negative_ttl: Duration,
}

/// A cache of verified and refused credentials. See the [module docs](super).
pub(crate) struct CredentialCache<V> {
    limits: Limits,
    /// The name in metrics.
    name: &'static str,
    per_thread: PerThread<Entry<V>>,
    values: Cache<Digest, Entry<V>>,
    refusals: Cache<Digest, Entry<Reason>>,
    in_flight: Arc<InFlight<V>>,
    generations: Generations,
    /// The latest time of a request, in seconds.
    latest: AtomicU64,
}

#[derive(Clone)]
struct Entry<T> {
    value: T,
    /// The generation at which its look-up began.
    generation: u64,
    /// The time of the request whose look-up it is.
    since: Arrival,
}

impl<T> Entry<T> {
    /// Returns whether the entry is within its lifetime by both times. If the clock was set back behind `since`, it is not,
    /// nor when the clock has reached `since` again.
    fn is_fresh(&self, lifetime: Duration, at: Arrival) -> bool {
        let is_within = |since: UnixTime, now: UnixTime| since <= now && now < since + lifetime;
        is_within(self.since.now, at.now) && at.steady < self.since.steady + lifetime
    }
}

impl<V: Tagged> Entry<V> {
    /// The places of the capacity that it takes.
    fn places(&self) -> u32 {
        u32::try_from(self.value.size().div_ceil(PLACE)).unwrap_or(u32::MAX).max(1)
    }
}

impl<V: Tagged> CredentialCache<V> {
    pub(crate) fn new(name: &'static str, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            name,
            per_thread: PerThread::default(),
            values: Cache::builder()
                .max_capacity(limits.positive_capacity)
                .weigher(|_, entry: &Entry<V>| entry.places())
                .build(),
            refusals: Cache::new(limits.negative_capacity),
            in_flight: Arc::default(),
            generations: Generations::default(),
            latest: AtomicU64::new(0),
        })
    }

    /// Returns the cached value of a credential that this thread has seen, if it is valid, for a request that has just
    /// arrived: without its digest. Otherwise its fingerprint, for [`find`](Self::find).
    pub(crate) fn recall(&self, credential: &str, at: Arrival) -> Result<V, Fingerprint> {
        self.note_time(at.now);
        let fingerprint = self.per_thread.fingerprint(credential.as_bytes());
        let recalled = self.recalled(&fingerprint, at).ok_or(fingerprint);
        if recalled.is_ok() {
            metrics::cache_looked_up(self.name, "hit");
        }
        recalled
    }

    /// Returns the cached value or refusal of a credential that was not [recalled](Self::recall), by its digest.
    pub(crate) fn find(&self, fingerprint: Fingerprint, key: &Digest, at: Arrival) -> Option<Result<V, Reason>> {
        let cached = self.cached(key, at);
        let result = match &cached {
            None => "miss",
            Some(Err(_)) => "refused",
            Some(Ok(_)) => "hit",
        };
        metrics::cache_looked_up(self.name, result);
        match cached? {
            Ok(entry) => {
                let value = entry.value.clone();
                // Larger entries would multiply the memory of each thread.
                if entry.places() == 1 {
                    self.per_thread.insert(fingerprint, entry);
                }
                Some(Ok(value))
            }
            Err(reason) => Some(Err(reason)),
        }
    }

    /// Returns the cached value or refusal of a key that is a digest itself, if it is valid, for a request that has just
    /// arrived.
    pub(crate) fn get(&self, key: &Digest, at: Arrival) -> Option<Result<V, Reason>> {
        self.note_time(at.now);
        let fingerprint = Fingerprint::from(key);
        match self.recalled(&fingerprint, at) {
            Some(value) => {
                metrics::cache_looked_up(self.name, "hit");
                Some(Ok(value))
            }
            None => self.find(fingerprint, key, at),
        }
    }

    /// The valid value that this thread has seen.
    fn recalled(&self, fingerprint: &Fingerprint, at: Arrival) -> Option<V> {
        self.per_thread.get(fingerprint, |entry| self.is_valid(entry, at).then(|| entry.value.clone()))
    }

    /// The valid entry or refusal of the shared caches, for a request that may have arrived some time ago, such as one whose
    /// look-up was invalidated.
    fn cached(&self, key: &Digest, at: Arrival) -> Option<Result<Entry<V>, Reason>> {
        if let Some(entry) = self.values.get(key).filter(|entry| self.is_valid(entry, at)) {
            return Some(Ok(entry));
        }
        if self.limits.negative_capacity == 0 {
            return None;
        }
        let refusal = self.refusals.get(key).filter(|entry| entry.is_fresh(self.limits.negative_ttl, at))?;
        self.generations.is_refusal_valid(refusal.generation).then_some(Err(refusal.value))
    }

    /// The current generation, to be read before a look-up whose value is [inserted](Self::insert).
    #[cfg(feature = "jwt")]
    pub(crate) fn generation(&self) -> u64 {
        self.generations.current()
    }

    /// Stores the value of a look-up that began at this generation and time.
    pub(crate) fn insert(&self, key: Digest, value: V, generation: u64, since: Arrival) {
        self.values.insert(key, Entry { value, generation, since });
    }

    /// Looks the key up, or waits for the look-up in flight.
    ///
    /// An outcome that was invalidated while the request waited is not returned; the request joins another look-up. But an
    /// outcome that was read after the request arrived was true during the request. It is returned although all entries were
    /// invalidated in the meantime, or all refusals: otherwise a steady stream of such invalidations would refuse every
    /// request. It is not returned if its own tag was invalidated.
    pub(crate) async fn load<F>(self: Arc<Self>, key: Digest, at: Arrival, look_up: impl Fn() -> F) -> Outcome<V>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
    {
        let arrival = self.generations.current();
        for _ in 0..ATTEMPTS {
            let completed = match self.join(key, at, &look_up) {
                Joined::Cached(outcome) => return outcome,
                Joined::Lookup(lookup) => lookup.await,
            };
            let is_valid = match &completed.outcome {
                Outcome::Found(value) => {
                    let (generation, tag) = (completed.generation, value.tag());
                    self.generations.is_valid(generation, tag)
                        || generation >= arrival && self.generations.is_tag_valid(generation, tag)
                }
                Outcome::Refused(_) => {
                    completed.generation >= arrival || self.generations.is_refusal_valid(completed.generation)
                }
                Outcome::Down(_) | Outcome::Panicked => true,
            };
            if is_valid {
                return completed.outcome;
            }
        }
        Outcome::Down(Failure::new(Reason::REVOKED_WHILE_LOADING, "revoked while it was looked up"))
    }

    /// Invalidates all values with this tag, also those whose look-up is in flight.
    pub(crate) fn invalidate(&self, tag: &str) {
        self.generations.invalidate(tag);
    }

    /// Invalidates all values and refusals.
    pub(crate) fn invalidate_all(&self) {
        self.generations.invalidate_all();
    }

    /// Invalidates all refusals.
    pub(crate) fn invalidate_refusals(&self) {
        self.generations.invalidate_refusals();
    }

    /// Returns whether an entry is valid. Every hit passes here, of the shared and of the per-thread cache.
    fn is_valid(&self, entry: &Entry<V>, at: Arrival) -> bool {
        self.generations.is_valid(entry.generation, entry.value.tag())
            && entry.is_fresh(self.limits.positive_ttl, at)
            && entry.value.is_current(at.now)
    }

    /// Invalidates all entries if the clock was set back: they would be fresh again when it reaches their time again, long
    /// past their lifetime. [`Clock::steady`](crate::Clock::steady) covers the case that no request arrives in between.
    ///
    /// Only for requests that have just arrived: the time of one that waits is behind that of others.
    fn note_time(&self, now: UnixTime) {
        let (now, latest) = (now.as_secs(), self.latest.load(Ordering::Relaxed));
        if now > latest {
            self.latest.fetch_max(now, Ordering::Relaxed);
        } else if now.saturating_add(SKEW.as_secs()) < latest {
            self.latest.store(now, Ordering::Relaxed);
            self.generations.invalidate_all();
        }
    }

    fn join<F>(self: &Arc<Self>, key: Digest, at: Arrival, look_up: impl Fn() -> F) -> Joined<V>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
    {
        let cached = || match self.cached(&key, at)? {
            Ok(entry) => Some(Outcome::Found(entry.value)),
            Err(reason) => Some(Outcome::Refused(reason)),
        };
        self.in_flight.join(key, cached, |registration| {
            // Read before the look-up begins, so that an invalidation during the look-up has a greater generation.
            let generation = self.generations.current();
            let (cache, look_up) = (Arc::clone(self), look_up());
            async move {
                // Dropped after the outcome is stored: see `InFlight::join`.
                let _registration = registration;
                let outcome = AssertUnwindSafe(look_up).catch_unwind().await.unwrap_or(Outcome::Panicked);
                match &outcome {
                    Outcome::Found(value) => cache.insert(key, value.clone(), generation, at),
                    Outcome::Refused(reason) => {
                        cache.refusals.insert(key, Entry { value: *reason, generation, since: at });
                    }
                    Outcome::Down(_) | Outcome::Panicked => {}
                }
                Completed { outcome, generation }
            }
        })
    }
}

impl<V> fmt::Debug for CredentialCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialCache").field("limits", &self.limits).finish_non_exhaustive()
    }
}
