use std::str::FromStr;

use super::{allowed::forbid_unless, policy::Policy};
use crate::{
    Eventual,
    caller::Principal,
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
    refusal::Rejection,
    request::Head,
    time::UnixTime,
};

const MINUTES_OF_DAY: u64 = 24 * 60;

/// Requires that the request arrives within hours of the day, by the clock of the layer that admitted the caller.
///
/// The hours are those of UTC, or of a fixed [offset](Self::offset) from it: there is no daylight-saving time.
///
/// # Examples
///
/// ```
/// use tower_warden::{Policy, authorize::{TimeOfDay, Weekday}, layer::AuthorizeLayer, scope::Scope};
///
/// let working_hours = TimeOfDay::between("08:00", "18:00")?.offset("+01:00")?.on(Weekday::MONDAY_TO_FRIDAY);
/// let night = TimeOfDay::between("22:00", "06:00")?;
/// let transfer = AuthorizeLayer::all_of([Scope::from_static("transfers:write")])
///     .and(AuthorizeLayer::new(working_hours.and(night.not()).named("working hours")));
///
/// assert!(TimeOfDay::between("8:00", "18:00").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeOfDay {
    /// The first minute of the day.
    start: u64,
    /// The first minute that is too late; smaller than `start` if it is one of the next day.
    end: u64,
    /// East of UTC, in minutes.
    offset: i64,
    /// A bit for each day, that of Monday first.
    days: u8,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a week has seven days")]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Weekday {
    /// The first five days of the week.
    pub const MONDAY_TO_FRIDAY: [Self; 5] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday];
}

impl TimeOfDay {
    /// The hours from a time on, and before another, both written as `HH:MM`; the end may be `24:00`. An end before the
    /// start is on the next day.
    ///
    /// # Errors
    ///
    /// If one of the texts is not a time, or if both are equal.
    pub fn between(start: &str, end: &str) -> Result<Self, ConfigError> {
        let Minutes(first) = start.parse()?;
        let Minutes(last) = end.parse()?;
        if first == last || first == MINUTES_OF_DAY {
            let message = "a time of day begins before 24:00, and ends at another time";
            return Err(ConfigError::new(ConfigErrorKind::Policy, message).value(format_args!("{start} to {end}")));
        }
        Ok(Self { start: first, end: last, offset: 0, days: 0b111_1111 })
    }

    /// Sets the offset of the times from UTC, such as `+02:00` or `-05:30`.
    ///
    /// # Errors
    ///
    /// If the text is not a sign and a time of less than 24 hours.
    pub fn offset(mut self, offset: &str) -> Result<Self, ConfigError> {
        let refused = || {
            let message = "an offset from UTC is a sign and a time before 24:00, such as +02:00";
            ConfigError::new(ConfigErrorKind::Policy, message).value(offset)
        };
        let (sign, time) = match offset.as_bytes().first() {
            Some(b'+') => (1, &offset[1..]),
            Some(b'-') => (-1, &offset[1..]),
            _ => return Err(refused()),
        };
        let Minutes(minutes) = time.parse().map_err(|_| refused())?;
        if minutes == MINUTES_OF_DAY {
            return Err(refused());
        }
        self.offset = sign * minutes.cast_signed();
        Ok(self)
    }

    /// Sets the days on which the hours begin: all by default. An empty list refuses every request.
    #[must_use]
    pub fn on(mut self, days: impl IntoIterator<Item = Weekday>) -> Self {
        self.days = days.into_iter().fold(0, |days, day| days | 1 << day as u8);
        self
    }

    fn contains(&self, time: UnixTime) -> bool {
        // 1970-01-01 was a Thursday; a week is added because the offset may be negative.
        let minutes = (time.as_secs() / 60 + (7 + 3) * MINUTES_OF_DAY).saturating_add_signed(self.offset);
        let (day, minute) = (minutes / MINUTES_OF_DAY, minutes % MINUTES_OF_DAY);
        let is_open_on = |day: u64| self.days & 1 << (day % 7) != 0;
        if self.start < self.end {
            is_open_on(day) && (self.start..self.end).contains(&minute)
        } else {
            is_open_on(day) && minute >= self.start || is_open_on(day - 1) && minute < self.end
        }
    }
}

impl Policy for TimeOfDay {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        forbid_unless(self.contains(principal.admitted_at()), Reason::TIME_FORBIDDEN)
    }
}

/// Minutes since midnight, up to 24:00.
struct Minutes(u64);

impl FromStr for Minutes {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refused = || {
            let message = "a time of day is two digits, a colon and two digits: 00:00 to 24:00";
            ConfigError::new(ConfigErrorKind::Policy, message).value(text)
        };
        let two_digits = |text: &str| match text.as_bytes() {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(u64::from(tens - b'0') * 10 + u64::from(ones - b'0')),
            _ => None,
        };
        let (hours, minutes) = text.split_once(':').ok_or_else(refused)?;
        let (hours, minutes) = two_digits(hours).zip(two_digits(minutes)).ok_or_else(refused)?;
        let time = hours * 60 + minutes;
        if minutes < 60 && time <= MINUTES_OF_DAY { Ok(Self(time)) } else { Err(refused()) }
    }
}
