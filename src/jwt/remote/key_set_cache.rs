//! The cached key set of one issuer, and the requests that need a key of it.
//!
//! # Invariants
//!
//! 1. *Separate budgets.* The [schedule](super::refresh_schedule) fetches keys before they expire, and unknown kids may cause
//!    one more fetch per cool-down. A fetch for an unknown `kid` moves the schedule only if it succeeds, when the keys are
//!    fresh. So made-up kids cause at most one fetch per cool-down, and never make the keys older. Those of
//!    [removed keys](super::removed_kids) have a budget of their own.
//! 2. *One fetch at a time.* [`prepare_fetch`](KeySetCache::prepare_fetch) is called under the write lock, after a check that
//!    `in_flight` is empty, and sets it. Only [`finish_fetch`](KeySetCache::finish_fetch) clears it.
//! 3. *A waiting request may leave.* A fetch is a task of its own; requests wait for its [`FetchCompletion`] only. When a
//!    request is dropped, the fetch and the other requests go on.
//! 4. *A lost fetch finishes.* If the task is dropped because the runtime shut down, or panics in a custom `Fetch`, the guard
//!    of the [pending fetch](super::pending_fetch) reports a failure when it is dropped. So `in_flight` is always cleared, and
//!    no request waits for a fetch that is gone.
//! 5. *A key that leaves the set verifies nothing.* [`State::apply`] retires it under the write lock, and cached tokens hold
//!    the same `Arc` of it. A key that stays keeps its `Arc`, so its cached tokens stay valid.
//! 6. *A failure removes no keys.* They are used until the end of their grace period.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify};

use super::{
    failure::{FetchError, Misconfiguration},
    fetcher::{FetchRequest, FetchedKeys, Fetcher},
    pending_fetch::{FetchCompletion, FetchGuard, PreparedFetch},
    refresh_schedule::FetchCause,
    refresh_task::RefreshTask,
    sightings::Sightings,
    state::{Changes, FoundKey, Sighting, State},
};
use crate::{
    Environment, Eventual,
    jwt::{algorithm::Algorithm, key_set::TriedKeys, source::KeyRequest},
    log::{self, Causes},
    metrics,
    outage::Outage,
    time::{Arrival, Clock},
};

/// The key set of an issuer. See the [module docs](self) for the invariants.
pub(super) struct KeySetCache {
    clock: Arc<dyn Clock>,
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn crate::notice::Observer>>,
    pub(super) fetcher: Arc<Fetcher>,
    /// The state of the server of the keys. It fails before requests do, which have the last keys.
    outage: Outage,
    /// Locked while `state` is, never the other way round.
    sightings: Mutex<Sightings>,
    /// Never held across an `await`, while a signature is verified, nor while a [`FetchGuard`] is dropped, which locks it.
    state: RwLock<State>,
    /// Wakes the refresh task when the schedule has changed, and when the cache is dropped.
    pub(super) notify: Arc<Notify>,
    pub(super) has_refresh_task: AtomicBool,
}

impl KeySetCache {
    pub(super) fn new(fetcher: Fetcher, environment: &Environment) -> Arc<Self> {
        let (fetcher, notify) = (Arc::new(fetcher), Arc::default());
        let outage = Outage::of_issuer("key set", fetcher.source.name());
        #[cfg(feature = "audit")]
        if let Some(observer) = environment.observer() {
            outage.observed_by(&observer);
        }
        Arc::new(Self {
            clock: environment.clock(),
            #[cfg(feature = "audit")]
            observer: environment.observer(),
            fetcher,
            outage,
            sightings: Mutex::default(),
            state: RwLock::default(),
            notify,
            has_refresh_task: AtomicBool::new(false),
        })
    }

    /// The key for a token. A request waits only if its key is unknown, or for another algorithm, and a fetch may
    /// bring it.
    pub(super) fn find(self: &Arc<Self>, request: &KeyRequest<'_>) -> Eventual<FoundKey> {
        self.ensure_refresh_task();
        // By the clock that the times of fetches are of, whatever the source of the request is.
        let request = &request.with_steady(self.clock.steady());
        let (candidates, is_due) = {
            let state = self.read();
            let is_due = state.in_flight.is_none() && state.schedule.due(request.arrival()).is_some();
            (state.candidates(request), is_due)
        };
        let mut tried = TriedKeys::default();
        let (found, sighting) = match candidates.choose(request, &mut tried) {
            Some(key) => (Some(Ok(Some(key))), Sighting::First),
            None => {
                let state = self.read();
                let sighting = self.sighting(&state, request);
                (state.absent(request, sighting), sighting)
            }
        };
        if is_due && found.is_some() {
            self.start_due_fetch(request.arrival());
        }
        found.map_or_else(|| self.wait_for_key(request, sighting, tried), Eventual::Now)
    }

    /// Returns whether tokens can be verified with the current keys.
    pub(super) fn is_ready(self: &Arc<Self>) -> bool {
        self.ensure_refresh_task();
        let now = Arrival::read(&*self.clock);
        let (has_valid_keys, is_due) = {
            let state = self.read();
            (state.schedule.has_valid_keys(now), state.schedule.due(now).is_some())
        };
        if is_due {
            // Until a readiness probe succeeds, there may be no other requests.
            self.start_due_fetch(now);
        }
        has_valid_keys
    }

    /// The mistake in the configuration that the last fetch has found.
    pub(super) fn misconfiguration(&self) -> Option<Misconfiguration> {
        self.read().misconfiguration.clone()
    }

    /// The server that is queried, for logs.
    pub(super) fn name(&self) -> &str {
        self.fetcher.source.name()
    }

    /// Waits for the fetch that is due or in flight, if there is one.
    pub(super) async fn wait_for_fetch(self: &Arc<Self>) {
        self.ensure_refresh_task();
        self.start_due_fetch(Arrival::read(&*self.clock));
        let in_flight = self.read().in_flight.clone();
        if let Some(completion) = in_flight {
            let _ = completion.await;
        }
    }

    /// Spawns the task that follows the schedule, unless it is running. Without a runtime, a later call does.
    pub(super) fn ensure_refresh_task(self: &Arc<Self>) {
        if self.has_refresh_task.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        // The swap decides between two threads that get here at the same time.
        if !self.has_refresh_task.swap(true, Ordering::AcqRel) {
            RefreshTask::new(self, Arc::clone(&self.notify)).spawn(&runtime);
        }
    }

    /// Starts the fetch that is due, and returns the time until the next one.
    pub(super) fn follow_schedule(self: &Arc<Self>) -> Duration {
        let now = Arrival::read(&*self.clock);
        self.start_due_fetch(now);
        self.read().schedule.time_until_due(now.now)
    }

    fn start_due_fetch(self: &Arc<Self>, now: Arrival) {
        let Ok(runtime) = Handle::try_current() else { return };
        let prepared = {
            let mut state = self.write();
            match state.schedule.due(now) {
                Some(cause) if state.in_flight.is_none() => Some(self.prepare_fetch(&mut state, cause, None).1),
                _ => None,
            }
        };
        if let Some(prepared) = prepared {
            prepared.spawn(&runtime);
        }
    }

    /// Records an unknown name, and returns an earlier occurrence. It only makes a difference during the cool-down.
    fn sighting(&self, state: &State, request: &KeyRequest<'_>) -> Sighting {
        let name = state.fetchable_name(request).filter(|_| !state.schedule.is_cooled_down(request.now));
        let is_repeated = name.is_some_and(|name| {
            let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
            sightings.is_repeated(name, request.now)
        });
        if is_repeated { Sighting::Repeated } else { Sighting::First }
    }

    /// Marks a fetch as in flight. The caller spawns it after it has released the lock.
    pub(super) fn prepare_fetch(
        self: &Arc<Self>,
        state: &mut State,
        cause: FetchCause,
        wanted: Option<(&str, Algorithm)>,
    ) -> (FetchCompletion, PreparedFetch) {
        state.started += 1;
        let (guard, completion) = FetchGuard::new(self, cause, state.started, Arrival::read(&*self.clock));
        state.in_flight = Some(completion.clone());
        let (validators, wanted) = (state.validators.clone(), wanted.map(|(name, algorithm)| (name.into(), algorithm)));
        let request = FetchRequest { cause, now: guard.started_at.now, validators, wanted };
        (completion, PreparedFetch::new(Arc::clone(&self.fetcher), request, guard))
    }

    /// Applies the result of a fetch, once for each that was prepared.
    pub(super) fn finish_fetch(&self, fetch: &FetchGuard, result: Result<FetchedKeys, FetchError>) {
        let ended = Arrival::read(&*self.clock);
        let changes = {
            let mut state = self.write();
            state.in_flight = None;
            state.finished = fetch.number;
            match result {
                Ok(fetched) => Ok(state.apply(fetched, fetch, ended)),
                Err(error) => {
                    state.misconfiguration = error.misconfiguration();
                    Err((error, state.fail(fetch.cause, ended)))
                }
            }
        };
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        metrics::key_set_fetched(|| self.fetcher.source.label(), changes.is_ok().then_some(ended.now.as_secs()));
        self.log(&changes);
        match &changes {
            Ok(_) => self.outage.end(),
            // The failure is logged above. After one for an unknown `kid`, the next fetch may be hours later.
            Err((error, has_valid_keys)) if fetch.cause == FetchCause::Schedule || !has_valid_keys => {
                self.outage.begin(Causes(error), || {});
            }
            Err(_) => {}
        }
        #[cfg(feature = "audit")]
        self.observe(&changes);
        self.notify.notify_one();
    }

    #[cfg(feature = "audit")]
    fn observe(&self, changes: &Result<Changes, (FetchError, bool)>) {
        if let (Ok(Changes { added, removed, .. }), Some(observer)) = (changes, &self.observer)
            && added + removed > 0
        {
            let issuer = self.name().into();
            observer.observe(crate::notice::Notice::IssuerKeysChanged { issuer, added: *added, removed: *removed });
        }
    }

    fn log(&self, changes: &Result<Changes, (FetchError, bool)>) {
        let name = self.name();
        match changes {
            Ok(Changes { removed, keys: 0, .. }) => {
                log::warning!(issuer = %name, removed = %removed, "the key set of an issuer contains no key that can be used");
            }
            Ok(Changes { added: 0, removed: 0, .. }) => {
                log::debug!(issuer = %name, "fetched keys, which are unchanged")
            }
            Ok(Changes { added, removed, keys }) => {
                log::info!(issuer = %name, keys = %keys, added = %added, removed = %removed, "the keys of an issuer changed");
            }
            Err((error, _)) if error.is_issuer_mismatch() => {
                log::error!(issuer = %name, error = %error, "the keys of an issuer are not fetched");
            }
            Err((error, has_valid_keys)) => {
                let current = if *has_valid_keys { "still used" } else { "none" };
                log::warning!(issuer = %name, current_keys = %current, error = %Causes(error), "the keys of an issuer could not be fetched");
            }
        }
    }

    // A panic under the lock can only come from a custom clock, which is read before anything depends on it. So the state
    // behind a poisoned lock is consistent.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeySetCache {
    fn drop(&mut self) {
        // The refresh task holds a weak reference, and exits when it wakes.
        self.notify.notify_one();
    }
}
