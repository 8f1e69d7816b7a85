//! Generations and tombstones, by which cache entries are invalidated.

use std::{
    collections::{HashMap, VecDeque},
    hash::BuildHasher,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The maximum number of tombstones. Beyond it, the oldest tombstone is replaced by a minimum for all tags of its bucket.
const TOMBSTONES: usize = 4096;

/// The number of buckets of tags, 128 KiB in all: a look-up that lasts while a hundred tombstones are removed is invalidated by
/// one of another tag once in 160 times.
const BUCKETS: usize = 16_384;

/// Decides which cache entries are valid, by the generation at which their look-up began.
///
/// Invariant: an entry whose look-up began before an invalidation of its tag is invalid once that invalidation has
/// returned. It holds because
///
/// 1. a look-up reads the generation before it reads the store, and an invalidation, which is made after the store has
///    changed, begins a new generation: an entry that may hold the old state has a smaller generation than the tombstone;
/// 2. `invalidate` publishes the tombstone before it raises `newest_tombstone`, and returns after both: the check without
///    a lock in `is_valid` succeeds only for entries at least as new as every tombstone;
/// 3. a tombstone is replaced only by a newer one of the same tag, and removed only under the write lock under which the
///    minimum of its bucket is raised to its generation or above: a reader that holds the lock sees the tombstone or that
///    minimum.
///
/// A flood of invalidations with ever new tags, which other clients of the store can send, removes tombstones of these tags. It
/// must not invalidate all other entries with each of them, nor all look-ups in flight: therefore there are buckets. Their hash
/// is keyed, so nobody can choose tags of the bucket of another one.
#[derive(Debug, Default)]
pub(super) struct Generations {
    current: AtomicU64,
    /// The generation of the newest invalidation of all entries: older ones are invalid.
    invalidated: AtomicU64,
    /// Refusals of an older generation are invalid.
    refusal_minimum: AtomicU64,
    /// The generation of the newest tombstone: entries that are not older need no look at the tombstones.
    newest_tombstone: AtomicU64,
    tombstones: RwLock<Tombstones>,
}

#[derive(Debug, Default)]
struct Tombstones {
    by_tag: HashMap<Box<str>, u64>,
    /// The generations of the newest removed tombstones, one for each bucket of tags: older entries are invalid. Empty until
    /// a tombstone is removed.
    removed: Vec<u64>,
    /// Sorted by generation; a tag occurs once for each of its invalidations since the last [compaction](Self::compact).
    order: VecDeque<(u64, Box<str>)>,
}

impl Tombstones {
    /// Adds a tombstone, and removes the oldest ones if there are too many.
    fn insert(&mut self, tag: &str, generation: u64) {
        self.by_tag.insert(tag.into(), generation);
        self.order.push_back((generation, tag.into()));
        while self.by_tag.len() > TOMBSTONES
            && let Some((oldest, tag)) = self.order.pop_front()
        {
            // A tag that was invalidated again keeps its newer tombstone.
            if self.by_tag.get(&tag) == Some(&oldest) {
                self.remove(&tag, oldest);
            }
        }
        if self.order.len() > 2 * TOMBSTONES {
            self.compact();
        }
    }

    fn remove(&mut self, tag: &str, generation: u64) {
        self.by_tag.remove(tag);
        let bucket = self.bucket(tag);
        self.removed.resize(BUCKETS, 0);
        self.removed[bucket] = self.removed[bucket].max(generation);
    }

    /// The generation below which entries with this tag are invalid.
    fn minimum(&self, tag: &str) -> u64 {
        let minimum = self.by_tag.get(tag).copied().unwrap_or_default();
        // The second hash is computed only if it is needed.
        if self.removed.is_empty() { minimum } else { minimum.max(self.removed[self.bucket(tag)]) }
    }

    /// The bucket of a tag, by the secret keys of the map.
    fn bucket(&self, tag: &str) -> usize {
        // The remainder is below the number of buckets.
        (self.by_tag.hasher().hash_one(tag) % BUCKETS as u64) as usize
    }

    /// Drops what was replaced, so that invalidations of one tag, however many, displace no other tombstone.
    fn compact(&mut self) {
        let Self { by_tag, order, .. } = self;
        order.retain(|(generation, tag)| by_tag.get(tag) == Some(generation));
    }
}

impl Generations {
    /// The current generation; every later invalidation has a greater one.
    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Returns whether an entry of this generation and tag is valid.
    pub(super) fn is_valid(&self, generation: u64, tag: &str) -> bool {
        generation >= self.invalidated.load(Ordering::Acquire) && self.is_tag_valid(generation, tag)
    }

    /// Returns whether an entry of this generation was not invalidated by its tag; it may have been with all others.
    pub(super) fn is_tag_valid(&self, generation: u64, tag: &str) -> bool {
        if generation >= self.newest_tombstone.load(Ordering::Acquire) {
            return true;
        }
        let tombstones = self.tombstones.read().unwrap_or_else(PoisonError::into_inner);
        generation >= tombstones.minimum(tag)
    }

    /// Returns whether a refusal of this generation is valid.
    pub(super) fn is_refusal_valid(&self, generation: u64) -> bool {
        generation >= self.refusal_minimum.load(Ordering::Acquire)
    }

    /// Invalidates all entries with this tag, also those whose look-up is in flight.
    pub(super) fn invalidate(&self, tag: &str) {
        let mut tombstones = self.tombstones.write().unwrap_or_else(PoisonError::into_inner);
        let generation = self.begin();
        tombstones.insert(tag, generation);
        self.newest_tombstone.fetch_max(generation, Ordering::Release);
    }

    /// Invalidates all entries and refusals. The tombstones stay: they distinguish a look-up in flight whose own entry was
    /// invalidated from one that was invalidated only with all others.
    pub(super) fn invalidate_all(&self) {
        let generation = self.begin();
        self.invalidated.fetch_max(generation, Ordering::Release);
        self.refusal_minimum.fetch_max(generation, Ordering::Release);
    }

    /// Invalidates all refusals.
    pub(super) fn invalidate_refusals(&self) {
        let generation = self.begin();
        self.refusal_minimum.fetch_max(generation, Ordering::Release);
    }

    /// Begins a new generation and returns it.
    fn begin(&self) -> u64 {
        self.current.fetch_add(1, Ordering::AcqRel) + 1
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
    fn an_invalidated_entry_stays_invalid_while_tombstones_are_removed() {
        for remove in [
            |generations: &Generations| generations.invalidate_all(),
            |generations: &Generations| (0..=TOMBSTONES).for_each(|number| generations.invalidate(&number.to_string())),
        ] {
            for _ in 0..200 {
                let (generations, is_over) = (Generations::default(), AtomicBool::new(false));
                let entry = generations.current();
                generations.invalidate("key");
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            assert!(!generations.is_valid(entry, "key"));
                        }
                    });
                    remove(&generations);
                    is_over.store(true, Ordering::Relaxed);
                });
                assert!(!generations.is_valid(entry, "key"));
            }
        }
    }

    #[test]
    fn an_entry_is_valid_until_its_tag_is_invalidated_and_again_when_it_is_read_again() {
        let generations = Generations::default();
        let old = generations.current();
        generations.invalidate("key");
        assert!(!generations.is_valid(old, "key") && generations.is_valid(old, "other"));
        assert!(generations.is_valid(generations.current(), "key"));
        generations.invalidate_refusals();
        assert!(!generations.is_refusal_valid(old) && generations.is_valid(old, "other"));
        generations.invalidate_all();
        assert!(!generations.is_valid(old, "other") && !generations.is_refusal_valid(old));
        let new = generations.current();
        assert!(generations.is_valid(new, "key") && generations.is_refusal_valid(new));
    }

    #[test]
    fn an_entry_that_was_invalidated_with_all_others_is_distinguished_from_one_whose_tag_was() {
        let generations = Generations::default();
        let entry = generations.current();
        generations.invalidate("key");
        generations.invalidate_all();
        assert!(!generations.is_valid(entry, "other") && generations.is_tag_valid(entry, "other"));
        assert!(!generations.is_tag_valid(entry, "key"), "the tombstone is kept");
    }

    #[test]
    fn a_flood_of_other_tags_invalidates_few_entries() {
        let generations = Generations::default();
        let entry = generations.current();
        (0..TOMBSTONES + 100).for_each(|number| generations.invalidate(&format!("other {number}")));
        let is_valid = |number: &usize| generations.is_valid(entry, &format!("key {number}"));
        let valid = (0..1_000).filter(is_valid).count();
        // 6 of them are expected to share a bucket with one of the hundred removed tombstones; 100 are by no chance.
        assert!(valid > 900, "{valid}");
    }

    #[test]
    fn invalidations_of_one_tag_displace_no_tombstone_and_need_bounded_memory() {
        let generations = Generations::default();
        let entry = generations.current();
        generations.invalidate("key");
        (0..10 * TOMBSTONES).for_each(|_| generations.invalidate("other"));
        assert!(generations.is_valid(entry, "a third one") && !generations.is_valid(entry, "key"));
        assert!(generations.tombstones.read().unwrap_or_else(PoisonError::into_inner).order.len() <= 2 * TOMBSTONES);
    }
}
