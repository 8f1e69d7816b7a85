//! Warnings about probable mistakes in a configuration.

use std::sync::{Mutex, PoisonError};

use crate::{reason::Reason, time::UnixTime};

/// The warnings that were written recently, so that each is written once an hour, however often its cause occurs.
///
/// A refusal is logged at the level debug, which production does not show. If it is probably caused by the configuration, such
/// as an audience or a lifetime, the operator also gets a warning that names the setting.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Vec<Written>>);

#[derive(Debug)]
struct Written {
    cause: Reason,
    about: Box<str>,
    at: UnixTime,
}

impl Warnings {
    /// Returns whether a warning of this cause is due, and records it as written.
    ///
    /// `about` is a part of the configuration, such as the name of an issuer: never a text that a client sent, which could
    /// fill the table.
    pub(crate) fn is_due(&self, cause: Reason, about: &str, now: UnixTime) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Also if the clock was set back.
        written.retain(|warning| now.as_secs().abs_diff(warning.at.as_secs()) < PERIOD_SECS);
        let is_written = written.iter().any(|warning| warning.cause == cause && *warning.about == *about);
        if is_written || written.len() >= MAX_WARNINGS {
            return false;
        }
        written.push(Written { cause, about: about.into(), at: now });
        true
    }
}

/// The time between two equal warnings.
const PERIOD_SECS: u64 = 60 * 60;

/// The number of different warnings in an hour.
const MAX_WARNINGS: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    const CAUSE: Reason = Reason::custom("cause");

    #[test]
    fn a_warning_is_due_once_an_hour_for_each_cause_and_name() {
        let warnings = Warnings::default();
        let at = |seconds| NOW + Duration::from_secs(seconds);
        for (cause, about, seconds, is_due) in [
            (CAUSE, "a", 0, true),
            (CAUSE, "a", 0, false),
            (CAUSE, "b", 0, true),
            (Reason::custom("other"), "a", 0, true),
            (CAUSE, "a", 3_599, false),
            (CAUSE, "a", 3_600, true),
            (CAUSE, "a", 3_601, false),
        ] {
            assert_eq!(warnings.is_due(cause, about, at(seconds)), is_due, "{cause} {about} {seconds}");
        }
        assert!(warnings.is_due(CAUSE, "a", UnixTime::from_secs(1)), "the clock was set back");
    }

    #[test]
    fn the_table_of_warnings_is_bounded() {
        let warnings = Warnings::default();
        let due = (0..2 * MAX_WARNINGS).filter(|name| warnings.is_due(CAUSE, &name.to_string(), NOW)).count();
        assert_eq!(due, MAX_WARNINGS);
        assert!(warnings.is_due(CAUSE, "later", NOW + Duration::from_secs(PERIOD_SECS)));
    }
}
