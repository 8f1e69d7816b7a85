//! Debts of many keys, in a table that never grows.
//!
//! A key's hash leads to a bucket of eight entries, and nowhere else. An entry whose debt is paid is as good as none.
//! Where a new key finds no such entry, it takes the place of the one that has used the least of its quota; one that
//! has used all of it is never in the way of another: it stays until it has a unit again. If all eight are such, the
//! new key has to wait for the first of them.

use std::{
    hash::RandomState,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::key::LimitKey;

/// So many entries are in a bucket.
pub(super) const WAYS: usize = 8;

/// So many locks at the most.
const SHARDS: usize = 256;

/// The table.
pub(super) struct Table {
    secret: RandomState,
    shards: Box<[Shard]>,
}

/// Far enough from its neighbours.
#[repr(align(128))]
struct Shard(Mutex<Box<[Bucket]>>);

/// Fingerprints, when debts are paid, and when there is a unit again: by kind, because most look-ups end with the first.
/// An array, so that a table of zeros costs nothing until it is used.
type Bucket = [[u64; WAYS]; 3];

impl Table {
    /// With room for at most `bound` keys and quotas, but for eight at the least.
    pub(super) fn new(bound: usize) -> Self {
        let buckets = (bound / WAYS).max(1);
        let shards = buckets.div_ceil(64).min(SHARDS);
        let shard = || Shard(Mutex::new(vec![[[0; WAYS]; 3]; buckets / shards].into_boxed_slice()));
        Self { secret: RandomState::new(), shards: (0..shards).map(|_| shard()).collect() }
    }

    /// How many keys and quotas there is room for.
    pub(super) fn bound(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len() * WAYS).sum()
    }

    /// The debts of a key, which nobody else sees meanwhile.
    pub(super) fn open(&self, key: &LimitKey) -> Debts<'_> {
        let print = key.fingerprint(&self.secret);
        let shard = &self.shards[pick(print, self.shards.len())];
        Debts { print, buckets: shard.lock() }
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Box<[Bucket]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The debts of a key.
pub(super) struct Debts<'a> {
    print: u64,
    buckets: MutexGuard<'a, Box<[Bucket]>>,
}

/// What is known of a key and a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Debt {
    /// When it is paid; zero if there is none.
    PaidAt(u64),
    /// Nothing, and there is no room to remember it until then.
    NoRoomUntil(u64),
}

impl Debts<'_> {
    pub(super) fn get(&self, quota: u64, now: u64) -> Debt {
        let (print, bucket) = self.locate(quota);
        let [prints, paid, free] = &self.buckets[bucket];
        match prints.iter().position(|known| *known == print) {
            Some(way) => Debt::PaidAt(paid[way]),
            None if (0..WAYS).any(|way| free[way] <= now) => Debt::PaidAt(0),
            None => Debt::NoRoomUntil(free.iter().copied().min().unwrap_or(now)),
        }
    }

    /// Remembers a debt; `free` is when there is a unit again.
    pub(super) fn put(&mut self, quota: u64, now: u64, debt: u64, free_at: u64) {
        let (print, bucket) = self.locate(quota);
        let [prints, paid, free] = &mut self.buckets[bucket];
        let known = prints.iter().position(|known| *known == print);
        // Idle ones first, then by the part of the quota that is left.
        let least = || (0..WAYS).filter(|way| free[*way] <= now).max_by_key(|way| spare(paid[*way], free[*way], now));
        if let Some(way) = known.or_else(least) {
            (prints[way], paid[way], free[way]) = (print, debt, free_at);
        }
    }

    /// The fingerprint of the key with a quota, and where it is to be found.
    fn locate(&self, quota: u64) -> (u64, usize) {
        let print = mix(self.print ^ quota).max(1);
        (print, pick(print, self.buckets.len()))
    }
}

/// What part of its quota a key has left, in 2⁻³²; `u64::MAX` if all of it.
fn spare(paid: u64, free: u64, now: u64) -> u64 {
    if paid <= now {
        return u64::MAX;
    }
    // From `free` to `paid`, the quota fills from one unit to all of them.
    let part = (u128::from(now - free) << 32) / u128::from((paid - free).max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// One of so many, by the upper bits.
fn pick(hash: u64, from: usize) -> usize {
    usize::try_from((u128::from(hash) * from as u128) >> 64).unwrap_or_default()
}

/// The finaliser of MurmurHash3: each bit of the input tells on all of the output, and no two inputs on one.
const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
