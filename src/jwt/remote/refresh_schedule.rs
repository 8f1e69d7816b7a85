//! Decides when keys are fetched, from the time and the results of earlier fetches.
//!
//! There are three budgets. The *schedule* makes a fetch due before the keys expire, and again after a failure; a failed
//! fetch for an unknown `kid` does not move it. An *unknown kid* may cause one fetch per cool-down, whatever the schedule
//! does. If one arrives during the cool-down, a fetch is due at the end of it, even without a further request. So whatever
//! the number of invalid kids, a new key is accepted at most one cool-down later than if each of them caused a fetch. A kid of a
//! *removed key* has a budget [of its own](super::removed_kids), which is not kept here.
//!
//! One more fetch is in reserve for a `kid` that [occurs again](super::sightings) during the cool-down. It lengthens the
//! cool-down by as much, so that the number of fetches over time is the same.
//!
//! Times are those of the clock. The age of keys is also limited by its [steady](crate::Clock::steady) time: a clock that is set
//! back extends no lifetime, also if the issuer does not respond.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use crate::time::{Arrival, UnixTime};

/// Default lifetime of a key set without `Cache-Control`.
const DEFAULT_TTL: Duration = Duration::from_secs(10 * 60);
/// The bounds of the lifetime, whatever `Cache-Control` contains.
const MIN_TTL: Duration = Duration::from_secs(60);
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// The time for which expired keys are used if fetches fail.
const GRACE_PERIOD: Duration = Duration::from_secs(60 * 60);
/// The time after a fetch for an unknown `kid`, and after a failure, in which no other is made.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(30);
/// Tolerated steps of the clock backwards; a larger step is treated as the clock having been set.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The budget that a fetch is charged to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FetchCause {
    /// A key that was removed may be there again. These fetches are limited by [`RemovedKids`](super::removed_kids).
    RemovedKid,
    Schedule,
    UnknownKid,
}

/// The times of past and future fetches.
#[derive(Debug, Default)]
pub(super) struct RefreshSchedule {
    /// The start of the fetch of the current keys, and their lifetime from then on.
    current: Option<(Arrival, Duration)>,
    /// The time of the next scheduled fetch.
    next: UnixTime,
    /// Scheduled fetches that failed since the last success.
    failures: u32,
    /// The end of the cool-down for unknown kids.
    cool_down_end: UnixTime,
    /// Set if an unknown `kid` arrived during the cool-down.
    is_fetch_requested: bool,
    has_failed: bool,
}

impl RefreshSchedule {
    /// Returns whether there are keys that have not expired, or are in their grace period.
    pub(super) fn has_valid_keys(&self, at: Arrival) -> bool {
        self.current.is_some() && at.now < self.expires_at() && !self.is_outlived(at.steady)
    }

    /// Returns whether the grace period of the current keys has ended by a time that is never set back.
    pub(super) fn is_outlived(&self, steady: UnixTime) -> bool {
        self.current.is_some_and(|(since, ttl)| since.steady + ttl + GRACE_PERIOD <= steady)
    }

    /// The end of the grace period of the current keys, if the clock is not set back.
    pub(super) fn expires_at(&self) -> UnixTime {
        self.current.map(|(since, ttl)| since.now + ttl + GRACE_PERIOD).unwrap_or_default()
    }

    /// Returns whether the last fetch failed, so that an unknown key may be a new one.
    pub(super) const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The cause of the fetch that is due now, if one is.
    pub(super) fn due(&self, at: Arrival) -> Option<FetchCause> {
        // After the lifetime, the next fetch was set at most a cool-down ahead.
        let is_within = |(since, ttl): &(Arrival, Duration)| at.steady < since.steady + *ttl;
        let span = self.current.filter(is_within).map_or(COOL_DOWN, |(_, ttl)| ttl.max(COOL_DOWN));
        if has_come(self.next, at.now, span) {
            Some(FetchCause::Schedule)
        } else {
            (self.is_fetch_requested && self.is_cooled_down(at.now)).then_some(FetchCause::UnknownKid)
        }
    }

    /// Returns whether an unknown `kid` may cause a fetch.
    pub(super) fn is_cooled_down(&self, now: UnixTime) -> bool {
        has_come(self.cool_down_end, now, COOL_DOWN * 2)
    }

    /// Returns whether an unknown `kid` that occurs again may cause a fetch.
    pub(super) fn has_reserve(&self, now: UnixTime) -> bool {
        self.is_cooled_down(now) || self.cool_down_end <= now + COOL_DOWN
    }

    /// Records that an unknown `kid` arrived during the cool-down, which makes a fetch due at its end.
    pub(super) const fn request_fetch(&mut self) {
        self.is_fetch_requested = true;
    }

    pub(super) const fn is_fetch_requested(&self) -> bool {
        self.is_fetch_requested
    }

    /// The time until the next fetch is due.
    pub(super) fn time_until_due(&self, now: UnixTime) -> Duration {
        let due = if self.is_fetch_requested { self.cool_down_end.min(self.next) } else { self.next };
        Duration::from_secs(due.as_secs().saturating_sub(now.as_secs()))
    }

    /// Records that keys were fetched, with the lifetime of `Cache-Control`, counted from the start of the fetch.
    pub(super) fn record_success(&mut self, cause: FetchCause, began: Arrival, ended: UnixTime, ttl: Option<Duration>) {
        let ttl = ttl.unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
        self.current = Some((began, ttl));
        // 80 % of the lifetime on average, with jitter so that nodes started together do not fetch together.
        self.next = began.now + ttl * 3 / 4 + jitter(ttl / 10);
        self.failures = 0;
        self.finish(cause, ended, Outcome::Success);
    }

    /// Records that the current keys are unchanged. Without `Cache-Control`, they keep their lifetime.
    pub(super) fn record_unchanged(
        &mut self,
        cause: FetchCause,
        began: Arrival,
        ended: UnixTime,
        ttl: Option<Duration>,
    ) {
        let previous = self.current.map(|(_, ttl)| ttl);
        self.record_success(cause, began, ended, ttl.or(previous));
    }

    /// Records that a set without any usable key was fetched: there are no keys from now on.
    pub(super) fn record_empty(&mut self, cause: FetchCause, ended: Arrival) {
        self.current = None;
        self.next = ended.now + self.retry_delay(ended);
        self.failures = self.failures.saturating_add(1);
        self.finish(cause, ended.now, Outcome::Success);
    }

    /// Records a failed fetch. Only a scheduled one moves the schedule.
    pub(super) fn record_failure(&mut self, cause: FetchCause, ended: Arrival) {
        if cause == FetchCause::Schedule {
            self.next = ended.now + self.retry_delay(ended);
            self.failures = self.failures.saturating_add(1);
        }
        self.finish(cause, ended.now, Outcome::Failure);
    }

    fn finish(&mut self, cause: FetchCause, ended: UnixTime, outcome: Outcome) {
        self.has_failed = matches!(outcome, Outcome::Failure);
        self.is_fetch_requested = false;
        if cause == FetchCause::UnknownKid {
            self.cool_down_end = self.cool_down_end.clamp(ended, ended + COOL_DOWN) + COOL_DOWN;
        }
    }

    /// The delay of a scheduled fetch after a failure. Without valid keys it is short at first, and doubles.
    fn retry_delay(&self, at: Arrival) -> Duration {
        if self.has_valid_keys(at) {
            return COOL_DOWN + jitter(COOL_DOWN / 5);
        }
        Duration::from_secs(1 << self.failures.min(5)).min(COOL_DOWN)
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Failure,
    Success,
}

/// Returns whether a time has come that was at most `span` ahead when it was set. If it is further ahead, the clock was set back.
fn has_come(moment: UnixTime, now: UnixTime, span: Duration) -> bool {
    moment <= now || now + span + CLOCK_TOLERANCE < moment
}

fn jitter(max: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    Duration::from_secs(random % (max.as_secs() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Arrival = at(0);

    const fn at(seconds: u64) -> Arrival {
        let time = UnixTime::from_secs(1_800_000_000 + seconds);
        Arrival { now: time, steady: time }
    }

    fn after(seconds: u64) -> UnixTime {
        at(seconds).now
    }

    fn loaded(ttl: Option<u64>) -> RefreshSchedule {
        let mut schedule = RefreshSchedule::default();
        assert_eq!(schedule.due(START), Some(FetchCause::Schedule));
        schedule.record_success(FetchCause::Schedule, START, START.now, ttl.map(Duration::from_secs));
        schedule
    }

    #[test]
    fn scheduled_fetches_are_due_at_75_to_85_percent_of_the_lifetime() {
        let waits: std::collections::BTreeSet<_> =
            (0..200).map(|_| loaded(None).time_until_due(START.now).as_secs()).collect();
        assert!(waits.iter().all(|wait| (450..=510).contains(wait)), "{waits:?}");
        assert!(waits.len() > 10, "no jitter: {waits:?}");
    }

    // (75)
    #[test]
    fn the_lifetime_of_cache_control_is_clamped() {
        for (max_age, ttl) in [(0, 60), (60, 60), (900, 900), (86_400, 86_400), (u64::MAX, 86_400)] {
            let schedule = loaded(Some(max_age));
            assert_eq!(schedule.expires_at(), after(ttl + 3600), "{max_age}");
            assert!(schedule.due(at(ttl * 74 / 100)).is_none());
            assert_eq!(schedule.due(at(ttl * 85 / 100)), Some(FetchCause::Schedule));
        }
    }

    #[test]
    fn unknown_kids_cause_one_fetch_per_cool_down_whatever_the_schedule_does() {
        let mut schedule = loaded(None);
        assert!(schedule.is_cooled_down(after(2)), "the first fetch is charged to the schedule");
        schedule.record_failure(FetchCause::UnknownKid, at(3));
        assert!(!schedule.is_cooled_down(after(32)));
        schedule.request_fetch();
        assert_eq!(schedule.due(at(32)), None);
        assert_eq!(schedule.time_until_due(after(4)), Duration::from_secs(29));
        assert_eq!(schedule.due(at(33)), Some(FetchCause::UnknownKid), "without a further request");
        schedule.record_success(FetchCause::UnknownKid, at(33), after(34), None);
        assert!(!schedule.is_cooled_down(after(63)) && schedule.is_cooled_down(after(64)));
        assert_eq!(schedule.due(at(65)), None);
    }

    #[test]
    fn a_failure_for_an_unknown_kid_does_not_move_the_schedule() {
        let mut schedule = loaded(Some(60));
        let wait = schedule.time_until_due(START.now);
        schedule.record_failure(FetchCause::UnknownKid, at(10));
        assert_eq!(schedule.time_until_due(START.now), wait);
        assert!(schedule.has_failed());
    }

    #[test]
    fn fetches_are_retried_soon_while_there_are_no_keys() {
        let (mut schedule, mut seconds, mut waits) = (RefreshSchedule::default(), 0, Vec::new());
        for _ in 0..7 {
            schedule.record_failure(FetchCause::Schedule, at(seconds));
            let wait = schedule.time_until_due(after(seconds)).as_secs();
            waits.push(wait);
            seconds += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_a_fetch_due() {
        let mut schedule = loaded(None);
        schedule.record_failure(FetchCause::UnknownKid, START);
        let earlier = UnixTime::from_secs(START.now.as_secs() - 7200);
        assert_eq!(schedule.due(Arrival { now: earlier, ..START }), Some(FetchCause::Schedule));
        assert!(schedule.is_cooled_down(earlier));
    }

    #[test]
    fn a_clock_that_is_set_back_by_less_than_the_lifetime_extends_it_no_further_than_the_steady_time() {
        let mut schedule = loaded(Some(86_400));
        // Set back by 20 hours at the start.
        let later = |seconds: u64| {
            let now = UnixTime::from_secs(START.now.as_secs() - 72_000 + seconds);
            Arrival { now, steady: at(seconds).steady }
        };
        assert_eq!(schedule.due(later(86_399)), None);
        assert_eq!(schedule.due(later(86_400)), Some(FetchCause::Schedule));
        schedule.record_failure(FetchCause::Schedule, later(86_400));
        assert_eq!((schedule.due(later(86_429)), schedule.due(later(86_436))), (None, Some(FetchCause::Schedule)));
        assert!(schedule.has_valid_keys(later(86_400 + 3_599)) && !schedule.has_valid_keys(later(86_400 + 3_600)));
    }
}
