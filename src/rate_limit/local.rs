//! The counts of one node.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    gcra::Gcra,
    limiter::{Decision, LimitExceeded, LimitRequest, LimitStatus, RateLimiter},
    plan::{Limit, QuotaSet},
    stopwatch::{MonotonicStopwatch, Stopwatch, ticks},
    table::{Debt, Table},
};
use crate::{Eventual, error::Unavailable};

/// Keeps the counts of one node, in memory that is bounded from the beginning; clones share everything.
///
/// With the bound's number of keys (a million by default; a key counts once for each quota of its plan) it holds 24
/// bytes for each, and never more, whatever comes. A key is forgotten when all it has used has come back. When there
/// are too many keys for that, one that has used little of its quota gives way to a new one; one that has used it up
/// never does. Choose a bound of twice as many keys as are active at once, and none of them is forgotten early.
///
/// Keys are told apart by 64 bits of a hash that nobody outside can foresee; two of ten million share a count with a
/// probability of three in a million.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Eventual, rate_limit::*};
///
/// let stopwatch = ManualStopwatch::default();
/// let limiter = LocalRateLimiter::bounded(100_000).stopwatch(stopwatch.clone());
/// let (mut alice, plan) = (LimitKey::default(), QuotaSet::from(Quota::per_minute(1)));
/// alice.push("subject", "alice");
/// let take = || match limiter.take(&LimitRequest::new(&alice, &plan)) {
///     Eventual::Now(Ok(decision)) => decision,
///     _ => unreachable!("it is here, and answers at once"),
/// };
///
/// assert!(matches!(take(), Decision::Admitted(_)));
/// let Decision::Refused(excess) = take() else { panic!("one a minute") };
/// stopwatch.advance(excess.wait);
/// assert!(matches!(take(), Decision::Admitted(_)));
/// ```
#[derive(Clone)]
pub struct LocalRateLimiter {
    table: Arc<Table>,
    stopwatch: Arc<dyn Stopwatch>,
}

impl LocalRateLimiter {
    /// With room for so many keys, but for eight at the least.
    #[must_use]
    pub fn bounded(keys: usize) -> Self {
        Self { table: Arc::new(Table::new(keys)), stopwatch: Arc::new(MonotonicStopwatch::default()) }
    }

    /// Tells the time: the machine's monotonic clock by default.
    #[must_use]
    pub fn stopwatch(mut self, stopwatch: impl Stopwatch) -> Self {
        self.stopwatch = Arc::new(stopwatch);
        self
    }

    /// Decides on the spot, on one of so many shares of each quota.
    pub(super) fn decide(&self, ask: &LimitRequest<'_>, share: Share) -> Decision {
        let now = now(&*self.stopwatch);
        let mut debts = self.table.open(ask.key);
        let mut offers = [0; QuotaSet::MOST];
        for (limit, offer) in ask.plan.limits().iter().zip(&mut offers) {
            let next = match debts.get(limit.id, now) {
                Debt::PaidAt(paid) => share.of(limit).offer(paid, now, ask.cost).ok(),
                Debt::NoRoomUntil(_) => None,
            };
            let Some(next) = next else {
                let excess = refuse(ask, now, |limit| share.of(limit), |_, limit| debts.get(limit.id, now));
                return Decision::Refused(excess.expect("this quota refuses"));
            };
            *offer = next;
        }
        let standings = ask.plan.limits().iter().zip(offers).enumerate().map(|(index, (limit, next))| {
            let gcra = share.of(limit);
            debts.put(limit.id, now, next, gcra.free_at(next));
            stand(index, gcra, next, now)
        });
        Decision::Admitted(standings.reduce(LimitStatus::tighter).expect("a plan has a quota"))
    }
}

/// One of so many equal shares of a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Share(pub(super) NonZeroU32);

impl Share {
    pub(super) const WHOLE: Self = Self(NonZeroU32::MIN);

    fn of(self, limit: &Limit) -> Gcra {
        if self == Self::WHOLE { limit.gcra } else { limit.gcra.shared(self.0) }
    }
}

/// A million keys.
impl Default for LocalRateLimiter {
    fn default() -> Self {
        Self::bounded(1_000_000)
    }
}

impl RateLimiter for LocalRateLimiter {
    fn take(&self, ask: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        Eventual::Now(Ok(self.decide(ask, Share::WHOLE)))
    }
}

impl fmt::Debug for LocalRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiter").field("bound", &self.table.bound()).finish_non_exhaustive()
    }
}

/// Where the time begins, in ticks: later than the longest quota takes, so that nothing lies before zero.
const BEGINNING: u64 = 1 << 60;

/// What is used up, and how long to wait; nothing, if no quota refuses.
pub(super) fn refuse(
    ask: &LimitRequest<'_>,
    now: u64,
    gcra: impl Fn(&Limit) -> Gcra,
    debt: impl Fn(usize, &Limit) -> Debt,
) -> Option<LimitExceeded> {
    let (mut longest, mut violated) = (None, Vec::new());
    for (index, limit) in ask.plan.limits().iter().enumerate() {
        let (remaining, wait) = match debt(index, limit) {
            Debt::PaidAt(paid) => match gcra(limit).offer(paid, now, ask.cost) {
                Ok(_) => continue,
                Err(wait) => (gcra(limit).remaining(paid, now), wait),
            },
            Debt::NoRoomUntil(free) => (0, free.saturating_sub(now)),
        };
        violated.push(index);
        if longest.is_none_or(|(_, longest)| wait > longest) {
            // RateLimit and Retry-After tell one time.
            longest = Some((LimitStatus::new(index, remaining, Duration::from_nanos(wait)), wait));
        }
    }
    longest.map(|(standing, wait)| LimitExceeded::new(standing, Duration::from_nanos(wait), violated))
}

/// Where a caller stands with the quota at this place.
pub(super) fn stand(index: usize, gcra: Gcra, paid: u64, now: u64) -> LimitStatus {
    LimitStatus::new(index, gcra.remaining(paid, now), Duration::from_nanos(gcra.reset(paid, now)))
}

/// The time in ticks.
pub(super) fn now(stopwatch: &dyn Stopwatch) -> u64 {
    BEGINNING.saturating_add(ticks(stopwatch.elapsed()))
}
