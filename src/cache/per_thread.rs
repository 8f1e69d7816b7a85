//! A small cache for each thread.
//!
//! A shared cache that tracks which entries are used writes to shared memory on each hit, so two threads are hardly faster
//! than one. Each thread has its own slots here, and a key that it sees repeatedly costs no shared write.

use std::sync::Mutex;

use super::fingerprint::{Fingerprint, Fingerprints};
use crate::striped::Striped;

/// The number of groups of slots of each thread. A credential has one possible group, in which a newer one replaces the
/// oldest.
const GROUPS: usize = 256;

/// The slots of a group: of some hundred credentials, more than these are hardly ever in one group.
const SLOTS: usize = 4;

/// The newest first.
type Group<T> = [Option<(Fingerprint, T)>; SLOTS];

/// The per-thread slots, allocated when a thread first inserts.
///
/// Nothing is removed from other threads' slots on an invalidation. It need not be: entries carry their generation, and
/// [`CredentialCache::get`](super::credential_cache::CredentialCache::get) checks them as it checks those of the shared cache.
pub(super) struct PerThread<T> {
    fingerprints: Fingerprints,
    groups: Striped<Mutex<Vec<Group<T>>>>,
}

impl<T: Clone> PerThread<T> {
    /// Computes the fingerprint of a credential.
    pub(super) fn fingerprint(&self, credential: &[u8]) -> Fingerprint {
        self.fingerprints.of(credential)
    }

    /// Returns what `read` makes of the entry of this key, if it is in this thread's slots.
    pub(super) fn get<R>(&self, key: &Fingerprint, read: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        // With many threads, two may share groups. The second does not wait: the shared cache has the entry as well.
        let groups = self.groups.mine().try_lock().ok()?;
        let slots = groups.get(key.number(GROUPS))?;
        let (_, entry) = slots.iter().flatten().find(|(stored, _)| stored == key)?;
        read(entry)
    }

    /// Stores an entry in this thread's slots.
    pub(super) fn insert(&self, key: Fingerprint, value: T) {
        let Ok(mut groups) = self.groups.mine().try_lock() else { return };
        if groups.is_empty() {
            groups.resize_with(GROUPS, || [const { None }; SLOTS]);
        }
        let slots = &mut groups[key.number(GROUPS)];
        // An older entry of this credential is replaced: it is not valid any more.
        let oldest = slots.iter().position(|slot| slot.as_ref().is_none_or(|(stored, _)| *stored == key));
        slots[..=oldest.unwrap_or(SLOTS - 1)].rotate_right(1);
        slots[0] = Some((key, value));
    }
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        Self { fingerprints: Fingerprints::new(), groups: Striped::new(Mutex::default) }
    }
}
