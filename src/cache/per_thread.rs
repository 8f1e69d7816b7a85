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
/// `CredentialCache` checks them at each use, as it checks those of the shared cache.
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
        // An older entry of this credential is replaced, so that there is one.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Fingerprints of one group.
    fn neighbours(cache: &PerThread<u32>) -> impl Iterator<Item = Fingerprint> {
        let all = (0_u32..).map(|number| cache.fingerprint(&number.to_ne_bytes()));
        all.filter(|fingerprint| fingerprint.number(GROUPS) == 7)
    }

    #[test]
    fn the_oldest_entry_of_a_group_is_displaced() {
        let cache = PerThread::default();
        let keys: Vec<_> = neighbours(&cache).take(SLOTS + 1).collect();
        for (value, key) in (0..).zip(&keys) {
            cache.insert(*key, value);
        }
        let found = keys.iter().map(|key| cache.get(key, |value| Some(*value)));
        assert_eq!(found.collect::<Vec<_>>(), [None, Some(1), Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn a_newer_entry_replaces_the_older_one_of_the_same_credential_only() {
        let cache = PerThread::default();
        let keys: Vec<_> = neighbours(&cache).take(SLOTS).collect();
        for value in 0..10 {
            keys.iter().for_each(|key| cache.insert(*key, value));
        }
        cache.insert(keys[2], 10);
        let found = keys.iter().map(|key| cache.get(key, |value| Some(*value)));
        assert_eq!(found.collect::<Vec<_>>(), [Some(9), Some(9), Some(10), Some(9)]);
        assert_eq!(
            cache.groups.mine().lock().unwrap_or_else(std::sync::PoisonError::into_inner)[7].iter().flatten().count(),
            SLOTS
        );
    }
}
