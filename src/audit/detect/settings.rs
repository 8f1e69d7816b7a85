use std::time::Duration;

use super::alert::Detection;

/// The patterns that are detected, and their thresholds.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The time without what was detected after which an alert is cleared, in milliseconds.
    pub(super) calm: u64,
    pub(super) capacity: usize,
    /// The multiple of its baseline from which on the rate of a caller is unusual.
    pub(super) factor: f64,
    /// The time since the first request of a caller before something is unusual for it, and the memory of its baseline;
    /// in milliseconds.
    pub(super) learning: u64,
    pub(super) thresholds: [Option<Threshold>; Detection::COUNT],
}

/// A count within a window, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threshold {
    pub(super) count: u64,
    pub(super) window: u64,
}

impl Settings {
    pub(super) fn threshold(&self, detection: Detection) -> Option<Threshold> {
        self.thresholds[detection.index()]
    }

    pub(super) fn set(&mut self, detection: Detection, threshold: Option<Threshold>) {
        self.thresholds[detection.index()] = threshold;
    }

    /// Counts an event, if it is part of what is detected, and not too old to be counted.
    pub(super) fn count(&self, detection: Detection, add: impl FnOnce(u64) -> Option<u64>) -> Option<Counted> {
        let threshold = self.threshold(detection)?;
        Some((add(threshold.window)?, threshold))
    }

    /// The length of the window, if this is detected.
    pub(super) fn window(&self, detection: Detection) -> u64 {
        self.threshold(detection).map_or(0, |threshold| threshold.window)
    }
}

/// A count within the window of a threshold.
pub(super) type Counted = (u64, Threshold);

impl Threshold {
    pub(super) const fn half(self) -> u64 {
        self.count.div_ceil(2)
    }

    /// The number of different values that are distinguished.
    pub(super) fn places(self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTES: u64 = 60_000;
        let mut settings = Self {
            calm: 15 * MINUTES,
            capacity: 65_536,
            factor: 20.0,
            learning: 24 * 60 * MINUTES,
            thresholds: [None; Detection::COUNT],
        };
        for (detection, count, window) in [
            (Detection::FailuresOfCaller, 10, 5 * MINUTES),
            (Detection::FailuresOfKey, 10, 5 * MINUTES),
            (Detection::FailuresOfPeer, 30, 5 * MINUTES),
            (Detection::FirstUseOfScope, 1, 5 * MINUTES),
            (Detection::FirstUseOfTool, 1, 5 * MINUTES),
            (Detection::KeyInManyNetworks, 5, 60 * MINUTES),
            (Detection::ManyKeysFromPeer, 20, 60 * MINUTES),
            (Detection::RefusedScopes, 10, 5 * MINUTES),
            (Detection::UnusualRate, 100, MINUTES / 6),
        ] {
            settings.set(detection, Some(Threshold { count, window }));
        }
        settings
    }
}

/// The milliseconds, at least one.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
