//! The generic cell rate algorithm, on whole ticks.
//!
//! What is known of a key is one number: when its debt will be paid, in ticks. A request adds its price to that; it is
//! admitted if the debt is then no longer than the burst.

use std::num::NonZeroU32;

/// No debt is longer, in ticks: more than ten years of nanoseconds, and far from the end of the numbers.
const LONGEST: u64 = 1 << 59;

/// One quota, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    /// What one unit costs.
    interval: u64,
    /// What the burst costs.
    tolerance: u64,
    burst: NonZeroU32,
}

impl Gcra {
    pub(super) const fn new(interval: u64, burst: NonZeroU32) -> Self {
        // No overflow: a quota sees to it that the burst takes ten years at the most.
        Self { interval, tolerance: interval * burst.get() as u64, burst }
    }

    /// One of so many equal shares, of one unit at the least.
    pub(super) fn shared(self, shares: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(self.burst.get() / shares).unwrap_or(NonZeroU32::MIN);
        let interval = self.interval.saturating_mul(shares.get().into()).min(LONGEST);
        Self { interval, tolerance: interval.saturating_mul(burst.get().into()).min(LONGEST).max(interval), burst }
    }

    /// When the debt is paid that is paid at `paid` now and of which `cost` is added; or how long to wait for that.
    ///
    /// What costs more than the burst costs the burst: else it would never be admitted.
    pub(super) fn offer(&self, paid: u64, now: u64, cost: NonZeroU32) -> Result<u64, u64> {
        let next = paid.max(now).saturating_add(self.interval * u64::from(cost.min(self.burst).get()));
        match next.saturating_sub(self.tolerance) {
            earliest if earliest <= now => Ok(next),
            earliest => Err(earliest - now),
        }
    }

    /// How many units there are.
    pub(super) fn remaining(&self, paid: u64, now: u64) -> u32 {
        let free = now.saturating_add(self.tolerance).saturating_sub(paid.max(now));
        u32::try_from(free / self.interval).unwrap_or(u32::MAX)
    }

    /// When there is a unit.
    pub(super) const fn free_at(&self, paid: u64) -> u64 {
        paid.saturating_add(self.interval).saturating_sub(self.tolerance)
    }

    /// How long until there is a unit; or until all are there, if there is one already.
    pub(super) fn reset(&self, paid: u64, now: u64) -> u64 {
        let free_at = self.free_at(paid);
        if free_at > now { free_at - now } else { paid.saturating_sub(now) }
    }
}
