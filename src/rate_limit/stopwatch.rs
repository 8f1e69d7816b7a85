//! Monotonic time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A source of monotonic time.
///
/// Limits are measured with a stopwatch and not with a [`Clock`](crate::Clock), which an administrator can set: setting
/// it back must not lock clients out, and setting it forward must not admit more requests. Tests use a
/// [`ManualStopwatch`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::rate_limit::Stopwatch;
///
/// /// The time that a paused tokio runtime simulates.
/// #[derive(Debug)]
/// struct TokioStopwatch(tokio::time::Instant);
///
/// impl Stopwatch for TokioStopwatch {
///     fn elapsed(&self) -> Duration {
///         self.0.elapsed()
///     }
/// }
///
/// let stopwatch = TokioStopwatch(tokio::time::Instant::now());
/// assert!(stopwatch.elapsed() <= stopwatch.elapsed());
/// ```
pub trait Stopwatch: fmt::Debug + Send + Sync + 'static {
    /// Returns the time since a fixed moment; never less than in an earlier call.
    fn elapsed(&self) -> Duration;
}

impl<S: Stopwatch + ?Sized> Stopwatch for Arc<S> {
    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }
}

/// The time since its creation, by the machine's monotonic clock.
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

/// A stopwatch that only moves when it is advanced; clones share the time.
///
/// # Examples
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
    /// Moves the time forward, by whole nanoseconds.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(ticks(duration), Ordering::Relaxed);
    }
}

impl Stopwatch for ManualStopwatch {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The tick at which every stopwatch starts. It is later than the longest burst tolerance, so the arithmetic of
/// [`gcra`](super::gcra) stays above zero.
pub(super) const ORIGIN: u64 = 1 << 60;

/// The time in ticks.
pub(super) fn now(elapsed: Duration) -> u64 {
    ORIGIN.saturating_add(ticks(elapsed))
}

/// Nanoseconds: enough for 584 years.
pub(super) const fn ticks(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}
