//! Time that only goes forwards.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Tells how much time has passed since some moment of its own.
///
/// Limits are measured with this and not with a [`Clock`](crate::Clock), which may be set: a clock that is set back
/// must lock nobody out, and one that is set forwards must let nobody in. Tests hold a [`ManualStopwatch`].
pub trait Stopwatch: fmt::Debug + Send + Sync + 'static {
    /// The time that has passed; never less than before.
    fn elapsed(&self) -> Duration;
}

impl<S: Stopwatch + ?Sized> Stopwatch for Arc<S> {
    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }
}

/// Time since this was made, by the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicStopwatch(Instant);

impl Default for MonotonicStopwatch {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Stopwatch for MonotonicStopwatch {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A stopwatch that stands still until it is moved, shared by its clones.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::rate_limit::{ManualStopwatch, Stopwatch};
///
/// let stopwatch = ManualStopwatch::default();
/// stopwatch.advance(Duration::from_millis(20));
/// assert_eq!(stopwatch.elapsed(), Duration::from_millis(20));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualStopwatch(Arc<AtomicU64>);

impl ManualStopwatch {
    /// Moves forwards, by whole nanoseconds.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(ticks(duration), Ordering::Relaxed);
    }
}

impl Stopwatch for ManualStopwatch {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Nanoseconds: enough for 584 years.
pub(super) fn ticks(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
