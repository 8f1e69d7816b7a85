//! The rate of fetches that made-up `kid`s can cause.

use std::sync::{Mutex, PoisonError};

use crate::time::UnixTime;

/// Permits a burst of fetches, and then one in each interval.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// The second in which the whole burst is available again.
    restored_at: Mutex<u64>,
}

/// The number of fetches at once.
const BURST: u64 = 10;

/// The seconds in which one fetch is restored.
const INTERVAL: u64 = 6;

impl Budget {
    /// Takes one fetch; `false` if none is left.
    pub(super) fn take(&self, now: UnixTime) -> bool {
        let now = now.as_secs().min(u64::MAX / 2);
        let mut restored_at = self.restored_at.lock().unwrap_or_else(PoisonError::into_inner);
        // If the clock was set back, the burst is used up at most.
        let latest = now + BURST * INTERVAL;
        *restored_at = (*restored_at).clamp(now, latest);
        let is_left = *restored_at + INTERVAL <= latest;
        if is_left {
            *restored_at += INTERVAL;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_restored_one_by_one_also_after_the_clock_was_set_back() {
        let budget = Budget::default();
        let taken = |second: u64| (0..20).filter(|_| budget.take(UnixTime::from_secs(second))).count();
        assert_eq!([taken(1_000), taken(1_005), taken(1_006), taken(1_018)], [10, 0, 1, 2]);
        assert_eq!([taken(10), taken(16)], [0, 1]);
        assert_eq!(taken(1_000_000), 10);
    }
}
