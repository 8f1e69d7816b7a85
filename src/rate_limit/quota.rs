//! A rate and a burst.

use std::{
    borrow::Cow,
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{stopwatch::ticks, window::Windows};
use crate::error::{ConfigError, ConfigErrorKind};

/// A rate, in units per period, and a burst, in units at once.
///
/// The whole burst is available at first, and used units become available again evenly, at the rate. So the units
/// admitted in any interval of time are at most the burst and the units of the rate in that interval. The default
/// [`burst`](Self::burst) is the number of units per period.
///
/// A request costs one unit, or as many as [`RateLimitLayer::cost`](crate::layer::RateLimitLayer::cost) returns. The time
/// between two units, the [emission interval](Self::emission_interval), is rounded up to whole nanoseconds (in Redis,
/// microseconds), so the rate is never exceeded.
///
/// # Hard limits
///
/// With the default burst, `per_day(1_000)` admits up to 1,999 units in some intervals of a day: the burst, and what becomes
/// available meanwhile. Three kinds of limits admit no more than the number:
///
/// | method | units in | available again |
/// |---|---|---|
/// | [`sliding`](Self::sliding) | any interval of one period | evenly; at most half of them at once, unless `burst` is set before |
/// | [`fixed_window`](Self::fixed_window) | windows of one period, from the Unix epoch on | all of them when the window ends |
/// | [`per_calendar_day`](Self::per_calendar_day), [`per_calendar_month`](Self::per_calendar_month) | days and months at an offset from UTC | all of them when the day or month ends |
///
/// The last two are selected by the wall clock of the node: a request at the end of a window and one at the start of the next
/// are admitted independently of each other.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::rate_limit::{Quota, nonzero};
///
/// const CALLS: Quota = Quota::per_second(50).burst(100);
/// assert_eq!(CALLS.emission_interval(), Duration::from_millis(20));
///
/// // From a configuration file: a mistake is an error instead of a panic.
/// let ten = nonzero(10);
/// assert!(Quota::new("daily", ten, Duration::from_secs(86_400), ten).is_ok());
///
/// let error = Quota::new("each day", ten, Duration::from_secs(86_400), ten).unwrap_err();
/// assert_eq!(error.refused_value(), Some("each day"));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    name: Cow<'static, str>,
    pub(super) count: NonZeroU32,
    /// Seconds.
    period: NonZeroU64,
    pub(super) burst: NonZeroU32,
    /// The number of units in any interval of one period, if that is limited.
    pub(super) sliding: Option<NonZeroU32>,
    pub(super) windows: Windows,
    /// `None` for requests.
    unit: Option<&'static str>,
}

impl Quota {
    /// `count` units per second, named `per-second`.
    ///
    /// # Panics
    ///
    /// If `count` is zero; a compile-time error in a `const`.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self::literal("per-second", count, 1)
    }

    /// `count` units per minute, named `per-minute`.
    ///
    /// # Panics
    ///
    /// If `count` is zero; a compile-time error in a `const`.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self::literal("per-minute", count, 60)
    }

    /// `count` units per hour, named `per-hour`.
    ///
    /// # Panics
    ///
    /// If `count` is zero; a compile-time error in a `const`.
    #[must_use]
    pub const fn per_hour(count: u32) -> Self {
        Self::literal("per-hour", count, 3_600)
    }

    /// `count` units per day, named `per-day`.
    ///
    /// # Panics
    ///
    /// If `count` is zero; a compile-time error in a `const`.
    #[must_use]
    pub const fn per_day(count: u32) -> Self {
        Self::literal("per-day", count, 86_400)
    }

    /// Creates a quota from configured values.
    ///
    /// # Errors
    ///
    /// If the name is not 1 to 64 characters of visible ASCII without `"` and `\`, if the period is not a whole number
    /// of seconds from one second to ten years, or if the burst needs more than ten years to become available again.
    pub fn new(name: &str, count: NonZeroU32, period: Duration, burst: NonZeroU32) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::Quota, message);
        if !is_name(name) {
            return Err(refused(NAME).value(name));
        }
        let seconds = NonZeroU64::new(period.as_secs()).filter(|_| period.subsec_nanos() == 0);
        let seconds = seconds.filter(|seconds| seconds.get() <= LONGEST);
        let seconds = seconds.ok_or_else(|| refused(PERIOD).value(format_args!("{period:?}")))?;
        let name = Cow::Owned(name.to_owned());
        let quota = Self { name, count, period: seconds, burst, sliding: None, windows: Windows::None, unit: None };
        if quota.refill() > LONGEST {
            return Err(refused(BURST).value(burst));
        }
        Ok(quota)
    }

    /// Sets the burst: the number of units per period by default.
    ///
    /// # Panics
    ///
    /// If `burst` is zero, or needs more than ten years to become available again, or if the quota is a
    /// [hard limit](Self#hard-limits); a compile-time error in a `const`.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        assert!(self.sliding.is_none() && !self.has_fixed_windows(), "{}", HARD);
        let Some(burst) = NonZeroU32::new(burst) else { panic!("the burst of a quota is zero") };
        self.burst = burst;
        assert!(self.refill() <= LONGEST, "{}", BURST);
        self
    }

    /// Sets the name, which clients see in response fields.
    ///
    /// # Panics
    ///
    /// If the name is not 1 to 64 characters of visible ASCII without `"` and `\`.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        assert!(is_name(name), "{NAME}");
        self.name = Cow::Borrowed(name);
        self
    }

    /// Sets what the units are, which clients see as `qu` in response fields: requests by default. It has no effect on the count.
    ///
    /// # Panics
    ///
    /// If the unit is not 1 to 64 characters of visible ASCII without `"` and `\`.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        assert!(is_name(unit), "the unit of a quota is 1 to 64 characters, as its name");
        self.unit = Some(unit);
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of units per period.
    #[must_use]
    pub const fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_secs(self.period.get())
    }

    /// The burst.
    #[must_use]
    pub const fn burst_size(&self) -> NonZeroU32 {
        self.burst
    }

    /// Returns whether the units are available again at the end of a window, all at once: a window of one period, or a calendar
    /// day or month.
    #[must_use]
    pub const fn has_fixed_windows(&self) -> bool {
        !matches!(self.windows, Windows::None)
    }

    /// The time after which one used unit is available again, rounded up to whole nanoseconds; zero for a quota
    /// [in windows](Self::has_fixed_windows).
    #[must_use]
    pub const fn emission_interval(&self) -> Duration {
        self.emission_interval_at(Duration::from_nanos(1))
    }

    /// The emission interval, rounded up to a multiple of the resolution of a store's clock.
    #[must_use]
    pub const fn emission_interval_at(&self, resolution: Duration) -> Duration {
        Duration::from_nanos(self.emission_interval_in_ticks(ticks(resolution)))
    }

    /// The emission interval in nanoseconds, rounded up to a multiple of `resolution`.
    pub(super) const fn emission_interval_in_ticks(&self, resolution: u64) -> u64 {
        if self.has_fixed_windows() {
            return 0;
        }
        // No overflow: a period is ten years at most.
        let period = self.period.get() * 1_000_000_000;
        let resolution = if resolution == 0 { 1 } else { resolution };
        period.div_ceil(resolution.saturating_mul(self.count.get() as u64)).saturating_mul(resolution)
    }

    /// The window in which [`count`](Self::count), or the burst if it is larger, may be used: what response fields state.
    pub(super) const fn window(&self) -> (u32, u64) {
        if let Some(limit) = self.sliding {
            (limit.get(), self.period.get())
        } else if self.burst.get() > self.count.get() {
            let seconds = self.period.get() as u128 * self.burst.get() as u128;
            (self.burst.get(), seconds.div_ceil(self.count.get() as u128) as u64)
        } else {
            (self.count.get(), self.period.get())
        }
    }

    /// The name of the units, if they are not requests.
    pub(super) const fn unit_name(&self) -> Option<&'static str> {
        self.unit
    }

    /// The windows.
    pub(super) const fn windows(&self) -> Windows {
        self.windows
    }

    /// The seconds after which the whole burst is available again, rounded up.
    pub(super) const fn refill(&self) -> u64 {
        let seconds = self.period.get() as u128 * self.burst.get() as u128;
        let seconds = seconds.div_ceil(self.count.get() as u128);
        if seconds > u64::MAX as u128 { u64::MAX } else { seconds as u64 }
    }

    pub(super) const fn literal(name: &'static str, count: u32, period: u64) -> Self {
        let (Some(count), Some(period)) = (NonZeroU32::new(count), NonZeroU64::new(period)) else {
            panic!("the count of a quota is zero")
        };
        let name = Cow::Borrowed(name);
        Self { name, count, period, burst: count, sliding: None, windows: Windows::None, unit: None }
    }
}

/// A number that is not zero, for literals: of nodes, units or requests.
///
/// # Panics
///
/// If `number` is zero; a compile-time error in a `const`.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     layer::ConcurrencyLayer,
///     rate_limit::{LimitBy, nonzero},
/// };
///
/// let layer = ConcurrencyLayer::new(LimitBy::principal(), nonzero(10));
/// ```
#[must_use]
pub const fn nonzero(number: u32) -> NonZeroU32 {
    let Some(number) = NonZeroU32::new(number) else { panic!("the number is zero") };
    number
}

/// Ten years, in seconds.
pub(super) const LONGEST: u64 = 10 * 366 * 86_400;

pub(super) const BURST: &str = "the burst of a quota is available again within ten years";

pub(super) const HARD: &str = "a hard limit is made once, and of a quota whose burst is at most its number of units";

pub(super) const NAME: &str = "the name of a quota is 1 to 64 characters of visible ASCII without '\"' and '\\'";

const PERIOD: &str = "the period of a quota is a whole number of seconds, from one second to ten years";

/// Returns `true` if the text needs no escapes in a String of a structured field, RFC 9651 §3.3.3.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
