//! The callers that sessions, tasks and events belong to.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};

use crate::{
    caller::Principal,
    digest::Digest,
    time::{Clock, UnixTime},
};

/// The number of callers whose sessions, tasks or events are known.
pub(super) const MAX_OWNERS: u64 = 10_000;

/// A caller, whichever of its credentials it presents: issuer, subject, client and tenant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Owner(Digest);

impl Owner {
    pub(super) fn of(principal: &Principal) -> Self {
        let mut text = Vec::with_capacity(128);
        for caller in std::iter::once(principal).chain(principal.acting_for()) {
            for part in [caller.issuer(), Some(caller.subject()), caller.client_id(), caller.tenant()] {
                // With its length, so that no two callers have the same text.
                let length = part.map_or(u64::MAX, |part| part.len() as u64);
                text.extend_from_slice(&length.to_be_bytes());
                text.extend_from_slice(part.unwrap_or_default().as_bytes());
            }
        }
        Self(Digest::of(&text))
    }
}

/// Ids of sessions or tasks, each of which belongs to the caller that it was made for. Their digests are kept.
///
/// An id is looked up among those of the caller, so that of another caller is unknown. Nothing that a caller does affects
/// the ids of others, up to the number of callers.
pub(super) struct Handles {
    clock: Arc<dyn Clock>,
    idle: Duration,
    per_owner: NonZeroUsize,
    of_owners: Cache<Owner, Arc<Mutex<HashMap<Digest, UnixTime>>>>,
}

impl Handles {
    pub(super) fn new(clock: Arc<dyn Clock>, idle: Duration, per_owner: NonZeroUsize) -> Self {
        let of_owners = Cache::builder().max_capacity(MAX_OWNERS).eviction_policy(EvictionPolicy::lru()).build();
        Self { clock, idle, per_owner, of_owners }
    }

    /// Returns whether an id is one of the caller. It is used by that.
    pub(super) fn are_of(&self, owner: Owner, id: &str) -> bool {
        let Some(own) = self.of_owners.get(&owner) else { return false };
        let now = self.clock.now();
        let mut own = lock(&own);
        match own.get_mut(&Digest::of(id.as_bytes())) {
            Some(used) if now < *used + self.idle => {
                *used = now;
                true
            }
            _ => false,
        }
    }

    /// Adds an id of the caller. If it has too many, the one that was not used for the longest time is forgotten.
    pub(super) fn add(&self, owner: Owner, id: &str) {
        let id = Digest::of(id.as_bytes());
        let own = self.of_owners.get_with(owner, Arc::default);
        let now = self.clock.now();
        let mut own = lock(&own);
        own.retain(|_, used| now < *used + self.idle);
        if own.len() >= self.per_owner.get() && !own.contains_key(&id) {
            let oldest = own.iter().min_by_key(|(_, used)| **used).map(|(id, _)| *id);
            oldest.and_then(|id| own.remove(&id));
        }
        own.insert(id, now);
    }

    pub(super) fn remove(&self, owner: Owner, id: &str) {
        if let Some(own) = self.of_owners.get(&owner) {
            lock(&own).remove(&Digest::of(id.as_bytes()));
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles").field("idle", &self.idle).finish_non_exhaustive()
    }
}
