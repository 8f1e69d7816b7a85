use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};
use tower_warden::scope::Scopes;

use super::{
    refresh::refresh,
    settings::Settings,
    state::{Pending, State},
};
use crate::{TokenError, TokenErrorKind, TokenSource};

/// The state for one set of scopes, shared with the pending refresh.
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
    /// The caller holds the lock of the state, and has found no pending refresh. It starts the [`Unstarted`] after it has
    /// released the lock: a runtime that shuts down drops the task on this thread, which locks the state.
    pub(super) fn register(
        self: &Arc<Self>,
        state: &mut State,
        settings: &Settings,
        source: Arc<dyn TokenSource>,
        scopes: &Scopes,
    ) -> Result<(Pending, Unstarted), TokenError> {
        let missing = |_| TokenError::new(TokenErrorKind::Unavailable, "a refresh needs a tokio runtime");
        let runtime = Handle::try_current().map_err(missing)?;
        let number = state.next_number();
        let registration = Registration { number, slot: Arc::clone(self) };
        let refresh = refresh(registration, settings.clone(), source, scopes.clone());
        let (sender, result) = oneshot::channel();
        let aborted = |_| TokenError::new(TokenErrorKind::Unavailable, "the refresh of the token was aborted");
        let pending = async move { result.await.unwrap_or_else(|error| Err(aborted(error))) }.boxed().shared();
        state.register(number, pending.clone());
        let task = async move {
            // Nobody may wait any more.
            let _ = sender.send(refresh.await);
        };
        Ok((pending, Unstarted { runtime, task: task.boxed() }))
    }
}

/// A refresh that is registered and not started yet.
#[must_use]
pub(super) struct Unstarted {
    runtime: Handle,
    task: BoxFuture<'static, ()>,
}

impl Unstarted {
    pub(super) fn start(self) {
        self.runtime.spawn(self.task);
    }
}

/// Ends the registration of a refresh, also if its task panics or is aborted.
pub(super) struct Registration {
    number: u64,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.slot.state().end(self.number);
    }
}

impl Slots {
    /// The slot of a cache for its own scopes.
    pub(super) const fn own(&self) -> &Arc<Slot> {
        &self.own
    }

    /// The slot for these additional scopes.
    pub(super) fn slot(&self, scopes: &Scopes, settings: &Settings) -> Arc<Slot> {
        if scopes.is_empty() {
            return Arc::clone(&self.own);
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = others.get(scopes) {
            return Arc::clone(slot);
        }
        if others.len() >= MAX_SLOTS {
            let moment = settings.moment();
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
