use super::times::Times;

/// A count in a sliding window: that of the current interval, and a part of that of the interval before.
///
/// Times are in milliseconds. The window ends with the latest event, so events that are reported late and together are
/// not a burst.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    before: u32,
    current: u32,
    latest: u64,
    start: u64,
}

impl Window {
    /// Counts an event, and returns the number of events within the window; `None` if the event is older than it.
    pub(super) fn add(&mut self, times: Times, length: u64) -> Option<u64> {
        if times.is_set_back(self.latest, length) {
            *self = Self::default();
        }
        let at = times.at;
        if self.latest.saturating_sub(at) >= length {
            return None;
        }
        match at.checked_sub(self.start) {
            // It is within the window, but not in the current interval.
            None => self.before = self.before.saturating_add(1),
            Some(age) => {
                if age >= length.saturating_mul(2) {
                    *self = Self { before: 0, current: 0, latest: at, start: at };
                } else if age >= length {
                    (self.before, self.current, self.start) = (self.current, 0, self.start + length);
                }
                self.current = self.current.saturating_add(1);
                self.latest = self.latest.max(at);
            }
        }
        Some(self.count(self.latest, length))
    }

    /// The number of events within the window that ends now.
    pub(super) fn count(&self, now: u64, length: u64) -> u64 {
        let age = now.saturating_sub(self.start);
        // The part of the window that is covered by an interval of this age at its end.
        let covered = |count: u32, age: u64| {
            let left = (2 * u128::from(length)).saturating_sub(u128::from(age)).min(u128::from(length));
            u64::try_from(u128::from(count) * left / u128::from(length.max(1))).unwrap_or(u64::MAX)
        };
        covered(self.current, age) + covered(self.before, age.saturating_add(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(at: u64) -> Times {
        Times { at, now: at }
    }

    #[test]
    fn the_count_slides() {
        let mut window = Window::default();
        for count in 1..=10 {
            assert_eq!(window.add(at(1_000_000), 100), Some(count));
        }
        assert_eq!(window.count(1_000_100, 100), 10, "all of the interval is in the window");
        assert_eq!(window.count(1_000_150, 100), 5);
        assert_eq!(window.count(1_000_200, 100), 0);
        assert_eq!(window.add(at(1_000_150), 100), Some(6));
        assert_eq!(window.add(at(2_000_000), 100), Some(1));
    }

    #[test]
    fn an_event_is_counted_in_the_interval_of_its_arrival() {
        let mut window = Window::default();
        assert_eq!(window.add(at(1_000_000), 100), Some(1));
        assert_eq!(window.add(at(1_000_150), 100), Some(1));
        let late = |at| Times { at, now: 1_000_150 };
        assert_eq!(window.add(late(1_000_060), 100), Some(2), "half of the interval before");
        assert_eq!(window.add(late(1_000_050), 100), None, "not within the window");
        assert_eq!(window.add(late(1_000_120), 100), Some(3));
    }

    #[test]
    fn a_clock_that_was_set_back_starts_the_count_again() {
        let mut window = Window::default();
        for _ in 0..10 {
            window.add(at(2_000_000), 100);
        }
        assert_eq!(window.add(at(1_000_000), 100), Some(1));
        assert_eq!(window.add(at(1_000_001), 100), Some(2));
    }
}
