use std::time::{Duration, Instant};

/// Merges reports of [missed changes](super::KeyChange::Missed) that arrive in quick succession, for stores that receive
/// changes as messages.
///
/// Each such report invalidates all cached keys. A sender that repeats them thousands of times a second would make each
/// request look its key up. The first report is passed on at once, and those of the next [`INTERVAL`](Self::INTERVAL) as one
/// report at its end. A loss of the connection is not a message, and is reported to the watchers at once.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use tower_warden::api_key::MissedChanges;
///
/// let (mut missed, now) = (MissedChanges::default(), Instant::now());
/// assert!(missed.receive(now), "the first one is reported");
/// assert!(!missed.receive(now), "the second one waits");
/// assert_eq!(missed.wait(now), Some(MissedChanges::INTERVAL));
///
/// let later = now + MissedChanges::INTERVAL;
/// assert!(missed.take_due(later) && !missed.take_due(later), "one report for all that waited");
/// assert_eq!(missed.wait(later), None);
/// ```
#[derive(Debug, Default)]
pub struct MissedChanges {
    last: Option<Instant>,
    is_waiting: bool,
}

impl MissedChanges {
    /// The shortest time between two reports.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// Receives a report, and returns whether it is passed on now. Otherwise it is [due](Self::take_due) later.
    #[must_use]
    pub fn receive(&mut self, now: Instant) -> bool {
        self.is_waiting = true;
        self.take_due(now)
    }

    /// Returns whether a report that waits is passed on now.
    #[must_use]
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.wait(now) == Some(Duration::ZERO);
        if is_due {
            (self.last, self.is_waiting) = (Some(now), false);
        }
        is_due
    }

    /// The time until a report that waits is due; `None` if none waits.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let since = self.last.map_or(Self::INTERVAL, |last| now.saturating_duration_since(last));
        self.is_waiting.then(|| Self::INTERVAL.saturating_sub(since))
    }
}
