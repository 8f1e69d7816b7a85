//! The generic cell rate algorithm (GCRA), in whole ticks of a nanosecond.
//!
//! The state of a key is one number, its theoretical arrival time (TAT): the time at which its whole burst is available
//! again. A request moves the TAT forward by one emission interval for each unit of its cost. It conforms if the TAT is
//! then no further in the future than the burst tolerance, which is the emission interval times the burst.

use std::num::NonZeroU32;

use super::{correction::Correction, quota::Quota};

/// The longest emission interval and burst tolerance, in ticks: more than ten years, and small enough that no sum of a
/// time and a tolerance overflows.
const LONGEST: u64 = 1 << 59;

/// The parameters of one quota.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    emission_interval: u64,
    burst_tolerance: u64,
    burst: NonZeroU32,
}

impl Gcra {
    /// The parameters of a quota whose emission interval is rounded up to a multiple of `resolution` ticks.
    pub(super) fn new(quota: &Quota, resolution: u64) -> Self {
        // A unit of a quota in windows is one tick.
        Self::with(quota.emission_interval_in_ticks(resolution).max(1), quota.burst_size())
    }

    /// The parameters of one of `shares` equal shares, of one unit at least.
    pub(super) fn share(self, shares: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(self.burst.get() / shares).unwrap_or(NonZeroU32::MIN);
        Self::with(self.emission_interval.saturating_mul(shares.get().into()), burst)
    }

    fn with(emission_interval: u64, burst: NonZeroU32) -> Self {
        let emission_interval = emission_interval.min(LONGEST);
        let burst_tolerance = emission_interval.saturating_mul(burst.get().into()).min(LONGEST);
        Self { emission_interval, burst_tolerance, burst }
    }

    /// Returns the TAT after a request of this cost, or the time to wait until the request conforms.
    ///
    /// A cost above the burst is reduced to the burst: it would never conform otherwise.
    pub(super) fn take(&self, tat: u64, now: u64, cost: NonZeroU32) -> Result<u64, u64> {
        let increment = self.emission_interval.saturating_mul(cost.min(self.burst).get().into());
        let increment = increment.min(self.burst_tolerance);
        let next = tat.max(now).saturating_add(increment);
        match next.saturating_sub(self.burst_tolerance) {
            earliest if earliest <= now => Ok(next),
            earliest => Err(earliest - now),
        }
    }

    /// The TAT after the cost of a request is corrected.
    ///
    /// A charge may exceed the burst tolerance: no unit is available then until it is made up for.
    pub(super) fn settle(&self, tat: u64, now: u64, correction: &Correction) -> u64 {
        let (tat, difference) = (tat.max(now), correction.difference(self.burst));
        let ticks = self.emission_interval.saturating_mul(difference.unsigned_abs());
        if difference >= 0 {
            tat.saturating_add(ticks).min(now.saturating_add(LONGEST))
        } else {
            tat.saturating_sub(ticks).max(now)
        }
    }

    /// The TAT, at most one burst tolerance in the future.
    pub(super) fn clamp(&self, tat: u64, now: u64) -> u64 {
        tat.min(now.saturating_add(self.burst_tolerance))
    }

    /// The units that are available.
    pub(super) fn remaining(&self, tat: u64, now: u64) -> u32 {
        let available = now.saturating_add(self.burst_tolerance).saturating_sub(tat.max(now));
        u32::try_from(available / self.emission_interval).unwrap_or(u32::MAX)
    }

    /// The time at which one unit is available.
    pub(super) const fn next_unit_at(&self, tat: u64) -> u64 {
        tat.saturating_add(self.emission_interval).saturating_sub(self.burst_tolerance)
    }

    /// The time until one unit is available; until the whole burst is, if one unit is available already.
    pub(super) fn reset(&self, tat: u64, now: u64) -> u64 {
        let next_unit_at = self.next_unit_at(tat);
        if next_unit_at > now { next_unit_at - now } else { tat.saturating_sub(now) }
    }
}
