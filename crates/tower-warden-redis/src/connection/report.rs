//! Log lines about problems: one when it begins, one when it ends, and a sparse reminder in between.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use super::problem::RedisProblem;

/// The time without a failure after which a problem has ended: a connection that breaks again and again is one outage.
const STABLE: Duration = Duration::from_secs(1);

/// The time between two lines about a problem that does not end by itself.
const REMINDER: Duration = Duration::from_secs(60);

/// The time between two lines about an outage.
const OUTAGE_REMINDER: Duration = Duration::from_secs(300);

/// The time for which a refused command is reported by [`Reports::problem`].
const RECENT: Duration = Duration::from_secs(10);

/// The use of Redis: the problems of each use are reported on their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Connection,
    KeyChanges,
    KeyMessages,
    Limits,
    Proofs,
    RevocationMessages,
    RevocationReads,
    Revocations,
}

impl Purpose {
    const ALL: [Self; 8] = [
        Self::Connection,
        Self::KeyChanges,
        Self::KeyMessages,
        Self::Limits,
        Self::Proofs,
        Self::RevocationMessages,
        Self::RevocationReads,
        Self::Revocations,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Connection => "anything",
            Self::KeyChanges => "publishing changes of keys",
            Self::KeyMessages => "receiving changes of keys",
            Self::Limits => "rate limits",
            Self::Proofs => "used proofs",
            Self::RevocationMessages => "receiving revocations",
            Self::RevocationReads => "reading all revocations",
            Self::Revocations => "revocations",
        }
    }

    /// The rights of a user, as `ACL SETUSER` takes them.
    const fn rights(self) -> &'static str {
        match self {
            Self::Connection => {
                "~NAMESPACE:tower-warden:* ~tower-warden:probe +ping +del, with sentinels +role, in a cluster \
                 +cluster|slots +readonly"
            }
            Self::KeyChanges | Self::KeyMessages => {
                "~NAMESPACE:tower-warden:{keys:* &NAMESPACE:tower-warden:{keys:* +eval +evalsha +del +publish +subscribe"
            }
            Self::Limits => "~NAMESPACE:tower-warden:limit:* +eval +evalsha +time +get +set +del",
            Self::Proofs => {
                "~NAMESPACE:tower-warden:proof:* +eval +evalsha +zscore +zadd +zremrangebyscore +zcard +zrange +ttl +expire"
            }
            Self::RevocationMessages | Self::RevocationReads | Self::Revocations => {
                "~NAMESPACE:tower-warden:{revoked:* &NAMESPACE:tower-warden:{revoked:* +eval +evalsha +time +del +hget +hset +hdel +hmget \
                 +hgetall +zadd +zrem +zrangebyscore +publish +subscribe"
            }
        }
    }
}

/// The problems of a connection, by purpose.
#[derive(Default)]
pub(crate) struct Reports([Report; Purpose::ALL.len()]);

#[derive(Default)]
struct Report {
    /// The code of the problem, or zero: read on each success, without the lock.
    problem: AtomicU8,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    failed_at: Option<Instant>,
    /// The last line, also of a problem that has ended.
    logged: Option<(RedisProblem, Instant)>,
}

impl Reports {
    /// Reports a failure, unless the same one was reported shortly before.
    pub(crate) fn failed(&self, purpose: Purpose, problem: RedisProblem) {
        if self.is_due(purpose, problem, Instant::now()) {
            log(purpose, problem);
        }
    }

    /// Records a failure, and returns `true` if there should be a line about it.
    fn is_due(&self, purpose: Purpose, problem: RedisProblem, now: Instant) -> bool {
        let report = self.of(purpose);
        let mut history = report.history.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = report.problem.swap(problem.code(), Ordering::AcqRel) != problem.code();
        history.failed_at = Some(now);
        let is_due = match history.logged {
            // One line when an outage begins, also shortly after another one.
            Some((RedisProblem::Unreachable, at)) if problem == RedisProblem::Unreachable => {
                is_new || now.duration_since(at) >= OUTAGE_REMINDER
            }
            // Some commands may be refused and others not: no line for each of them.
            Some((logged, at)) => logged != problem || now.duration_since(at) >= REMINDER,
            None => true,
        };
        if is_due {
            history.logged = Some((problem, now));
        }
        is_due
    }

    /// Reports the end of a problem, if there was one.
    pub(crate) fn worked(&self, purpose: Purpose) {
        let report = self.of(purpose);
        if report.problem.load(Ordering::Acquire) == 0 {
            return;
        }
        let history = report.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.failed_at.is_some_and(|failed_at| failed_at.elapsed() < STABLE) {
            return;
        }
        if report.problem.swap(0, Ordering::AcqRel) != 0 {
            drop(history);
            tracing::info!(purpose = purpose.text(), "Redis can be used again");
        }
    }

    /// The problem of a purpose, whenever it occurred last.
    pub(crate) fn last(&self, purpose: Purpose) -> Option<RedisProblem> {
        RedisProblem::from_code(self.of(purpose).problem.load(Ordering::Acquire))
    }

    /// A problem of any purpose that occurred within the last seconds.
    pub(crate) fn recent(&self) -> Option<RedisProblem> {
        let recent = |purpose: &Purpose| {
            let history = self.of(*purpose).history.lock().unwrap_or_else(PoisonError::into_inner);
            history.failed_at.is_some_and(|failed_at| failed_at.elapsed() < RECENT)
        };
        let uses = Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Connection);
        uses.filter(recent).find_map(|purpose| self.last(purpose))
    }

    fn of(&self, purpose: Purpose) -> &Report {
        &self.0[purpose as usize]
    }
}

fn log(purpose: Purpose, problem: RedisProblem) {
    let purpose_text = purpose.text();
    if problem == RedisProblem::Unreachable {
        tracing::warn!(purpose = purpose_text, problem = %problem, "Redis cannot be used");
    } else {
        tracing::error!(purpose = purpose_text, problem = %problem, needed_rights = purpose.rights(), "Redis cannot be used");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_reported_when_it_begins_and_then_sparsely() {
        for (problem, interval) in
            [(RedisProblem::Unreachable, OUTAGE_REMINDER), (RedisProblem::NotPermitted, REMINDER)]
        {
            let (reports, start) = (Reports::default(), Instant::now());
            let lines = |from: Duration| {
                let seconds = (0..interval.as_secs()).map(|second| start + from + Duration::from_secs(second));
                seconds.filter(|now| reports.is_due(Purpose::Limits, problem, *now)).collect::<Vec<_>>()
            };
            for reminder in 0..3 {
                assert_eq!(lines(interval * reminder), [start + interval * reminder]);
            }
        }
    }
}
