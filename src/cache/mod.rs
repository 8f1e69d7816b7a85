//! A cache that a revocation cannot lose a race against.
//!
//! A look-up in flight may have read a key as active before it was revoked, and may put it into the cache after. So
//! nothing is deleted here. Every entry carries the *generation* at which its look-up began; a revocation begins a new
//! generation and leaves a *tombstone*; and an entry counts, on each hit, only if it is not older than the tombstone.
//!
//! 1. Found and refused are two caches with bounds of their own, so that a flood of garbage evicts no good key.
//! 2. One look-up in flight per key; whoever asks meanwhile waits for it, and it goes on as long as one of them waits.
//! 3. In front of the good ones stands a small cache for each thread; what is in it counts by the same rules.
//! 4. Failures are never kept, and nothing is served past its lifetime, counted from before the look-up.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use moka::sync::Cache;

use self::{
    fence::Fence,
    flights::{Boarding, Flights, Landing},
    near::Near,
};
use crate::{
    digest::Digest,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::UnixTime,
};

mod fence;
mod flights;
mod near;
mod reason;

/// How far requests may differ about the time, because each reads the clock when it comes.
const SKEW: Duration = Duration::from_secs(2);

/// How often one request begins again because what it waited for was revoked meanwhile.
const ATTEMPTS: usize = 3;

/// What may be revoked.
pub(crate) trait Tagged: Clone + Send + Sync + 'static {
    /// By which name.
    fn tag(&self) -> &str;

    /// Whether what it rests on still stands; asked on each hit.
    fn is_current(&self, _now: UnixTime) -> bool {
        true
    }
}

/// What a look-up comes to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<V> {
    /// It panicked.
    Broken,
    /// What it depends on wants to be asked again after so long, for this reason.
    #[cfg_attr(not(feature = "introspection"), allow(dead_code, reason = "only issuers that are asked say so"))]
    Busy(Reason, Duration),
    /// What it depends on did not answer, for this reason.
    Down(Reason),
    /// A value.
    Found(V),
    /// None, for this reason.
    Refused(Reason),
}

impl<V> Outcome<V> {
    /// What a request comes to that needs it.
    pub(crate) fn verdict(self) -> Result<V, Rejection> {
        match self {
            Self::Broken => Err(Rejection::new(RejectionKind::Internal, Reason::PANICKED)),
            Self::Busy(reason, wait) => Err(Rejection::new(RejectionKind::Unavailable, reason).retry_after(wait)),
            Self::Down(reason) => Err(Rejection::new(RejectionKind::Unavailable, reason)),
            Self::Found(value) => Ok(value),
            Self::Refused(reason) => Err(Rejection::new(RejectionKind::Invalid, reason)),
        }
    }
}

/// Bounds and lifetimes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) positive_capacity: u64,
    pub(crate) positive_ttl: Duration,
    pub(crate) negative_capacity: u64,
    pub(crate) negative_ttl: Duration,
}

/// The cache. See the [module docs](self).
pub(crate) struct FencedCache<V> {
    limits: Limits,
    near: Near<Entry<V>>,
    found: Cache<Digest, Entry<V>>,
    refused: Cache<Digest, Entry<Reason>>,
    flights: Arc<Flights<V>>,
    fence: Fence,
}

#[derive(Clone)]
struct Entry<T> {
    value: T,
    generation: u64,
    since: UnixTime,
}

impl<T> Entry<T> {
    /// A clock that was set back makes an entry stale, not young.
    fn is_fresh(&self, lifetime: Duration, now: UnixTime) -> bool {
        self.since <= now && now < self.since + lifetime
    }
}

impl<V: Tagged> FencedCache<V> {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            near: Near::default(),
            found: Cache::new(limits.positive_capacity),
            refused: Cache::new(limits.negative_capacity),
            flights: Arc::default(),
            fence: Fence::default(),
        })
    }

    /// What is known of the key.
    pub(crate) fn get(&self, key: &Digest, now: UnixTime) -> Option<Result<V, Reason>> {
        if let Some(value) = self.near.get(key).and_then(|entry| self.current(entry, now)) {
            return Some(Ok(value));
        }
        if let Some(entry) = self.found.get(key)
            && let Some(value) = self.current(entry.clone(), now)
        {
            self.near.put(*key, entry);
            return Some(Ok(value));
        }
        if self.limits.negative_capacity == 0 {
            return None;
        }
        let refused = self.refused.get(key).filter(|entry| entry.is_fresh(self.limits.negative_ttl, now))?;
        self.fence.admits_refusal(refused.generation).then_some(Err(refused.value))
    }

    /// The generation now, to be asked for before a look-up begins whose result is [kept](Self::keep).
    #[cfg(feature = "jwt")]
    pub(crate) fn generation(&self) -> u64 {
        self.fence.generation()
    }

    /// Remembers what a look-up has found that began at this generation and time.
    pub(crate) fn keep(&self, key: Digest, value: V, generation: u64, since: UnixTime) {
        self.found.insert(key, Entry { value, generation, since });
    }

    /// Looks the key up, or waits for who does already.
    pub(crate) async fn load<F>(self: Arc<Self>, key: Digest, now: UnixTime, look_up: impl Fn() -> F) -> Outcome<V>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
    {
        let generation = self.fence.generation();
        for _ in 0..ATTEMPTS {
            let landing = match self.board(key, now, &look_up) {
                Boarding::Flight(flight) => flight.await,
                Boarding::Known(outcome) => return outcome,
            };
            let holds = match &landing.outcome {
                Outcome::Found(value) => self.fence.admits(landing.generation, value.tag()),
                // Where it began after the request came, it is true of some moment of the request's own.
                Outcome::Refused(_) => {
                    landing.generation >= generation || self.fence.admits_refusal(landing.generation)
                }
                Outcome::Broken | Outcome::Busy(..) | Outcome::Down(_) => true,
            };
            if holds {
                return landing.outcome;
            }
        }
        Outcome::Down(Reason::REVOKED_WHILE_LOADING)
    }

    /// Makes what is known under the tag count no more, also to look-ups in flight.
    pub(crate) fn forget(&self, tag: &str) {
        self.fence.bury(tag);
    }

    /// Makes everything that is known count no more.
    pub(crate) fn forget_all(&self) {
        self.fence.bury_all();
    }

    /// Makes every refusal count no more.
    pub(crate) fn forget_refusals(&self) {
        self.fence.bury_refusals();
    }

    /// What an entry holds, if it counts.
    fn current(&self, entry: Entry<V>, now: UnixTime) -> Option<V> {
        if !self.fence.admits(entry.generation, entry.value.tag()) {
            return None;
        }
        if now + SKEW < entry.since {
            // The clock was set back. What is cached would count again when it has caught up, far past its lifetime.
            self.fence.bury_all();
            return None;
        }
        (entry.is_fresh(self.limits.positive_ttl, now) && entry.value.is_current(now)).then_some(entry.value)
    }

    fn board<F>(self: &Arc<Self>, key: Digest, now: UnixTime, look_up: impl Fn() -> F) -> Boarding<V>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
    {
        // A flight may have landed since the cache was asked: what it brought was there before it left the schedule.
        let known = || match self.get(&key, now)? {
            Ok(value) => Some(Outcome::Found(value)),
            Err(reason) => Some(Outcome::Refused(reason)),
        };
        self.flights.join(key, known, |departure| {
            // Before the look-up begins: what is revoked from here on is younger than what it brings.
            let generation = self.fence.generation();
            let (cache, look_up) = (Arc::clone(self), look_up());
            async move {
                let _departure = departure;
                let outcome = AssertUnwindSafe(look_up).catch_unwind().await.unwrap_or(Outcome::Broken);
                match &outcome {
                    Outcome::Found(value) => cache.keep(key, value.clone(), generation, now),
                    Outcome::Refused(reason) => {
                        cache.refused.insert(key, Entry { value: *reason, generation, since: now });
                    }
                    Outcome::Broken | Outcome::Busy(..) | Outcome::Down(_) => {}
                }
                Landing { outcome, generation }
            }
        })
    }
}

impl<V> fmt::Debug for FencedCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedCache").field("limits", &self.limits).finish_non_exhaustive()
    }
}
