use std::{ops::RangeInclusive, time::Duration};

use super::scheme::refused;
use crate::{error::ConfigError, reason::Reason, signature::window, time::UnixTime};

/// The range of timestamps that are accepted, relative to the time of the request.
#[derive(Clone, Copy, Debug)]
pub(in crate::signature) struct Tolerance {
    pub(in crate::signature) past: Duration,
    future: Duration,
    /// The time for which a request without a timestamp is recorded.
    pub(in crate::signature) replay_window: Duration,
}

impl Tolerance {
    const MAX_PAST: Duration = Duration::from_secs(24 * 3600);
    const MAX_FUTURE: Duration = Duration::from_secs(600);
    const MARGIN: Duration = Duration::from_secs(5);
    const REPLAY_WINDOW: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);

    pub(in crate::signature) fn with(mut self, past: Duration, future: Duration) -> Result<Self, ConfigError> {
        if past > Self::MAX_PAST || future > Self::MAX_FUTURE {
            let error =
                refused("a signature is accepted up to one day after its timestamp, and up to 10 minutes before");
            return Err(error.value(format_args!("{past:?}, {future:?}")));
        }
        (self.past, self.future) = (past, future);
        Ok(self)
    }

    pub(in crate::signature) fn with_replay_window(mut self, window: Duration) -> Result<Self, ConfigError> {
        if !Self::REPLAY_WINDOW.contains(&window) {
            let error = refused("a request without a timestamp is recorded for one minute up to 7 days");
            return Err(error.value(format_args!("{window:?}")));
        }
        self.replay_window = window;
        Ok(self)
    }

    /// Refuses a timestamp that is too far in the past or in the future.
    pub(in crate::signature) fn check(&self, timestamp: Option<UnixTime>, now: UnixTime) -> Result<(), Reason> {
        let Some(timestamp) = timestamp else { return Ok(()) };
        if timestamp + self.past < now {
            Err(Reason::PAYLOAD_STALE)
        } else if now + self.future < timestamp {
            Err(Reason::PAYLOAD_IN_FUTURE)
        } else {
            Ok(())
        }
    }

    /// Returns whether a timestamp is accepted now, or may be by a clock that is read a moment later or earlier.
    pub(in crate::signature) fn is_near(&self, timestamp: Option<UnixTime>, now: UnixTime) -> bool {
        let Some(timestamp) = timestamp else { return true };
        now <= timestamp + self.past + Self::MARGIN && timestamp <= now + self.future + Self::MARGIN
    }

    /// The last second in which a request is accepted, or recorded if it has no timestamp; and the longest time for which one
    /// is.
    pub(in crate::signature) fn validity(&self, timestamp: Option<UnixTime>, now: UnixTime) -> (UnixTime, Duration) {
        match timestamp {
            Some(timestamp) => (timestamp + self.past, self.past + self.future),
            None => (now + self.replay_window, self.replay_window),
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { past: window::PAST, future: window::FUTURE, replay_window: Duration::from_secs(3600) }
    }
}
