use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{clock::Clock, unix::UnixTime};

/// A clock that changes only when it is set, shared by its clones.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Clock, ManualClock, UnixTime};
///
/// let clock = ManualClock::at(UnixTime::from_secs(1_000));
/// clock.advance(Duration::from_secs(30));
/// assert_eq!(clock.now(), UnixTime::from_secs(1_030));
/// ```
///
/// [`steady`](Clock::steady) only moves forward, by as much as the clock is set or moved forward.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<ManualTime>);

#[derive(Debug, Default)]
struct ManualTime {
    now: AtomicU64,
    steady: AtomicU64,
}

impl ManualClock {
    /// Creates a clock that shows `time`.
    #[must_use]
    pub fn at(time: UnixTime) -> Self {
        Self(Arc::new(ManualTime { now: time.as_secs().into(), steady: time.as_secs().into() }))
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, time: UnixTime) {
        let before = self.0.now.swap(time.as_secs(), Ordering::Relaxed);
        self.0.steady.fetch_add(time.as_secs().saturating_sub(before), Ordering::Relaxed);
    }

    /// Moves the clock forward; the fraction of a second is dropped.
    pub fn advance(&self, duration: Duration) {
        self.0.now.fetch_add(duration.as_secs(), Ordering::Relaxed);
        self.0.steady.fetch_add(duration.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.now.load(Ordering::Relaxed))
    }

    fn steady(&self) -> UnixTime {
        UnixTime::from_secs(self.0.steady.load(Ordering::Relaxed))
    }
}
