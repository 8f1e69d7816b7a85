//! The arithmetic of one quota at one time.

use std::num::NonZeroU32;

use super::{correction::Correction, gcra::Gcra, stopwatch::ORIGIN};

/// A quota at the time of a request.
///
/// A quota in windows is counted by the same algorithm with a clock that stands still until the window ends: one unit is one
/// tick, and the TAT is `ORIGIN` and the used units. The state of each window has an id of its own, so nothing is left of it
/// in the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    pub(super) gcra: Gcra,
    /// The ticks until the end of the window; `None` for a quota without windows.
    pub(super) left: Option<u64>,
}

/// The low bits of a stored state: the used units of a quota in windows. The other bits are the end of the window, rounded up,
/// so that the table ranks the entry by it.
const USED: u64 = (1 << 33) - 1;

impl Meter {
    /// Returns the TAT after a request of this cost, or the time to wait until the request conforms.
    pub(super) fn take(&self, tat: u64, now: u64, cost: NonZeroU32) -> Result<u64, u64> {
        self.gcra.take(tat, self.clock(now), cost).map_err(|wait| self.left.unwrap_or(wait))
    }

    /// The TAT after the cost of a request is corrected.
    pub(super) fn settle(&self, tat: u64, now: u64, correction: &Correction) -> u64 {
        self.gcra.settle(tat, self.clock(now), correction)
    }

    /// The TAT, at most one burst tolerance in the future.
    pub(super) fn clamp(&self, tat: u64, now: u64) -> u64 {
        self.gcra.clamp(tat, self.clock(now))
    }

    /// The units that are available.
    pub(super) fn remaining(&self, tat: u64, now: u64) -> u32 {
        self.gcra.remaining(tat, self.clock(now))
    }

    /// The time at which one unit is available; zero if one is.
    pub(super) fn next_unit_at(&self, tat: u64, now: u64) -> u64 {
        match self.left {
            Some(left) if self.remaining(tat, now) == 0 => now.saturating_add(left),
            // In the past, so that the table ranks the entry by the unused part of the quota.
            Some(left) => {
                let (used, unused) = (tat.saturating_sub(ORIGIN).max(1), self.remaining(tat, now).into());
                now.saturating_sub(left.saturating_mul(unused) / used)
            }
            None => self.gcra.next_unit_at(tat),
        }
    }

    /// The time until one unit is available; until the whole burst is, if one unit is available already.
    pub(super) fn reset(&self, tat: u64, now: u64) -> u64 {
        match self.left {
            // An unused window has nothing to reset.
            Some(_) if tat <= ORIGIN => 0,
            Some(left) => left,
            None => self.gcra.reset(tat, now),
        }
    }

    /// The TAT of a stored state.
    pub(super) fn load(&self, stored: u64) -> u64 {
        if self.left.is_some() { ORIGIN + (stored & USED) } else { stored }
    }

    /// The state to store for a TAT.
    pub(super) fn save(&self, tat: u64, now: u64) -> u64 {
        match self.left {
            Some(left) => (now.saturating_add(left) | USED) + 1 + USED.min(tat.saturating_sub(ORIGIN)),
            None => tat,
        }
    }

    /// The time that the algorithm sees.
    fn clock(&self, now: u64) -> u64 {
        if self.left.is_some() { ORIGIN } else { now }
    }
}
