//! The TATs of many keys, in a table that never grows.
//!
//! The hash of a key and quota selects a bucket of eight entries. An entry whose TAT has passed is free. If a bucket has
//! no free entry, a new key replaces the entry with the largest unused part of its quota.
//!
//! Invariant: an entry without an available unit is never replaced, so a flood of keys cannot make the table forget that
//! a quota is used up. It holds because `put` only replaces an entry whose `next_unit_at` has passed. If all eight
//! entries are exhausted, the new key waits until the first of them has a unit.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::limit_key::LimitKey;

/// Entries of a bucket.
const WAYS: usize = 8;

/// The maximum number of locks.
const SHARDS: usize = 256;

/// The table.
pub(super) struct Table {
    secret: RandomState,
    shards: Box<[Shard]>,
}

/// Aligned, so that two locks do not share a cache line.
#[repr(align(128))]
struct Shard(Mutex<Box<[Bucket]>>);

/// Fingerprints, TATs, and the times at which one unit is available: grouped by field, because most look-ups read the
/// fingerprints only. An array, so that a table of zeros takes no memory until it is used.
type Bucket = [[u64; WAYS]; 3];

impl Table {
    /// Creates a table for at most `capacity` pairs of a key and a quota, and for at least eight.
    pub(super) fn new(capacity: usize) -> Self {
        let (shards, buckets) = Self::dimensions(capacity);
        let shard = || Shard(Mutex::new(vec![[[0; WAYS]; 3]; buckets].into_boxed_slice()));
        Self { secret: RandomState::new(), shards: (0..shards).map(|_| shard()).collect() }
    }

    /// The number of pairs of a key and a quota that fit into a table for at most `capacity` of them.
    pub(super) fn capacity_of(capacity: usize) -> usize {
        let (shards, buckets) = Self::dimensions(capacity);
        shards * buckets * WAYS
    }

    /// The number of shards, and of buckets in each of them.
    fn dimensions(capacity: usize) -> (usize, usize) {
        let buckets = (capacity / WAYS).max(1);
        let shards = buckets.div_ceil(64).min(SHARDS);
        (shards, buckets / shards)
    }

    /// Locks the entries of a key: all of its quotas are in one shard, so they change together.
    pub(super) fn lock(&self, key: &LimitKey) -> KeyEntries<'_> {
        let fingerprint = self.secret.hash_one(key);
        let shard = &self.shards[select(fingerprint, self.shards.len())];
        KeyEntries { fingerprint, buckets: shard.lock() }
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Box<[Bucket]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of one key, locked.
pub(super) struct KeyEntries<'a> {
    fingerprint: u64,
    buckets: MutexGuard<'a, Box<[Bucket]>>,
}

/// The state of a key and a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    /// The TAT; zero if nothing is stored.
    Tat(u64),
    /// Nothing is stored, and no entry is free or replaceable before this time.
    FullUntil(u64),
}

impl KeyEntries<'_> {
    pub(super) fn get(&self, quota: u64, now: u64) -> Entry {
        let (fingerprint, bucket) = self.locate(quota);
        let [fingerprints, tats, next_units] = &self.buckets[bucket];
        match fingerprints.iter().position(|stored| *stored == fingerprint) {
            Some(way) => Entry::Tat(tats[way]),
            None if next_units.iter().any(|next_unit_at| *next_unit_at <= now) => Entry::Tat(0),
            None => Entry::FullUntil(next_units.iter().copied().min().unwrap_or(now)),
        }
    }

    /// Stores a TAT, if an entry is free or replaceable; `next_unit_at` is the time at which one unit is available.
    pub(super) fn put(&mut self, quota: u64, now: u64, tat: u64, next_unit_at: u64) {
        let (fingerprint, bucket) = self.locate(quota);
        let [fingerprints, tats, next_units] = &mut self.buckets[bucket];
        let stored = fingerprints.iter().position(|stored| *stored == fingerprint);
        let least_used = || {
            let replaceable = (0..WAYS).filter(|way| next_units[*way] <= now);
            replaceable.max_by_key(|way| unused_part(tats[*way], next_units[*way], now))
        };
        if let Some(way) = stored.or_else(least_used) {
            (fingerprints[way], tats[way], next_units[way]) = (fingerprint, tat, next_unit_at);
        }
    }

    /// The fingerprint of the key with a quota, and the index of its bucket.
    fn locate(&self, quota: u64) -> (u64, usize) {
        let fingerprint = mix(self.fingerprint ^ quota).max(1);
        (fingerprint, select(fingerprint, self.buckets.len()))
    }
}

/// The unused part of a quota, in 2⁻³²; `u64::MAX` if nothing is used.
fn unused_part(tat: u64, next_unit_at: u64, now: u64) -> u64 {
    if tat <= now {
        return u64::MAX;
    }
    // From `next_unit_at` to the TAT, the available units grow from one to the burst.
    let part = (u128::from(now - next_unit_at) << 32) / u128::from((tat - next_unit_at).max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// An index below `length`, chosen by the upper bits.
fn select(hash: u64, length: usize) -> usize {
    usize::try_from((u128::from(hash) * length as u128) >> 64).unwrap_or_default()
}

/// The finaliser of MurmurHash3: a bijection in which each bit of the input affects all bits of the output.
pub(super) const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
