//! The state of a key set: the keys, when they are fetched, and the fetch that is in flight.

use std::{mem, sync::Arc};

use super::{
    failure::Misconfiguration,
    fetcher::{CacheValidators, FetchedKeys},
    pending_fetch::{FetchCompletion, FetchGuard},
    refresh_schedule::{FetchCause, RefreshSchedule},
    removed_kids::RemovedKids,
};
use crate::{
    error::Unavailable,
    jwt::{
        algorithm::Algorithm,
        key::VerifyingKey,
        key_set::{Candidates, KeySet, Thumbprints},
        source::KeyRequest,
    },
    time::{Arrival, UnixTime},
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
    /// The mistake in the configuration that the last fetch has found.
    pub(super) misconfiguration: Option<Misconfiguration>,
}

/// An earlier occurrence of an unknown name, or none. See [`Sightings`](super::sightings::Sightings).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sighting {
    First,
    Repeated,
}

/// The number of keys that a fetch added and removed, and of all keys.
pub(super) struct Changes {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) keys: usize,
}

impl State {
    /// The keys of the set that a request may be for. One of them is chosen without the lock, because that may verify
    /// signatures.
    ///
    /// It takes a shared reference so that a flood of unknown kids needs the read lock only, and does not block requests with
    /// known ones.
    pub(super) fn candidates(&self, request: &KeyRequest<'_>) -> Candidates {
        if self.schedule.has_valid_keys(request.arrival()) {
            self.keys.candidates(request)
        } else {
            Candidates::Determined(None)
        }
    }

    /// The result for a request whose key is not in the set; `None` if a fetch may find it.
    pub(super) fn absent(&self, request: &KeyRequest<'_>, sighting: Sighting) -> Option<FoundKey> {
        let now = request.now;
        let name = self.fetchable_name(request);
        let is_known_absent = name.is_some_and(|name| self.removed_kids.is_known_absent(name, now));
        if !self.schedule.has_valid_keys(request.arrival()) {
            // A well-formed set without any key was fetched after the key had been removed.
            return (is_known_absent && !self.schedule.has_failed()).then_some(Ok(None));
        }
        let Some(name) = name else { return Some(Ok(self.keys.misfit(request))) };
        let is_exhausted = self.schedule.is_fetch_requested() && self.cause(name, sighting, now).is_none();
        (self.in_flight.is_none() && (is_known_absent || is_exhausted)).then(|| self.unknown(request))
    }

    /// The budget from which a fetch for an unknown name is paid, if one is left.
    pub(super) fn cause(&self, name: &str, sighting: Sighting, now: UnixTime) -> Option<FetchCause> {
        if self.removed_kids.contains(name) {
            return (!self.removed_kids.is_known_absent(name, now)).then_some(FetchCause::RemovedKid);
        }
        let has_budget = match sighting {
            Sighting::First => self.schedule.is_cooled_down(now),
            Sighting::Repeated => self.schedule.has_reserve(now),
        };
        has_budget.then_some(FetchCause::UnknownKid)
    }

    /// The text by which a token refers to its key, if a fetch may find that key. Secret keys are not accepted from URLs, and
    /// whether a token without such a text was signed with a new key cannot be determined.
    pub(super) fn fetchable_name<'a>(&self, request: &KeyRequest<'a>) -> Option<&'a str> {
        let selection = self.keys.selection;
        selection.name(request).filter(|_| !Algorithm::is_symmetric(request.algorithm))
    }

    /// The result for a `kid` that is not in the set, or for another algorithm. If the last fetch failed, the key may be new.
    pub(super) fn unknown(&self, request: &KeyRequest<'_>) -> FoundKey {
        let has_valid_keys = self.schedule.has_valid_keys(request.arrival());
        if has_valid_keys && !self.schedule.has_failed() { Ok(self.keys.misfit(request)) } else { Err(unavailable()) }
    }

    /// Replaces the keys by those that were fetched. From here on, removed keys verify nothing, and cached tokens that they
    /// verified are refused.
    pub(super) fn apply(&mut self, fetched: FetchedKeys, fetch: &FetchGuard, at: Arrival) -> Changes {
        let ended = at.now;
        let is_empty = fetched.is_empty();
        self.validators = fetched.validators;
        self.misconfiguration = None;
        let Some(mut set) = fetched.keys else {
            self.schedule.record_unchanged(fetch.cause, fetch.started_at, ended, fetched.ttl);
            self.removed_kids.confirm(ended);
            self.extend_keys();
            return Changes { added: 0, removed: 0, keys: self.keys.keys.len() };
        };
        if is_empty {
            self.schedule.record_empty(fetch.cause, at);
        } else {
            self.schedule.record_success(fetch.cause, fetch.started_at, ended, fetched.ttl);
        }
        let (mut added, thumbprints) = (0, set.selection.thumbprints);
        for key in &mut set.keys {
            // A key that stays keeps its `Arc`, which cached tokens hold: its lifetime is extended for them as well. A renewed
            // certificate makes another key of it only where tokens name certificates.
            let is_unchanged = |current: &&Arc<VerifyingKey>| {
                current.is_same(key) && (thumbprints == Thumbprints::Ignore || current.has_same_certificates(key))
            };
            match self.keys.keys.iter().find(is_unchanged) {
                Some(current) => *key = Arc::clone(current),
                None => added += 1,
            }
        }
        let previous = mem::replace(&mut self.keys, set);
        self.extend_keys();
        self.removed_kids.retain(|kid| !self.keys.keys.iter().any(|key| key.kid() == Some(kid)));
        self.removed_kids.confirm(ended);
        let removed =
            previous.keys.iter().filter(|key| !self.keys.keys.iter().any(|current| Arc::ptr_eq(current, key)));
        let removed: Vec<_> = removed.collect();
        for key in &removed {
            key.retire();
            if let Some(kid) = key.kid() {
                self.removed_kids.insert(kid, ended);
            }
        }
        Changes { added, removed: removed.len(), keys: self.keys.keys.len() }
    }

    /// Records a failed fetch, and returns whether the keys are still used.
    pub(super) fn fail(&mut self, cause: FetchCause, at: Arrival) -> bool {
        self.schedule.record_failure(cause, at);
        self.removed_kids.confirm(at.now);
        if self.schedule.is_outlived(at.steady) {
            // Long responses compare their key with the clock only, which may have been set back.
            self.keys.keys.iter().for_each(|key| key.expire());
        }
        self.schedule.has_valid_keys(at)
    }

    fn extend_keys(&self) {
        self.keys.keys.iter().for_each(|key| key.use_until(self.schedule.expires_at()));
    }
}

pub(super) fn unavailable() -> Unavailable {
    Unavailable::new("the key set of an issuer")
}
