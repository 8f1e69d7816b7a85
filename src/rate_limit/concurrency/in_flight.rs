//! How many requests of each caller are under way.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::RandomState,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use super::super::key::LimitKey;

/// So many locks.
const SHARDS: usize = 64;

/// Counts what is under way; a caller with nothing under way is not remembered.
pub(crate) struct InFlight {
    most: NonZeroU32,
    secret: RandomState,
    shards: [Shard; SHARDS],
}

/// Far enough from its neighbours.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<HashMap<u64, u32>>);

impl InFlight {
    pub(crate) fn new(most: NonZeroU32) -> Self {
        Self { most, secret: RandomState::new(), shards: std::array::from_fn(|_| Shard::default()) }
    }

    /// Lets one more be under way, and tells how many more could be; none if there are as many as there may be.
    pub(crate) fn enter(self: &Arc<Self>, key: &LimitKey) -> Option<(Permit, u32)> {
        let key = key.fingerprint(&self.secret);
        let mut counts = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or_default();
        let left = self.most.get().checked_sub(count + 1)?;
        counts.insert(key, count + 1);
        drop(counts);
        Some((Permit { counts: Arc::clone(self), key }, left))
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        // The map's hash is keyed with another secret, so the same bits may be used here.
        &self.shards[usize::try_from(key % SHARDS as u64).unwrap_or_default()].0
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("most", &self.most).finish_non_exhaustive()
    }
}

/// One request under way, until this is dropped.
pub(crate) struct Permit {
    counts: Arc<InFlight>,
    key: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.shard(self.key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.key) {
            match count.get() - 1 {
                0 => drop(count.remove()),
                left => drop(count.insert(left)),
            }
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}
