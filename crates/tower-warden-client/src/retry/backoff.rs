use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A random part of a wait that grows with each attempt: full jitter.
///
/// The `ExponentialBackoff` of tower adds the random part to the whole wait, so that clients which failed together wait
/// at least as long together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) max: Duration,
}

impl Backoff {
    /// Returns a duration from zero to `base * 2^retries`, and to the maximum.
    pub(super) fn wait(self, retries: u32, random: &Random) -> Duration {
        let factor = 1_u32.checked_shl(retries).unwrap_or(u32::MAX);
        random.up_to(self.base.saturating_mul(factor).min(self.max))
    }
}

/// Numbers that spread waits, and protect nothing: SplitMix64.
#[derive(Debug)]
pub(super) struct Random(AtomicU64);

impl Random {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn up_to(&self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        // The high word of the product is uniform from zero to the maximum.
        let share = (u128::from(self.next()) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Seeds that differ between processes, and between the layers of one.
impl Default for Random {
    fn default() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_between_zero_and_a_bound_that_doubles_up_to_the_maximum() {
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(10) };
        let random = Random::seeded(7);
        for (retries, bound) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (40, 10)] {
            let bound = Duration::from_secs(bound);
            let waits: Vec<_> = (0..1_000).map(|_| backoff.wait(retries, &random)).collect();
            assert!(waits.iter().all(|wait| *wait <= bound));
            assert!(waits.iter().any(|wait| *wait < bound / 10), "the jitter is not full");
            assert!(waits.iter().any(|wait| *wait > bound * 9 / 10), "the bound is not reached");
        }
    }

    #[test]
    fn the_same_seed_yields_the_same_waits() {
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(10) };
        let waits = |seed| {
            let random = Random::seeded(seed);
            [0, 1, 2].map(|retries| backoff.wait(retries, &random))
        };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }

    #[test]
    fn a_bound_of_zero_is_no_wait() {
        let backoff = Backoff { base: Duration::ZERO, max: Duration::MAX };
        assert_eq!(backoff.wait(3, &Random::seeded(7)), Duration::ZERO);
    }
}
