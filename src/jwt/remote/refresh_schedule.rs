//! When keys are fetched: decided by the clock, apart from all that fetches.
//!
//! There are two budgets. The *schedule* asks ahead of time, and again after a failure; nothing that a client sends moves
//! it. An *unknown kid* may ask once in a cool-down, whatever the schedule did; if one comes during the cool-down, the
//! next fetch is due when it ends, though nobody comes again. So however many bad kids there are, keys are at most a
//! cool-down older than they would be if each of them asked.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use crate::time::UnixTime;

/// For how long keys are good if their server does not say.
const TTL: Duration = Duration::from_secs(10 * 60);
/// Whatever it says.
const SHORTEST_TTL: Duration = Duration::from_secs(60);
const LONGEST_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long keys are used past that, while they cannot be fetched.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// After a fetch for an unknown kid, and after a failure.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// By how much clocks may run backwards before it counts as being set.
const SLACK: Duration = Duration::from_secs(60);

/// Why keys are fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    Schedule,
    UnknownKid,
}

/// When keys were fetched, and will be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// When the fetch began that brought the keys, and how long they are good.
    held: Option<(UnixTime, Duration)>,
    /// When the schedule asks.
    next: UnixTime,
    failures: u32,
    /// When unknown kids may ask again.
    cool: UnixTime,
    is_wanted: bool,
    is_down: bool,
}

impl Plan {
    /// Whether there are keys, and not too old ones.
    pub(super) fn is_alive(&self, now: UnixTime) -> bool {
        self.held.is_some() && now < self.ends()
    }

    /// When the keys that are held must not be used any more.
    pub(super) fn ends(&self) -> UnixTime {
        self.held.map(|(since, ttl)| since + ttl + GRACE).unwrap_or_default()
    }

    /// Whether the last fetch failed: what is unknown may be new.
    pub(super) const fn is_down(&self) -> bool {
        self.is_down
    }

    /// What a fetch is due for.
    pub(super) fn due(&self, now: UnixTime) -> Option<Cause> {
        let ttl = self.held.map_or(COOL_DOWN, |(_, ttl)| ttl.max(COOL_DOWN));
        if has_come(self.next, now, ttl) {
            Some(Cause::Schedule)
        } else {
            (self.is_wanted && self.is_cool(now)).then_some(Cause::UnknownKid)
        }
    }

    /// Whether an unknown kid may ask.
    pub(super) fn is_cool(&self, now: UnixTime) -> bool {
        has_come(self.cool, now, COOL_DOWN)
    }

    /// An unknown kid came during the cool-down.
    pub(super) const fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Whether one did.
    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// How long whoever looks after the plan may rest.
    pub(super) fn rest(&self, now: UnixTime) -> Duration {
        let wanted = if self.is_wanted { self.cool.min(self.next) } else { self.next };
        Duration::from_secs(wanted.as_secs().saturating_sub(now.as_secs()))
    }

    /// Keys came, good for as long as their server says.
    pub(super) fn succeed(&mut self, cause: Cause, began: UnixTime, ended: UnixTime, ttl: Option<Duration>) {
        let ttl = ttl.unwrap_or(TTL).clamp(SHORTEST_TTL, LONGEST_TTL);
        self.held = Some((began, ttl));
        // 80 % on average: nodes that were started at once do not ask at once.
        self.next = began + ttl * 3 / 4 + jitter(ttl / 10);
        self.failures = 0;
        self.finish(cause, ended, Outcome::Up);
    }

    /// The keys that are held are still those of the server, for as long as before if it does not say.
    pub(super) fn confirm(&mut self, cause: Cause, began: UnixTime, ended: UnixTime, ttl: Option<Duration>) {
        let before = self.held.map(|(_, ttl)| ttl);
        self.succeed(cause, began, ended, ttl.or(before));
    }

    /// No keys came.
    pub(super) fn fail(&mut self, cause: Cause, ended: UnixTime) {
        if cause == Cause::Schedule {
            self.next = ended + self.patience(ended);
            self.failures = self.failures.saturating_add(1);
        }
        self.finish(cause, ended, Outcome::Down);
    }

    fn finish(&mut self, cause: Cause, ended: UnixTime, outcome: Outcome) {
        self.is_down = matches!(outcome, Outcome::Down);
        self.is_wanted = false;
        if cause == Cause::UnknownKid {
            self.cool = ended + COOL_DOWN;
        }
    }

    /// Until the schedule asks again after a failure: at once while nobody can be served, then less and less often.
    fn patience(&self, now: UnixTime) -> Duration {
        if self.is_alive(now) {
            return COOL_DOWN + jitter(COOL_DOWN / 5);
        }
        Duration::from_secs(1 << self.failures.min(5)).min(COOL_DOWN)
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Down,
    Up,
}

/// Whether a moment has come that lay at most `span` ahead. If it lies farther, the clock was set back meanwhile.
fn has_come(moment: UnixTime, now: UnixTime, span: Duration) -> bool {
    moment <= now || now + span + SLACK < moment
}

fn jitter(most: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    Duration::from_secs(random % (most.as_secs() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn after(seconds: u64) -> UnixTime {
        START + Duration::from_secs(seconds)
    }

    fn loaded(ttl: Option<u64>) -> Plan {
        let mut plan = Plan::default();
        assert_eq!(plan.due(START), Some(Cause::Schedule));
        plan.succeed(Cause::Schedule, START, START, ttl.map(Duration::from_secs));
        plan
    }

    #[test]
    fn the_schedule_asks_at_80_percent_give_or_take_five() {
        let waits: std::collections::BTreeSet<_> = (0..200).map(|_| loaded(None).rest(START).as_secs()).collect();
        assert!(waits.iter().all(|wait| (450..=510).contains(wait)), "{waits:?}");
        assert!(waits.len() > 10, "no jitter: {waits:?}");
    }

    // (75)
    #[test]
    fn what_the_server_says_of_the_lifetime_is_clamped() {
        for (said, ttl) in [(0, 60), (60, 60), (900, 900), (86_400, 86_400), (u64::MAX, 86_400)] {
            let plan = loaded(Some(said));
            assert_eq!(plan.ends(), after(ttl + 3600), "{said}");
            assert!(plan.due(after(ttl * 74 / 100)).is_none());
            assert_eq!(plan.due(after(ttl * 85 / 100)), Some(Cause::Schedule));
        }
    }

    #[test]
    fn unknown_kids_ask_once_in_a_cool_down_whatever_the_schedule_does() {
        let mut plan = loaded(None);
        assert!(plan.is_cool(after(2)), "the first load is no fetch for a kid");
        plan.fail(Cause::UnknownKid, after(3));
        assert!(!plan.is_cool(after(32)));
        plan.want();
        assert_eq!(plan.due(after(32)), None);
        assert_eq!(plan.rest(after(4)), Duration::from_secs(29));
        assert_eq!(plan.due(after(33)), Some(Cause::UnknownKid), "though nobody comes again");
        plan.succeed(Cause::UnknownKid, after(33), after(34), None);
        assert!(!plan.is_cool(after(63)) && plan.is_cool(after(64)));
        assert_eq!(plan.due(after(65)), None);
    }

    #[test]
    fn a_failure_for_an_unknown_kid_does_not_move_the_schedule() {
        let mut plan = loaded(Some(60));
        let rest = plan.rest(START);
        plan.fail(Cause::UnknownKid, after(10));
        assert_eq!(plan.rest(START), rest);
        assert!(plan.is_down());
    }

    #[test]
    fn nobody_waits_long_for_the_next_attempt_while_there_are_no_keys() {
        let (mut plan, mut now, mut rests) = (Plan::default(), START, Vec::new());
        for _ in 0..7 {
            plan.fail(Cause::Schedule, now);
            rests.push(plan.rest(now).as_secs());
            now = now + plan.rest(now);
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_keys_due() {
        let mut plan = loaded(None);
        plan.fail(Cause::UnknownKid, START);
        let earlier = UnixTime::from_secs(START.as_secs() - 7200);
        assert_eq!(plan.due(earlier), Some(Cause::Schedule));
        assert!(plan.is_cool(earlier));
    }
}
