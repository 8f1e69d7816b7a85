//! A small cache for each thread.
//!
//! A shared cache that tracks which entries are used writes to shared memory on each hit, so two threads are hardly faster
//! than one. Each thread has its own slots here, and a key that it sees repeatedly costs no shared write.

use std::sync::Mutex;

use crate::{digest::Digest, striped::Striped};

/// The number of slots of each thread. A key has one possible slot, and a newer key replaces the one in it.
const SLOTS: usize = 1024;

/// The per-thread slots, allocated when a thread first inserts.
///
/// Nothing is removed from other threads' slots on an invalidation. It need not be: entries carry their generation, and
/// [`CredentialCache::get`](super::credential_cache::CredentialCache::get) checks them as it checks those of the shared cache.
pub(super) struct PerThread<T>(Striped<Mutex<Vec<Option<(Digest, T)>>>>);

impl<T: Clone> PerThread<T> {
    /// Returns the entry of this key, if it is in this thread's slots.
    pub(super) fn get(&self, key: &Digest) -> Option<T> {
        // With many threads, two may share slots. The second does not wait: the shared cache has the entry as well.
        let slots = self.0.mine().try_lock().ok()?;
        let (stored, value) = slots.get(key.slot(SLOTS))?.as_ref()?;
        (stored == key).then(|| value.clone())
    }

    /// Stores an entry in this thread's slots.
    pub(super) fn insert(&self, key: Digest, value: T) {
        let Ok(mut slots) = self.0.mine().try_lock() else { return };
        if slots.is_empty() {
            slots.resize(SLOTS, None);
        }
        slots[key.slot(SLOTS)] = Some((key, value));
    }
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        Self(Striped::new(Mutex::default))
    }
}
