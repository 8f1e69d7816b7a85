//! A cache that a revocation cannot lose a race against.
//!
//! A look-up in flight may have read a key as active before it was revoked, and may put it into the cache after. So
//! nothing is deleted here. Every entry carries the *generation* at which its look-up began; a revocation begins a new
//! generation and leaves a *tombstone*; and an entry counts, on each hit, only if it is not older than the tombstone.
//!
//! 1. Found and refused are two caches with bounds of their own, so that a flood of garbage evicts no good key.
//! 2. One look-up in flight per key; whoever asks meanwhile waits for it, and it goes on as long as one of them waits.
//! 3. Failures are never kept, and nothing is served past its lifetime, counted from before the look-up.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use moka::sync::Cache;

use crate::{digest::Digest, time::UnixTime};

/// How many revocations are remembered one by one; with more, the oldest entries are dropped as a whole.
const TOMBSTONES: usize = 4096;

/// How often one request begins again because what it waited for was revoked meanwhile.
const ATTEMPTS: usize = 3;

/// What may be revoked.
pub(crate) trait Tagged: Clone + Send + Sync + 'static {
    /// By which name.
    fn tag(&self) -> &str;
}

/// What a look-up comes to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<V> {
    /// It panicked.
    Broken,
    /// What it depends on did not answer, for this reason.
    Down(&'static str),
    /// A value.
    Found(V),
    /// None, for this reason.
    Refused(&'static str),
}

/// Bounds and lifetimes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) found: u64,
    pub(crate) found_for: Duration,
    pub(crate) refused: u64,
    pub(crate) refused_for: Duration,
}

/// The cache. See the [module docs](self).
pub(crate) struct FencedCache<V> {
    limits: Limits,
    found: Cache<Digest, Entry<V>>,
    refused: Cache<Digest, Entry<&'static str>>,
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
            found: Cache::new(limits.found),
            refused: Cache::new(limits.refused),
            flights: Arc::default(),
            fence: Fence::default(),
        })
    }

    /// What is known of the key.
    pub(crate) fn get(&self, key: &Digest, now: UnixTime) -> Option<Result<V, &'static str>> {
        let found = self.found.get(key).filter(|entry| entry.is_fresh(self.limits.found_for, now));
        if let Some(entry) = found.filter(|entry| self.fence.admits(entry.generation, entry.value.tag())) {
            return Some(Ok(entry.value));
        }
        let refused = self.refused.get(key).filter(|entry| entry.is_fresh(self.limits.refused_for, now))?;
        self.fence.admits_refusal(refused.generation).then_some(Err(refused.value))
    }

    /// Looks the key up, or waits for who does already.
    pub(crate) async fn load<F>(self: Arc<Self>, key: Digest, now: UnixTime, look_up: impl Fn() -> F) -> Outcome<V>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            let landing = match self.board(key, now, &look_up) {
                Boarding::Flight(flight) => flight.await,
                Boarding::Known(outcome) => return outcome,
            };
            let holds = match &landing.outcome {
                Outcome::Found(value) => self.fence.admits(landing.generation, value.tag()),
                Outcome::Refused(_) => self.fence.admits_refusal(landing.generation),
                Outcome::Broken | Outcome::Down(_) => true,
            };
            if holds {
                return landing.outcome;
            }
        }
        Outcome::Down("revoked_while_loading")
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
            let generation = self.fence.generation.load(Ordering::Acquire);
            let (cache, look_up) = (Arc::clone(self), look_up());
            async move {
                let _departure = departure;
                let outcome = AssertUnwindSafe(look_up).catch_unwind().await.unwrap_or(Outcome::Broken);
                match &outcome {
                    Outcome::Found(value) => {
                        cache.found.insert(key, Entry { value: value.clone(), generation, since: now });
                    }
                    Outcome::Refused(reason) => {
                        cache.refused.insert(key, Entry { value: reason, generation, since: now });
                    }
                    Outcome::Broken | Outcome::Down(_) => {}
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

/// Which entries count.
#[derive(Debug, Default)]
struct Fence {
    generation: AtomicU64,
    /// Entries of an older generation do not count.
    floor: AtomicU64,
    /// Refusals of an older generation do not count.
    refusal_floor: AtomicU64,
    /// Entries that are not older than this need no look at the tombstones.
    last_burial: AtomicU64,
    graveyard: RwLock<Graveyard>,
}

#[derive(Debug, Default)]
struct Graveyard {
    tombstones: HashMap<Box<str>, u64>,
    order: VecDeque<(u64, Box<str>)>,
}

impl Fence {
    fn admits(&self, generation: u64, tag: &str) -> bool {
        if generation < self.floor.load(Ordering::Acquire) {
            return false;
        }
        if generation >= self.last_burial.load(Ordering::Acquire) {
            return true;
        }
        let graveyard = self.graveyard.read().unwrap_or_else(PoisonError::into_inner);
        graveyard.tombstones.get(tag).is_none_or(|buried| generation >= *buried)
    }

    fn admits_refusal(&self, generation: u64) -> bool {
        generation >= self.refusal_floor.load(Ordering::Acquire)
    }

    fn bury(&self, tag: &str) {
        let mut graveyard = self.graveyard.write().unwrap_or_else(PoisonError::into_inner);
        let generation = self.begin();
        graveyard.tombstones.insert(tag.into(), generation);
        graveyard.order.push_back((generation, tag.into()));
        if graveyard.order.len() > TOMBSTONES
            && let Some((oldest, tag)) = graveyard.order.pop_front()
        {
            if graveyard.tombstones.get(&tag) == Some(&oldest) {
                graveyard.tombstones.remove(&tag);
            }
            self.floor.fetch_max(oldest, Ordering::Release);
        }
        self.last_burial.fetch_max(generation, Ordering::Release);
    }

    fn bury_all(&self) {
        let mut graveyard = self.graveyard.write().unwrap_or_else(PoisonError::into_inner);
        let generation = self.begin();
        self.floor.fetch_max(generation, Ordering::Release);
        self.refusal_floor.fetch_max(generation, Ordering::Release);
        *graveyard = Graveyard::default();
    }

    fn bury_refusals(&self) {
        let generation = self.begin();
        self.refusal_floor.fetch_max(generation, Ordering::Release);
    }

    fn begin(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// The look-ups that are under way.
struct Flights<V>(Mutex<Schedule<V>>);

struct Schedule<V> {
    open: HashMap<Digest, (u64, WeakShared<Journey<V>>)>,
    next: u64,
}

type Journey<V> = Pin<Box<dyn Future<Output = Landing<V>> + Send>>;
type Flight<V> = Shared<Journey<V>>;

enum Boarding<V> {
    Flight(Flight<V>),
    Known(Outcome<V>),
}

#[derive(Clone, Debug)]
struct Landing<V> {
    outcome: Outcome<V>,
    generation: u64,
}

impl<V: Clone> Flights<V> {
    /// The flight for the key, or what became known meanwhile, or a new flight.
    ///
    /// The schedule holds flights weakly: one that nobody waits for any more is dropped, and leaves no trace.
    fn join<F>(
        self: &Arc<Self>,
        key: Digest,
        known: impl FnOnce() -> Option<Outcome<V>>,
        depart: impl FnOnce(Departure<V>) -> F,
    ) -> Boarding<V>
    where
        F: Future<Output = Landing<V>> + Send + 'static,
    {
        let mut schedule = self.lock();
        if let Some(flight) = schedule.open.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return Boarding::Flight(flight);
        }
        if let Some(outcome) = known() {
            return Boarding::Known(outcome);
        }
        let number = schedule.next;
        schedule.next += 1;
        let departure = Departure { flights: Arc::clone(self), key, number };
        let journey: Journey<V> = Box::pin(depart(departure));
        let flight = journey.shared();
        if let Some(weak) = flight.downgrade() {
            schedule.open.insert(key, (number, weak));
        }
        Boarding::Flight(flight)
    }
}

impl<V> Flights<V> {
    fn lock(&self) -> MutexGuard<'_, Schedule<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self(Mutex::new(Schedule { open: HashMap::new(), next: 0 }))
    }
}

/// Takes a flight off the schedule when it lands, or when the last who waited for it has left.
struct Departure<V> {
    flights: Arc<Flights<V>>,
    key: Digest,
    number: u64,
}

impl<V> Drop for Departure<V> {
    fn drop(&mut self) {
        let mut schedule = self.flights.lock();
        if schedule.open.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            schedule.open.remove(&self.key);
        }
    }
}
