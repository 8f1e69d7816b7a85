use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tower_warden::{Clock, SystemClock, UnixTime};

/// The settings of a cache.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) default_lifetime: Duration,
    pub(super) early: Duration,
    /// The largest jitter.
    pub(super) jitter: Duration,
    /// The jitter of this instance, in parts of 2³².
    pub(super) jitter_fraction: u32,
    /// The longest delay of a request by an early refresh.
    pub(super) max_delay: Duration,
    /// The time limit of one attempt.
    pub(super) timeout: Duration,
}

/// A time by both clocks: the second one is never set back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: UnixTime,
    pub(super) steady: UnixTime,
}

impl Settings {
    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), steady: self.clock.steady() }
    }

    /// The age at which a token with this lifetime is refreshed, in seconds: at least half the lifetime.
    pub(super) fn refresh_age(&self, lifetime: u64) -> u64 {
        let jitter = self.jitter.as_secs().saturating_mul(u64::from(self.jitter_fraction)) >> 32;
        let early = self.early.as_secs().saturating_add(jitter).min(lifetime / 2);
        lifetime - early
    }
}

impl Default for Settings {
    fn default() -> Self {
        // The hasher has random keys, so its result is random as well.
        let random = RandomState::new().build_hasher().finish();
        Self {
            clock: Arc::new(SystemClock::default()),
            default_lifetime: Duration::from_secs(300),
            early: Duration::from_secs(120),
            jitter: Duration::from_secs(30),
            jitter_fraction: u32::try_from(random >> 32).unwrap_or_default(),
            max_delay: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Moment {
    /// The seconds since an earlier moment, by the clock that shows more: a clock that was set back makes nothing
    /// younger.
    pub(super) fn since(self, earlier: Self) -> u64 {
        let by_clock = self.now.as_secs().saturating_sub(earlier.now.as_secs());
        by_clock.max(self.steady.as_secs().saturating_sub(earlier.steady.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_refreshed_early_but_not_before_half_its_lifetime() {
        let settings = |jitter_fraction| Settings { jitter_fraction, ..Settings::default() };
        assert_eq!(settings(0).refresh_age(3_600), 3_600 - 120);
        assert_eq!(settings(u32::MAX).refresh_age(3_600), 3_600 - 120 - 29);
        assert_eq!(settings(u32::MAX).refresh_age(60), 30);
        assert_eq!(settings(0).refresh_age(1), 1);
        assert_eq!(settings(0).refresh_age(0), 0);
    }
}
