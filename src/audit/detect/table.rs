//! The counts of many callers, in a table of a fixed size.
//!
//! The hash of a caller selects a bucket of eight slots. If all are taken, a new caller replaces the one that is worth
//! least: the one with the fewest failures that still count, and of several the one that was seen least recently. A flood
//! of callers with one request each replaces each other, and not one that is about to be detected.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::settings::Settings;

/// Slots of a bucket.
const WAYS: usize = 8;

/// The maximum number of locks.
const SHARDS: usize = 64;

/// The counts of one caller.
pub(super) trait Slot: Default {
    /// The slot with the least worth is replaced: the count that may become an alert, of which nothing is left after the
    /// window, and the time it was seen last.
    fn worth(&self, now: u64, settings: &Settings) -> (u64, u64);
}

pub(super) struct Table<V> {
    shards: Box<[Shard<V>]>,
}

/// Aligned, so that two locks do not share a cache line.
#[repr(align(128))]
struct Shard<V>(Mutex<Box<[Bucket<V>]>>);

/// Boxed, so that a slot takes eight bytes until it is used.
struct Bucket<V> {
    hashes: [u64; WAYS],
    slots: [Option<Box<V>>; WAYS],
}

impl<V: Slot> Table<V> {
    /// Creates a table for at most `capacity` callers, and for at least eight.
    pub(super) fn new(capacity: usize) -> Self {
        let buckets = (capacity / WAYS).max(1);
        let shards = buckets.div_ceil(64).min(SHARDS);
        let bucket = || Bucket { hashes: [0; WAYS], slots: Default::default() };
        let shard = || Shard(Mutex::new((0..buckets / shards).map(|_| bucket()).collect()));
        Self { shards: (0..shards).map(|_| shard()).collect() }
    }

    /// Changes the counts of the caller with this hash.
    pub(super) fn with<T>(&self, hash: u64, now: u64, settings: &Settings, change: impl FnOnce(&mut V) -> T) -> T {
        let mut buckets = self.shards[select(hash, self.shards.len())].lock();
        // Other bits than those that have selected the shard.
        let bucket = select(hash.rotate_left(32), buckets.len());
        change(buckets[bucket].slot(hash, |slot| slot.worth(now, settings)))
    }
}

impl<V> Shard<V> {
    fn lock(&self) -> MutexGuard<'_, Box<[Bucket<V>]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Slot> Bucket<V> {
    fn slot(&mut self, hash: u64, worth: impl Fn(&V) -> (u64, u64)) -> &mut V {
        let known = |way: &usize| self.hashes[*way] == hash && self.slots[*way].is_some();
        let way = (0..WAYS).find(known).unwrap_or_else(|| self.take(hash, worth));
        self.slots[way].get_or_insert_default()
    }

    /// Gives a free slot, or that of the caller that is worth least, to a new caller.
    fn take(&mut self, hash: u64, worth: impl Fn(&V) -> (u64, u64)) -> usize {
        let way = (0..WAYS).min_by_key(|way| self.slots[*way].as_deref().map(&worth)).unwrap_or_default();
        if let Some(slot) = &mut self.slots[way] {
            **slot = V::default();
        }
        self.hashes[way] = hash;
        way
    }
}

/// An index below `length`, chosen by the upper bits.
fn select(hash: u64, length: usize) -> usize {
    usize::try_from((u128::from(hash) * length as u128) >> 64).unwrap_or_default()
}
