use super::times::Times;

/// The rate of calls that is normal for a caller: an exponentially weighted moving average.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    last: u64,
    /// Calls per millisecond, of which those before the first call are zero.
    rate: f64,
    since: u64,
}

/// The largest correction of the clock that does not end what was learned, in milliseconds.
const CORRECTION: u64 = 60_000;

impl Baseline {
    /// Forgets what was learned if the clock was set back: the time between calls is not known then.
    pub(super) fn correct(&mut self, times: Times) {
        if times.is_set_back(self.last, CORRECTION) {
            *self = Self::default();
        }
    }

    /// Counts a call; an earlier call has less weight by 1/e after each `memory`, in milliseconds.
    pub(super) fn add(&mut self, now: u64, memory: f64) {
        if self.since == 0 {
            (self.since, self.last) = (now, now);
        }
        self.decay(now, memory);
        self.rate += 1.0 / memory;
    }

    /// The calls per millisecond that are normal.
    pub(super) fn rate(&self, now: u64, memory: f64) -> f64 {
        let mut decayed = *self;
        decayed.decay(now, memory);
        // The average over the time since the first call, and not over the time before it.
        let known = 1.0 - (-(millis(now.saturating_sub(self.since))) / memory).exp();
        decayed.rate / known.max(f64::EPSILON)
    }

    /// The time since the first call.
    pub(super) const fn age(&self, now: u64) -> u64 {
        if self.since == 0 { 0 } else { now.saturating_sub(self.since) }
    }

    fn decay(&mut self, now: u64, memory: f64) {
        let elapsed = now.saturating_sub(self.last);
        if elapsed > 0 {
            self.rate *= (-(millis(elapsed)) / memory).exp();
            self.last = now;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
const fn millis(millis: u64) -> f64 {
    millis as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_its_own_average() {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        let mut baseline = Baseline::default();
        let start = 1_800_000_000_000;
        for call in 0..=15 {
            baseline.add(start + call * DAY / 5, DAY as f64);
        }
        let a_day = baseline.rate(start + 3 * DAY, DAY as f64) * DAY as f64;
        assert!((4.0..7.0).contains(&a_day), "{a_day}");
    }
}
