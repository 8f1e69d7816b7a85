//! Requests that wait for a fetch, because their key is not in the set.

use std::sync::{Arc, RwLockWriteGuard};

use tokio::{runtime::Handle, time::timeout};

use super::{
    key_set_cache::KeySetCache,
    pending_fetch::{FetchCompletion, PreparedFetch},
    state::{FoundKey, Sighting, State, unavailable},
};
use crate::{
    Eventual,
    jwt::{
        key::VerifyingKey,
        key_set::{Candidates, TriedKeys},
        source::{KeyRequest, OwnedKeyRequest},
    },
};

/// The next step of a request that needs an unknown key.
enum NextStep {
    Return(FoundKey),
    /// Wait for the fetch, which has to be started if it is given.
    Wait(FetchCompletion, Option<Box<PreparedFetch>>),
}

impl KeySetCache {
    /// Waits for fetches until the key is found, or a fetch that started after the request did not bring it.
    pub(super) fn wait_for_key(
        self: &Arc<Self>,
        request: &KeyRequest<'_>,
        sighting: Sighting,
        mut tried: TriedKeys,
    ) -> Eventual<FoundKey> {
        let last_started = self.read().started;
        let (mut completion, prepared) = match self.next_step(request, sighting, last_started, &mut tried) {
            NextStep::Return(found) => return Eventual::Now(found),
            NextStep::Wait(completion, prepared) => (completion, prepared),
        };
        // Started here, not in the future: the future may never be polled.
        if let (Some(prepared), Ok(runtime)) = (prepared, Handle::try_current()) {
            prepared.spawn(&runtime);
        }
        let (this, request) = (Arc::clone(self), OwnedKeyRequest::from(request));
        // Waits for the key set.
        Eventual::later(async move {
            let found = async {
                loop {
                    let _ = completion.await;
                    let prepared;
                    (completion, prepared) = match this.next_step(&request.borrow(), sighting, last_started, &mut tried)
                    {
                        NextStep::Return(found) => return found,
                        NextStep::Wait(completion, prepared) => (completion, prepared),
                    };
                    if let Some(prepared) = prepared {
                        prepared.spawn(&Handle::current());
                    }
                }
            };
            timeout(this.fetcher.timeout, found).await.unwrap_or_else(|_| Err(unavailable()))
        })
    }

    /// The next step of a request that came when fetch number `last_started` was the last one.
    ///
    /// A fetch that was in flight then may have read the key set before the issuer published the key, so its result decides
    /// nothing about an unknown `kid`. The result of any later fetch does.
    fn next_step(
        self: &Arc<Self>,
        request: &KeyRequest<'_>,
        sighting: Sighting,
        last_started: u64,
        tried: &mut TriedKeys,
    ) -> NextStep {
        let can_spawn = Handle::try_current().is_ok();
        let (mut state, key) = self.lock_after_trying(request, tried);
        let now = request.now;
        if let Some(key) = key {
            return NextStep::Return(Ok(Some(key)));
        }
        if let Some(found) = state.absent(request, sighting) {
            return NextStep::Return(found);
        }
        if state.finished > last_started {
            return NextStep::Return(state.unknown(request));
        }
        if let Some(completion) = &state.in_flight {
            return NextStep::Wait(completion.clone(), None);
        }
        let has_valid_keys = state.schedule.has_valid_keys(request.arrival());
        let name = state.fetchable_name(request);
        let cause = match (state.schedule.due(request.arrival()), name) {
            (None, Some(name)) if has_valid_keys => state.cause(name, sighting, now),
            (due, _) => due,
        };
        match cause {
            Some(cause) if can_spawn => {
                let (completion, prepared) =
                    self.prepare_fetch(&mut state, cause, name.map(|name| (name, request.algorithm)));
                NextStep::Wait(completion, Some(Box::new(prepared)))
            }
            _ => {
                if has_valid_keys {
                    state.schedule.request_fetch();
                    self.notify.notify_one();
                }
                NextStep::Return(state.unknown(request))
            }
        }
    }

    /// Locks the state, and returns the key for a request if the set has it. Signatures are verified without the lock, with each
    /// key once: only keys that were fetched meanwhile are tried.
    fn lock_after_trying(
        &self,
        request: &KeyRequest<'_>,
        tried: &mut TriedKeys,
    ) -> (RwLockWriteGuard<'_, State>, Option<Arc<VerifyingKey>>) {
        loop {
            let state = self.write();
            match state.candidates(request) {
                Candidates::Determined(key) => return (state, key),
                Candidates::Tried(keys, otherwise) if keys.iter().all(|key| tried.contains(key)) => {
                    return (state, otherwise);
                }
                candidates @ Candidates::Tried(..) => {
                    drop(state);
                    if let Some(key) = candidates.choose(request, tried) {
                        return (self.write(), Some(key));
                    }
                }
            }
        }
    }
}
