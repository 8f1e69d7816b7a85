/// A count in a sliding window: that of the current interval, and a part of that of the interval before.
///
/// Times are in milliseconds. An event that is older than the current interval counts as one at its begin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    before: u32,
    current: u32,
    start: u64,
}

impl Window {
    /// Counts an event, and returns the number of events within the window.
    pub(super) fn add(&mut self, now: u64, length: u64) -> u64 {
        let age = now.saturating_sub(self.start);
        if age >= length.saturating_mul(2) {
            *self = Self { before: 0, current: 0, start: now };
        } else if age >= length {
            *self = Self { before: self.current, current: 0, start: self.start + length };
        }
        self.current = self.current.saturating_add(1);
        self.count(now, length)
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

    #[test]
    fn the_count_slides() {
        let mut window = Window::default();
        for count in 1..=10 {
            assert_eq!(window.add(1_000_000, 100), count);
        }
        assert_eq!(window.count(1_000_100, 100), 10, "all of the interval is in the window");
        assert_eq!(window.count(1_000_150, 100), 5);
        assert_eq!(window.count(1_000_200, 100), 0);
        assert_eq!(window.add(1_000_150, 100), 6);
        assert_eq!(window.add(1_000_000, 100), 12, "an older event counts at the begin of the interval");
        assert_eq!(window.add(2_000_000, 100), 1);
    }
}
