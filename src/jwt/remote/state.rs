//! The state of a key set: the keys, when they are fetched, and the fetch that is in flight.

use std::{mem, sync::Arc};

use super::{
    fetcher::{CacheValidators, FetchedKeys},
    pending_fetch::{FetchCompletion, FetchGuard},
    refresh_schedule::RefreshSchedule,
    removed_kids::RemovedKids,
};
use crate::{
    error::Unavailable,
    jwt::{
        algorithm::Algorithm,
        key::VerifyingKey,
        source::{KeyRequest, KeySet},
    },
    time::UnixTime,
};

pub(super) type FoundKey = Result<Option<Arc<VerifyingKey>>, Unavailable>;

#[derive(Default)]
pub(super) struct State {
    pub(super) keys: KeySet,
    pub(super) schedule: RefreshSchedule,
    pub(super) removed_kids: RemovedKids,
    pub(super) validators: CacheValidators,
    pub(super) in_flight: Option<FetchCompletion>,
    /// The number of the last fetch that was started. Numbers increase, and fetches finish in their order, because there is
    /// one at a time.
    pub(super) started: u64,
    /// The number of the last fetch that finished.
    pub(super) finished: u64,
    pub(super) is_issuer_mismatch: bool,
}

/// The number of keys that a fetch added and removed, and of all keys.
pub(super) struct Changes {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) keys: usize,
}

impl State {
    /// The result for a request that needs no fetch; `None` if a fetch may find the key.
    ///
    /// It takes a shared reference so that a flood of unknown kids needs the read lock only, and does not block requests with
    /// known ones.
    pub(super) fn known(&self, request: &KeyRequest<'_>) -> Option<FoundKey> {
        let now = request.now;
        if !self.schedule.has_valid_keys(now) {
            return None;
        }
        if let Some(key) = self.keys.find(request.kid, request.algorithm) {
            return Some(Ok(Some(Arc::clone(key))));
        }
        let Some(kid) = fetchable_kid(request) else { return Some(Ok(None)) };
        let is_exhausted = self.schedule.is_fetch_requested() && !self.schedule.is_cooled_down(now);
        let needs_no_fetch = self.removed_kids.contains(kid, now) || is_exhausted;
        (self.in_flight.is_none() && needs_no_fetch).then(|| self.unknown(now))
    }

    /// The result for a `kid` that is not in the set. If the last fetch failed, the key may be new.
    pub(super) fn unknown(&self, now: UnixTime) -> FoundKey {
        if self.schedule.has_valid_keys(now) && !self.schedule.has_failed() { Ok(None) } else { Err(unavailable()) }
    }

    /// Replaces the keys by those that were fetched. From here on, removed keys verify nothing, and cached tokens that they
    /// verified are refused.
    pub(super) fn apply(&mut self, fetched: FetchedKeys, fetch: &FetchGuard, ended: UnixTime) -> Changes {
        self.validators = fetched.validators;
        self.is_issuer_mismatch = false;
        let Some(mut set) = fetched.keys else {
            self.schedule.record_unchanged(fetch.cause, fetch.started_at, ended, fetched.ttl);
            self.extend_keys();
            return Changes { added: 0, removed: 0, keys: self.keys.keys.len() };
        };
        self.schedule.record_success(fetch.cause, fetch.started_at, ended, fetched.ttl);
        let mut added = 0;
        for key in &mut set.keys {
            // A key that stays keeps its `Arc`, which cached tokens hold: its lifetime is extended for them as well.
            match self.keys.keys.iter().find(|current| current.is_same(key)) {
                Some(current) => *key = Arc::clone(current),
                None => added += 1,
            }
        }
        let previous = mem::replace(&mut self.keys, set);
        self.extend_keys();
        let is_current = |key: &Arc<VerifyingKey>| self.keys.keys.iter().any(|current| Arc::ptr_eq(current, key));
        let removed: Vec<_> = previous.keys.iter().filter(|key| !is_current(key)).collect();
        for key in &removed {
            key.retire();
            if let Some(kid) = key.kid() {
                self.removed_kids.insert(kid, ended);
            }
        }
        Changes { added, removed: removed.len(), keys: self.keys.keys.len() }
    }

    fn extend_keys(&self) {
        self.keys.keys.iter().for_each(|key| key.use_until(self.schedule.expires_at()));
    }
}

/// A `kid` for which a fetch may find a key. Secret keys are not accepted from URLs, and whether a token without `kid` was
/// signed with a new key cannot be determined.
fn fetchable_kid<'a>(request: &KeyRequest<'a>) -> Option<&'a str> {
    request.kid.filter(|_| !Algorithm::is_symmetric(request.algorithm))
}

pub(super) fn unavailable() -> Unavailable {
    Unavailable::new("the key set of an issuer")
}
