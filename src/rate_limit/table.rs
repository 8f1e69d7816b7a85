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

use siphasher::sip::SipHasher13;

use super::limit_key::LimitKey;

/// Entries of a bucket.
const WAYS: usize = 8;

/// The maximum number of locks: with few of them, threads that serve different keys often use the same one.
const SHARDS: usize = 2048;

/// The table.
pub(super) struct Table {
    /// A hash with a secret key: nobody can choose keys that share a bucket.
    hasher: SipHasher13,
    shards: Box<[Shard]>,
    /// The buckets of each shard.
    buckets: usize,
}

/// The buckets under one lock, allocated for their first key. Aligned, so that two locks do not share a cache line.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<Box<[Bucket]>>);

/// Three cache lines: that of the fingerprints, and two with the states. A key that is stored needs two of them.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket {
    fingerprints: [u64; WAYS],
    states: [State; WAYS],
}

/// A TAT, and the time at which one unit is available.
#[derive(Clone, Copy, Default)]
struct State {
    tat: u64,
    next_unit_at: u64,
}

impl Table {
    /// Creates a table for at most `capacity` pairs of a key and a quota, and for at least eight.
    pub(super) fn new(capacity: usize) -> Self {
        let (shards, buckets) = Self::dimensions(capacity);
        let shards = (0..shards).map(|_| Shard::default()).collect();
        let secret = RandomState::new();
        Self { hasher: SipHasher13::new_with_keys(secret.hash_one(0), secret.hash_one(1)), shards, buckets }
    }

    /// The number of pairs of a key and a quota that fit into a table for at most `capacity` of them.
    pub(super) fn capacity_of(capacity: usize) -> usize {
        let (shards, buckets) = Self::dimensions(capacity);
        shards * buckets * WAYS
    }

    /// The number of shards, and of buckets in each of them.
    fn dimensions(capacity: usize) -> (usize, usize) {
        let buckets = (capacity / WAYS).max(1);
        let shards = buckets.div_ceil(32).min(SHARDS);
        (shards, buckets / shards)
    }

    /// Locks the entries of a key: all of its quotas are in one shard, so they change together.
    pub(super) fn lock(&self, key: &LimitKey) -> KeyEntries<'_> {
        let fingerprint = key.fingerprint(&self.hasher);
        let shard = &self.shards[select(fingerprint, self.shards.len())];
        KeyEntries { fingerprint, buckets: shard.lock(self.buckets) }
    }
}

impl Shard {
    fn lock(&self, buckets: usize) -> MutexGuard<'_, Box<[Bucket]>> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_empty() {
            *guard = vec![Bucket::default(); buckets].into_boxed_slice();
        }
        guard
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

/// The place of a quota's entry when it was looked for, with its position in the bucket; `WAYS` if it was not stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    fingerprint: u64,
    bucket: usize,
    way: usize,
}

impl KeyEntries<'_> {
    /// The state of a quota, and its place.
    #[inline]
    pub(super) fn find(&self, quota: u64, now: u64) -> (Entry, Place) {
        let fingerprint = mix(self.fingerprint ^ quota).max(1);
        let bucket = select(fingerprint, self.buckets.len());
        let Bucket { fingerprints, states } = &self.buckets[bucket];
        let way = position(fingerprints, fingerprint);
        let entry = match states.get(way) {
            Some(stored) => Entry::Tat(stored.tat),
            None if states.iter().any(|state| state.next_unit_at <= now) => Entry::Tat(0),
            None => Entry::FullUntil(states.iter().map(|state| state.next_unit_at).min().unwrap_or(now)),
        };
        (entry, Place { fingerprint, bucket, way })
    }

    /// Stores a TAT, if an entry is free or replaceable; `next_unit_at` is the time at which one unit is available.
    #[inline]
    pub(super) fn put(&mut self, place: Place, now: u64, tat: u64, next_unit_at: u64) {
        let Place { fingerprint, bucket, way } = place;
        let Bucket { fingerprints, states } = &mut self.buckets[bucket];
        // Since the entry was found, another quota of the same key may have replaced it.
        let found = Some(way).filter(|way| fingerprints.get(*way) == Some(&fingerprint));
        if let Some(way) = found.or_else(|| replaceable(fingerprints, states, fingerprint, now)) {
            (fingerprints[way], states[way]) = (fingerprint, State { tat, next_unit_at });
        }
    }
}

/// The position for a fingerprint whose place was not found or is no longer right.
#[inline(never)]
fn replaceable(fingerprints: &[u64; WAYS], states: &[State; WAYS], fingerprint: u64, now: u64) -> Option<usize> {
    let stored = Some(position(fingerprints, fingerprint)).filter(|way| *way < WAYS);
    stored.or_else(|| {
        // Of several free entries, the first one: it is found first.
        let replaceable = (0..WAYS).rev().filter(|way| states[*way].next_unit_at <= now);
        replaceable.max_by_key(|way| unused_part(states[*way], now))
    })
}

/// The position of a fingerprint; `WAYS` if it is not stored.
fn position(fingerprints: &[u64; WAYS], fingerprint: u64) -> usize {
    fingerprints.iter().position(|stored| *stored == fingerprint).unwrap_or(WAYS)
}

/// The unused part of a quota, in 2⁻³²; `u64::MAX` if nothing is used.
fn unused_part(State { tat, next_unit_at }: State, now: u64) -> u64 {
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
