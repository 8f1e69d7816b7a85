use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};
use tower_warden::scope::Scopes;

use super::{
    refresh::refresh,
    settings::{Moment, Settings},
    state::{Flight, State},
};
use crate::{TokenError, TokenErrorKind, TokenSource};

/// The state for one set of scopes, shared with the refresh in flight.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

/// The slots of a cache: one for its own scopes, and one for each set that was needed in addition.
#[derive(Default)]
pub(super) struct Slots {
    own: Arc<Slot>,
    others: Mutex<HashMap<Scopes, Arc<Slot>>>,
    task: OnceLock<AbortHandle>,
}

impl Slot {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a refresh, which is a task of its own: it ends, and its result is used, whichever request is cancelled. The
    /// task ends within the time limits of its attempts.
    ///
    /// The caller holds the lock of the state, and has found no refresh in flight. It starts the [`Departure`] after it has
    /// released the lock: a runtime that shuts down drops the task on this thread, which locks the state.
    pub(super) fn register(
        self: &Arc<Self>,
        state: &mut State,
        settings: &Settings,
        source: Arc<dyn TokenSource>,
        scopes: &Scopes,
    ) -> Result<(Flight, Departure), TokenError> {
        let missing = |_| TokenError::new(TokenErrorKind::Unavailable, "a refresh needs a tokio runtime");
        let runtime = Handle::try_current().map_err(missing)?;
        let number = state.next_flight();
        let landing = Landing { number, slot: Arc::clone(self) };
        let refresh = refresh(landing, settings.clone(), source, scopes.clone());
        let (sender, result) = oneshot::channel();
        let aborted = |_| TokenError::new(TokenErrorKind::Unavailable, "the refresh of the token was aborted");
        let flight = async move { result.await.unwrap_or_else(|error| Err(aborted(error))) }.boxed().shared();
        state.depart(number, flight.clone());
        let task = async move {
            // Nobody may wait any more.
            let _ = sender.send(refresh.await);
        };
        Ok((flight, Departure { runtime, task: task.boxed() }))
    }
}

/// A refresh that is registered and not started yet.
#[must_use]
pub(super) struct Departure {
    runtime: Handle,
    task: BoxFuture<'static, ()>,
}

impl Departure {
    pub(super) fn start(self) {
        self.runtime.spawn(self.task);
    }
}

/// Ends the registration of a refresh, also if its task panics or is aborted.
pub(super) struct Landing {
    number: u64,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.slot.state().land(self.number);
    }
}

impl Slots {
    /// The slot of a cache for its own scopes.
    pub(super) const fn own(&self) -> &Arc<Slot> {
        &self.own
    }

    /// The slot for these additional scopes.
    pub(super) fn slot(&self, scopes: &Scopes, moment: Moment) -> Arc<Slot> {
        if scopes.is_empty() {
            return Arc::clone(&self.own);
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = others.get(scopes) {
            return Arc::clone(slot);
        }
        if others.len() >= MAX_SLOTS {
            others.retain(|_, slot| !slot.state().is_idle(moment));
        }
        let slot = Arc::<Slot>::default();
        // Servers name scopes in challenges, so their number is limited; beyond it, nothing is cached.
        if others.len() < MAX_SLOTS {
            others.insert(scopes.clone(), Arc::clone(&slot));
        }
        slot
    }

    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.values().chain([&self.own]).map(Arc::clone).collect()
    }

    /// Ends this task with the cache, or at once if there is one already.
    pub(super) fn own_task(&self, task: AbortHandle) {
        if let Err(task) = self.task.set(task) {
            task.abort();
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// The number of sets of scopes whose tokens are cached.
const MAX_SLOTS: usize = 64;
