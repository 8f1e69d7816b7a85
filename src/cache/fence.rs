//! Which entries of a cache count.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many revocations are remembered one by one; with more, the oldest entries are dropped as a whole.
const TOMBSTONES: usize = 4096;

/// Which entries count.
#[derive(Debug, Default)]
pub(super) struct Fence {
    generation: AtomicU64,
    /// Entries of an older generation do not count.
    floor: AtomicU64,
    /// Refusals of an older generation do not count.
    refusal_floor: AtomicU64,
    /// Entries that are not older than this need no look at the tombstones.
    last_burial: AtomicU64,
    graveyard: RwLock<Graveyard>,
}

#[derive(Debug, Default)]
struct Graveyard {
    tombstones: HashMap<Box<str>, u64>,
    order: VecDeque<(u64, Box<str>)>,
}

impl Fence {
    pub(super) fn admits(&self, generation: u64, tag: &str) -> bool {
        if generation < self.floor.load(Ordering::Acquire) {
            return false;
        }
        if generation >= self.last_burial.load(Ordering::Acquire) {
            return true;
        }
        let graveyard = self.graveyard.read().unwrap_or_else(PoisonError::into_inner);
        // The floor once more, because who raises it removes tombstones, both under the lock.
        generation >= self.floor.load(Ordering::Acquire)
            && graveyard.tombstones.get(tag).is_none_or(|buried| generation >= *buried)
    }

    pub(super) fn admits_refusal(&self, generation: u64) -> bool {
        generation >= self.refusal_floor.load(Ordering::Acquire)
    }

    pub(super) fn bury(&self, tag: &str) {
        let mut graveyard = self.graveyard.write().unwrap_or_else(PoisonError::into_inner);
        let generation = self.begin();
        graveyard.tombstones.insert(tag.into(), generation);
        graveyard.order.push_back((generation, tag.into()));
        if graveyard.order.len() > TOMBSTONES
            && let Some((oldest, tag)) = graveyard.order.pop_front()
        {
            if graveyard.tombstones.get(&tag) == Some(&oldest) {
                graveyard.tombstones.remove(&tag);
            }
            self.floor.fetch_max(oldest, Ordering::Release);
        }
        self.last_burial.fetch_max(generation, Ordering::Release);
    }

    pub(super) fn bury_all(&self) {
        let mut graveyard = self.graveyard.write().unwrap_or_else(PoisonError::into_inner);
        let generation = self.begin();
        self.floor.fetch_max(generation, Ordering::Release);
        self.refusal_floor.fetch_max(generation, Ordering::Release);
        *graveyard = Graveyard::default();
    }

    pub(super) fn bury_refusals(&self) {
        let generation = self.begin();
        self.refusal_floor.fetch_max(generation, Ordering::Release);
    }

    /// The generation now; whatever is revoked from here on is younger.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn begin(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn what_was_buried_stays_buried_while_tombstones_are_removed() {
        for remove in
            [|fence: &Fence| fence.bury_all(), |fence: &Fence| (0..=TOMBSTONES).for_each(|_| fence.bury("other"))]
        {
            for _ in 0..200 {
                let (fence, is_over) = (Fence::default(), AtomicBool::new(false));
                let entry = fence.generation();
                fence.bury("key");
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            assert!(!fence.admits(entry, "key"));
                        }
                    });
                    remove(&fence);
                    is_over.store(true, Ordering::Relaxed);
                });
                assert!(!fence.admits(entry, "key"));
            }
        }
    }

    #[test]
    fn an_entry_counts_until_its_tag_is_buried_and_again_when_it_is_read_anew() {
        let fence = Fence::default();
        let old = fence.generation();
        fence.bury("key");
        assert!(!fence.admits(old, "key") && fence.admits(old, "other"));
        assert!(fence.admits(fence.generation(), "key"));
        fence.bury_refusals();
        assert!(!fence.admits_refusal(old) && fence.admits(old, "other"));
        fence.bury_all();
        assert!(!fence.admits(old, "other") && !fence.admits_refusal(old));
        assert!(fence.admits(fence.generation(), "key") && fence.admits_refusal(fence.generation()));
    }
}
