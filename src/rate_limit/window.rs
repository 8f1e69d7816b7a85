//! Windows of time, at whose end the whole of a quota is available again.

use super::{stopwatch::ORIGIN, table::mix};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    time::UnixTime,
};

/// The windows of a quota.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Windows {
    /// Days of a calendar.
    Days(UtcOffset),
    /// Windows of one length, aligned to the Unix epoch.
    Fixed,
    /// Months of a calendar.
    Months(UtcOffset),
    /// No windows: units become available again evenly.
    None,
}

/// A window: its start and its end, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Windows {
    /// The window at this time; `period` is the length of fixed windows, in seconds.
    pub(super) fn at(self, now: UnixTime, period: u64) -> Option<Window> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
        match self {
            Self::None => None,
            Self::Fixed => {
                let period = i64::try_from(period).unwrap_or(i64::MAX / 4);
                let start = now - now.rem_euclid(period);
                Some(Window { start, end: start + period })
            }
            Self::Days(offset) => {
                let start = now - (now + offset.seconds()).rem_euclid(DAY);
                Some(Window { start, end: start + DAY })
            }
            Self::Months(offset) => {
                let (first, next) = month((now + offset.seconds()).div_euclid(DAY));
                Some(Window { start: first * DAY - offset.seconds(), end: next * DAY - offset.seconds() })
            }
        }
    }
}

impl Window {
    /// The id of a quota in this window: each window has state of its own.
    pub(super) fn id(self, quota: u64) -> u64 {
        mix(quota ^ mix(self.start.cast_unsigned()))
    }

    /// The ticks from now until the end, one second at least.
    pub(super) fn ticks_left(self, now: UnixTime) -> u64 {
        let left = u64::try_from(self.end).unwrap_or_default().saturating_sub(now.as_secs()).max(1);
        left.saturating_mul(1_000_000_000).min(ORIGIN)
    }
}

/// An offset from UTC, at which the days and months of a calendar begin.
///
/// Time zones have no names here: nodes with different versions of the time-zone database would count in different windows.
/// An application that follows daylight saving time makes a new layer when the offset changes.
///
/// # Examples
///
/// ```
/// use tower_warden::rate_limit::{Quota, UtcOffset};
///
/// let utc = Quota::per_calendar_month(10_000, UtcOffset::UTC);
/// let india = Quota::per_calendar_day(1_000, UtcOffset::minutes(330)?);
/// assert!(UtcOffset::minutes(24 * 60).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// UTC itself.
    pub const UTC: Self = Self(0);

    /// Creates an offset in minutes; it is positive east of Greenwich.
    ///
    /// # Errors
    ///
    /// If it is more than 18 hours.
    pub fn minutes(minutes: i16) -> Result<Self, ConfigError> {
        if minutes.unsigned_abs() <= 18 * 60 {
            Ok(Self(minutes))
        } else {
            let message = "an offset from UTC is at most 18 hours, which are 1080 minutes";
            Err(ConfigError::new(ConfigErrorKind::Quota, message).value(minutes))
        }
    }

    fn seconds(self) -> i64 {
        i64::from(self.0) * 60
    }

    pub(super) const fn as_minutes(self) -> i16 {
        self.0
    }
}

const DAY: i64 = 86_400;

/// The first day of the month that contains this day, and that of the next month, in days since the epoch.
fn month(day: i64) -> (i64, i64) {
    // The Gregorian calendar in eras of 400 years, with years that begin in March: the leap day is the last of a year.
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let first = day - (day_of_year - (153 * month + 2) / 5);
    // The number of days of the month: February is the last one, month 11.
    let year = era * 400 + year_of_era + 1;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        11 => 28 + i64::from(is_leap),
        month => (153 * (month + 1) + 2) / 5 - (153 * month + 2) / 5,
    };
    (first, first + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_and_end_as_in_the_calendar() {
        let mut day = 0;
        for year in 1970..2500 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for length in [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                for within in [day, day + 1, day + length / 2, day + length - 1] {
                    assert_eq!(month(within), (day, day + length), "year {year}");
                }
                day += length;
            }
        }
    }
}
