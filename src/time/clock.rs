use std::{fmt, sync::Arc, time::Instant};

use super::unix::{Timestamp, UnixTime};

/// The times of one moment, by a [`Clock`].
///
/// # Examples
///
/// ```
/// use tower_warden::{Clock, ManualClock, UnixTime};
///
/// let moment = ManualClock::at(UnixTime::from_secs(1_000)).moment();
/// assert_eq!((moment.now, moment.steady), (UnixTime::from_secs(1_000), UnixTime::from_secs(1_000)));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Moment {
    /// [`Clock::now`].
    pub now: UnixTime,
    /// [`Clock::steady`].
    pub steady: UnixTime,
    /// The start of measurements, which are always by the clock of the machine.
    pub instant: Instant,
    /// [`Clock::timestamp`].
    pub timestamp: Timestamp,
}

impl Moment {
    /// A moment with these times; the instant is read. The timestamp is that of the second.
    #[must_use]
    pub fn new(now: UnixTime, steady: UnixTime) -> Self {
        Self { now, steady, instant: Instant::now(), timestamp: now.into() }
    }
}

/// A source of the current time.
///
/// [`SystemClock`](crate::SystemClock) is the default, and [`ManualClock`](crate::ManualClock) is for tests.
///
/// # Examples
///
/// A custom clock, corrected by a measured offset:
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Clock, Environment, SystemClock, UnixTime};
///
/// #[derive(Debug)]
/// struct Corrected {
///     behind: Duration,
/// }
///
/// impl Clock for Corrected {
///     fn now(&self) -> UnixTime {
///         SystemClock::default().now() + self.behind
///     }
/// }
///
/// let environment = Environment::default().with_clock(Corrected { behind: Duration::from_secs(3) });
/// assert!(environment.clock().now() > SystemClock::default().now());
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> UnixTime;

    /// Returns a time that is never set back: the seconds since any fixed point of the past. By default, [`now`](Self::now).
    ///
    /// Caches limit the age of their entries by both, so that an old entry is not used after the clock was set back and has
    /// reached the same time again. A clock that can be set back should therefore implement this method.
    fn steady(&self) -> UnixTime {
        self.now()
    }

    /// Returns the current time in milliseconds, for events. By default, the seconds of [`now`](Self::now).
    fn timestamp(&self) -> Timestamp {
        self.now().into()
    }

    /// Returns what the other methods return at this moment. The authentication of a request reads it once. By default, it
    /// calls them all; a clock that can read them at once overrides it.
    fn moment(&self) -> Moment {
        Moment { timestamp: self.timestamp(), ..Moment::new(self.now(), self.steady()) }
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> UnixTime {
        (**self).now()
    }

    fn timestamp(&self) -> Timestamp {
        (**self).timestamp()
    }

    fn steady(&self) -> UnixTime {
        (**self).steady()
    }

    fn moment(&self) -> Moment {
        (**self).moment()
    }
}

/// The time at which a request arrived, by both times of a [`Clock`].
#[cfg(any(feature = "api-key", feature = "jwt"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) now: UnixTime,
    pub(crate) steady: UnixTime,
}

#[cfg(any(feature = "api-key", feature = "jwt"))]
impl Arrival {
    pub(crate) fn read(clock: &dyn Clock) -> Self {
        let Moment { now, steady, .. } = clock.moment();
        Self { now, steady }
    }
}
