//! Quotas that admit no more than their number.

use std::num::NonZeroU32;

use super::{
    quota::{BURST, HARD, LONGEST, Quota},
    window::{UtcOffset, Windows},
};

/// [Hard limits](Self#hard-limits).
impl Quota {
    /// `count` units in each day that begins at midnight at this offset from UTC, named `per-day`.
    ///
    /// # Panics
    ///
    /// If `count` is zero; a compile-time error in a `const`.
    #[must_use]
    pub const fn per_calendar_day(count: u32, offset: UtcOffset) -> Self {
        let mut quota = Self::per_day(count);
        quota.windows = Windows::Days(offset);
        quota
    }

    /// `count` units in each month of the calendar at this offset from UTC, named `per-month`.
    ///
    /// Response fields state 31 days as the period.
    ///
    /// # Panics
    ///
    /// If `count` is zero; a compile-time error in a `const`.
    #[must_use]
    pub const fn per_calendar_month(count: u32, offset: UtcOffset) -> Self {
        let mut quota = Self::literal("per-month", count, 31 * 86_400);
        quota.windows = Windows::Months(offset);
        quota
    }

    /// Admits no more than the units per period in any interval of one period.
    ///
    /// A burst that is smaller than the units per period stays as it is; otherwise it is half of them. The other units become
    /// available evenly.
    ///
    /// It counts approximately, by a burst and a rate that together admit the number in one period, and stores no time of any
    /// request. So a caller may have to wait before it has used the number, and never gets more.
    ///
    /// # Panics
    ///
    /// If the burst is more than the units per period, or if the quota is a hard limit already; a compile-time error in a
    /// `const`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::rate_limit::Quota;
    ///
    /// const DAILY: Quota = Quota::per_day(1_000).sliding();
    /// assert_eq!(DAILY.burst_size().get(), 500);
    /// const SMOOTH: Quota = Quota::per_day(1_000).burst(10).sliding();
    /// assert_eq!(SMOOTH.burst_size().get(), 10);
    /// ```
    #[must_use]
    pub const fn sliding(mut self) -> Self {
        assert!(self.sliding.is_none() && !self.has_fixed_windows(), "{}", HARD);
        let (limit, burst) = (self.count.get(), self.burst.get());
        assert!(burst <= limit, "{}", HARD);
        let burst = if burst < limit { burst } else { limit.div_ceil(2) };
        // Within one period after a burst, one unit less than the rate becomes available.
        let (Some(burst), Some(count)) = (NonZeroU32::new(burst), NonZeroU32::new(limit - burst + 1)) else {
            panic!("the burst is one to the limit")
        };
        (self.sliding, self.count, self.burst) = (Some(self.count), count, burst);
        assert!(self.refill() <= LONGEST, "{}", BURST);
        self
    }

    /// Admits the units per period in each window of one period, aligned to the Unix epoch; the burst has no effect.
    ///
    /// # Panics
    ///
    /// If the quota is a hard limit already; a compile-time error in a `const`.
    #[must_use]
    pub const fn fixed_window(mut self) -> Self {
        assert!(self.sliding.is_none() && !self.has_fixed_windows(), "{}", HARD);
        (self.windows, self.burst) = (Windows::Fixed, self.count);
        self
    }
}
