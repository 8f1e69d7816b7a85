use std::time::{Duration, Instant};

use super::watch::KeyChange;

/// Merges reports of [added](KeyChange::Added) keys, and those of [missed](KeyChange::Missed) changes, that arrive in quick
/// succession, for stores that receive changes as messages.
///
/// Each such report invalidates the cached refusals, or all cached keys. A sender that repeats them thousands of times a
/// second would make each request look its key up. The first report is passed on at once, and those of the next
/// [`INTERVAL`](Self::INTERVAL) as one report at its end. Changes of single keys are passed on at once. A loss of the
/// connection is not a message, and is reported to the watchers at once.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use tower_warden::api_key::{KeyChange, MergedChanges};
///
/// let (mut merged, now) = (MergedChanges::default(), Instant::now());
/// assert_eq!(merged.receive(KeyChange::Missed, now), Some(KeyChange::Missed), "the first one is reported");
/// assert_eq!(merged.receive(KeyChange::Missed, now), None, "the second one waits");
/// assert_eq!(merged.wait(now), Some(MergedChanges::INTERVAL));
///
/// let later = now + MergedChanges::INTERVAL;
/// assert_eq!(merged.take_due(later), Some(KeyChange::Missed), "one report for all that waited");
/// assert_eq!((merged.take_due(later), merged.wait(later)), (None, None));
/// ```
#[derive(Debug, Default)]
pub struct MergedChanges {
    added: Merged,
    missed: Merged,
}

/// Reports of one kind.
#[derive(Debug, Default)]
struct Merged {
    last: Option<Instant>,
    is_waiting: bool,
}

impl MergedChanges {
    /// The shortest time between two reports of one kind.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// Receives a report, and returns it if it is passed on now. Otherwise it is [due](Self::take_due) later.
    #[must_use]
    pub fn receive(&mut self, change: KeyChange, now: Instant) -> Option<KeyChange> {
        let is_due = match change {
            KeyChange::Added => self.added.receive(now),
            KeyChange::Changed(_) => true,
            KeyChange::Missed => self.missed.receive(now),
        };
        is_due.then_some(change)
    }

    /// Returns a report that waits and is passed on now. Call it until it returns `None`.
    #[must_use]
    pub fn take_due(&mut self, now: Instant) -> Option<KeyChange> {
        let missed = self.missed.take_due(now).then_some(KeyChange::Missed);
        missed.or_else(|| self.added.take_due(now).then_some(KeyChange::Added))
    }

    /// The time until a report that waits is due; `None` if none waits.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        [&self.added, &self.missed].into_iter().filter_map(|merged| merged.wait(now)).min()
    }
}

impl Merged {
    fn receive(&mut self, now: Instant) -> bool {
        self.is_waiting = true;
        self.take_due(now)
    }

    fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.wait(now) == Some(Duration::ZERO);
        if is_due {
            (self.last, self.is_waiting) = (Some(now), false);
        }
        is_due
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let since = self.last.map_or(MergedChanges::INTERVAL, |last| now.saturating_duration_since(last));
        self.is_waiting.then(|| MergedChanges::INTERVAL.saturating_sub(since))
    }
}
