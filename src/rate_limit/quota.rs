//! How much may be used, and how fast it comes back.

use std::{
    borrow::Cow,
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use crate::error::{ConfigError, ConfigErrorKind};

/// How much a caller may use, and how fast that comes back.
///
/// A quota is a rate, so many units in a period, and a burst, so many units at once: the burst is there to begin with,
/// and what is used comes back at the rate, evenly. So in any stretch of time no more is admitted than the burst and
/// what comes back meanwhile. Without [`burst`](Self::burst), the burst is what comes back in one period.
///
/// A unit is a request, or what a [cost](crate::layer::RateLimitLayer::cost) makes of one. Between two units pass whole
/// nanoseconds (in Redis, microseconds), rounded up: never faster than stated.
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use tower_warden::rate_limit::Quota;
///
/// const CALLS: Quota = Quota::per_second(50).burst(100);
/// assert_eq!(CALLS.interval(), Duration::from_millis(20));
///
/// // From a configuration, where a mistake is an error and no panic.
/// let ten = NonZeroU32::new(10).expect("ten is not zero");
/// assert!(Quota::new("daily", ten, Duration::from_secs(86_400), ten).is_ok());
/// assert!(Quota::new("daily\"", ten, Duration::from_secs(86_400), ten).is_err());
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    name: Cow<'static, str>,
    count: NonZeroU32,
    /// In seconds.
    period: NonZeroU64,
    burst: NonZeroU32,
}

impl Quota {
    /// So many units a second, named `per-second`.
    ///
    /// # Panics
    ///
    /// At zero; in a `const`, the compiler says so.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self::literal("per-second", count, 1)
    }

    /// So many units a minute, named `per-minute`.
    ///
    /// # Panics
    ///
    /// At zero; in a `const`, the compiler says so.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self::literal("per-minute", count, 60)
    }

    /// So many units an hour, named `per-hour`.
    ///
    /// # Panics
    ///
    /// At zero; in a `const`, the compiler says so.
    #[must_use]
    pub const fn per_hour(count: u32) -> Self {
        Self::literal("per-hour", count, 3_600)
    }

    /// So many units a day, named `per-day`.
    ///
    /// # Panics
    ///
    /// At zero; in a `const`, the compiler says so.
    #[must_use]
    pub const fn per_day(count: u32) -> Self {
        Self::literal("per-day", count, 86_400)
    }

    /// A quota from a configuration.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than 64 bytes, or has a character other than visible ASCII, or a `"` or `\`; if the
    /// period is not in whole seconds, from one to ten years of them; or if the burst would take longer than ten years to
    /// come back.
    pub fn new(name: &str, count: NonZeroU32, period: Duration, burst: NonZeroU32) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::Quota, message);
        if !is_name(name) {
            return Err(refused(NAME));
        }
        let period = NonZeroU64::new(period.as_secs()).filter(|_| period.subsec_nanos() == 0);
        let period = period.filter(|seconds| seconds.get() <= LONGEST);
        let period = period.ok_or_else(|| refused("the period of a quota is in whole seconds, up to ten years"))?;
        let quota = Self { name: Cow::Owned(name.to_owned()), count, period, burst };
        if quota.refill() > LONGEST {
            return Err(refused(BURST));
        }
        Ok(quota)
    }

    /// So many units at once: what comes back in one period by default.
    ///
    /// # Panics
    ///
    /// At zero, and if the burst would take longer than ten years to come back; in a `const`, the compiler says so.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        let Some(burst) = NonZeroU32::new(burst) else { panic!("the burst of a quota is zero") };
        self.burst = burst;
        assert!(self.refill() <= LONGEST, "{}", BURST);
        self
    }

    /// What clients are told that it is called.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 64 bytes, or has a character other than visible ASCII, or a `"` or `\`.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        assert!(is_name(name), "{NAME}");
        self.name = Cow::Borrowed(name);
        self
    }

    /// What clients are told that it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many units come back in a period.
    #[must_use]
    pub const fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_secs(self.period.get())
    }

    /// How many units there are at once.
    #[must_use]
    pub const fn burst_size(&self) -> NonZeroU32 {
        self.burst
    }

    /// How long one unit takes to come back.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_in(1_000_000_000))
    }

    /// The window in which [`count`](Self::count), or the burst where that is more, may be used: what clients are told.
    pub(super) const fn window(&self) -> (u32, u64) {
        if self.burst.get() > self.count.get() {
            let seconds = self.period.get() as u128 * self.burst.get() as u128;
            (self.burst.get(), seconds.div_ceil(self.count.get() as u128) as u64)
        } else {
            (self.count.get(), self.period.get())
        }
    }

    /// How many ticks one unit takes to come back, rounded up.
    pub(super) const fn interval_in(&self, ticks_per_second: u64) -> u64 {
        // No overflow: a period is ten years at the most.
        (self.period.get() * ticks_per_second).div_ceil(self.count.get() as u64)
    }

    /// How many seconds the burst takes to come back, rounded up.
    const fn refill(&self) -> u64 {
        let seconds = self.period.get() as u128 * self.burst.get() as u128;
        let seconds = seconds.div_ceil(self.count.get() as u128);
        if seconds > u64::MAX as u128 { u64::MAX } else { seconds as u64 }
    }

    const fn literal(name: &'static str, count: u32, period: u64) -> Self {
        let (Some(count), Some(period)) = (NonZeroU32::new(count), NonZeroU64::new(period)) else {
            panic!("a quota of zero")
        };
        Self { name: Cow::Borrowed(name), count, period, burst: count }
    }
}

/// Ten years, in seconds.
const LONGEST: u64 = 10 * 366 * 86_400;

const BURST: &str = "the burst of a quota comes back within ten years";

const NAME: &str = "the name of a quota is visible ASCII without '\"' and '\\'";

/// What may stand between the quotes of a structured field's String, RFC 9651 §3.3.3, without escapes and spaces.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
