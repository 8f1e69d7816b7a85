use std::{
    fmt,
    ops::{Add, Sub},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Whole seconds since the Unix epoch.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_warden::UnixTime;
///
/// let time = UnixTime::from_secs(1_800_000_000);
/// assert_eq!((time + Duration::from_millis(1_500)).as_secs(), 1_800_000_001);
/// assert_eq!((time - Duration::from_secs(60)).as_secs(), 1_799_999_940);
/// assert!(UnixTime::now() > time - Duration::from_secs(365 * 24 * 3600));
/// assert_eq!(time.to_system_time().map(UnixTime::from), Some(time));
/// assert_eq!(UnixTime::from(SystemTime::UNIX_EPOCH), UnixTime::default());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(transparent))]
pub struct UnixTime(u64);

impl UnixTime {
    /// Creates a time from the seconds since the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns the current time of the system. Code that is tested takes the time from a [`Clock`] instead.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Converts to a [`SystemTime`]; `None` if the platform cannot represent it.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.0))
    }
}

/// Drops the fraction of a second; a time before the epoch becomes the epoch.
impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

/// Saturates, and drops the fraction of a second.
impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }
}

/// Stops at the epoch, and drops the fraction of a second of the duration.
impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch, for events.
///
/// # Examples
///
/// ```
/// use tower_warden::{Clock, SystemClock, Timestamp, UnixTime};
///
/// let time = Timestamp::from_millis(1_800_000_000_250);
/// assert_eq!(time.seconds(), UnixTime::from_secs(1_800_000_000));
/// assert!(SystemClock::default().timestamp() > Timestamp::from_millis(1_700_000_000_000));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time that many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The whole seconds.
    #[must_use]
    pub const fn seconds(self) -> UnixTime {
        UnixTime(self.0 / 1_000)
    }
}

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
}

impl Moment {
    /// A moment with these times; the instant is read.
    #[must_use]
    pub fn new(now: UnixTime, steady: UnixTime) -> Self {
        Self { now, steady, instant: Instant::now() }
    }
}

/// A source of the current time.
///
/// [`SystemClock`] is the default, and [`ManualClock`] is for tests.
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
        Timestamp(self.now().0.saturating_mul(1_000))
    }

    /// Returns what [`now`](Self::now) and [`steady`](Self::steady) return at this moment. The authentication of a request
    /// reads it once. By default, it calls both; a clock that can read them at once overrides it.
    fn moment(&self) -> Moment {
        Moment::new(self.now(), self.steady())
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

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime::now()
    }

    /// The time of the first call, plus the time that has passed since then on the monotonic clock.
    fn steady(&self) -> UnixTime {
        steady(Instant::now())
    }

    /// Reads each clock once.
    fn moment(&self) -> Moment {
        let instant = Instant::now();
        Moment { now: UnixTime::now(), steady: steady(instant), instant }
    }

    fn timestamp(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The time of the first call, plus the time that has passed from then to this instant.
fn steady(instant: Instant) -> UnixTime {
    static START: LazyLock<(UnixTime, Instant)> = LazyLock::new(|| (SystemTime::now().into(), Instant::now()));
    START.0 + instant.saturating_duration_since(START.1)
}

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
        Self(Arc::new(ManualTime { now: time.0.into(), steady: time.0.into() }))
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, time: UnixTime) {
        let before = self.0.now.swap(time.0, Ordering::Relaxed);
        self.0.steady.fetch_add(time.0.saturating_sub(before), Ordering::Relaxed);
    }

    /// Moves the clock forward; the fraction of a second is dropped.
    pub fn advance(&self, duration: Duration) {
        self.0.now.fetch_add(duration.as_secs(), Ordering::Relaxed);
        self.0.steady.fetch_add(duration.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.now.load(Ordering::Relaxed))
    }

    fn steady(&self) -> UnixTime {
        UnixTime(self.0.steady.load(Ordering::Relaxed))
    }
}
