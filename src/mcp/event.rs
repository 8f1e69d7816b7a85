//! The events that clients may resume a stream after.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex},
};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::owner::{MAX_OWNERS, Owner, lock};

/// The number of events of one caller whose ids are known.
const MAX_EVENTS: usize = 4_096;

/// Ids of events, each of which was in a stream of the caller. Their hashes are kept, whose key is secret.
///
/// Servers may find the events after an id whichever session they are of, so the id is a handle as that of a session is.
pub(super) struct Events {
    hasher: RandomState,
    of_owners: Cache<Owner, Arc<Mutex<VecDeque<u64>>>>,
}

impl Events {
    pub(super) fn new() -> Self {
        let of_owners = Cache::builder().max_capacity(MAX_OWNERS).eviction_policy(EvictionPolicy::lru()).build();
        Self { hasher: RandomState::new(), of_owners }
    }

    /// Returns whether an event with this id was in a stream of the caller.
    pub(super) fn are_of(&self, owner: Owner, id: &[u8]) -> bool {
        self.of_owners.get(&owner).is_some_and(|own| lock(&own).contains(&self.hash(id)))
    }

    /// Adds the id of an event of the caller. If it has too many, the oldest one is forgotten. One that is sent again counts
    /// once, as the latest.
    pub(super) fn add(&self, owner: Owner, id: &[u8]) {
        let own = self.of_owners.get_with(owner, Arc::default);
        let id = self.hash(id);
        let mut own = lock(&own);
        if let Some(known) = own.iter().position(|known| *known == id) {
            own.remove(known);
        } else if own.len() >= MAX_EVENTS {
            own.pop_front();
        }
        own.push_back(id);
    }

    fn hash(&self, id: &[u8]) -> u64 {
        self.hasher.hash_one(id)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
