use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, SystemTime, UNIX_EPOCH},
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

    /// Returns the current time of the system. Code that is tested takes the time from a [`Clock`](crate::Clock) instead.
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

/// Drops the fraction of a millisecond; a time before the epoch becomes the epoch.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<UnixTime> for Timestamp {
    fn from(time: UnixTime) -> Self {
        Self(time.0.saturating_mul(1_000))
    }
}
