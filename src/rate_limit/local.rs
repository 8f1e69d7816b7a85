//! The counts of one node.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    limiter::{Ask, Decision, Excess, RateLimiter, Standing},
    plan::{Limit, Plan},
    stopwatch::{MonotonicStopwatch, Stopwatch, ticks},
    table::{Debt, Debts, Table},
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
/// let (mut alice, plan) = (LimitKey::default(), Plan::from(Quota::per_minute(1)));
/// alice.push("subject", "alice");
/// let take = || match limiter.take(&Ask::new(&alice, &plan)) {
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

    /// Decides on the spot.
    pub(super) fn decide(&self, ask: &Ask<'_>) -> Decision {
        let now = BEGINNING.saturating_add(ticks(self.stopwatch.elapsed()));
        let mut debts = self.table.open(ask.key);
        let mut offers = [0; Plan::MOST];
        for (limit, offer) in ask.plan.limits().iter().zip(&mut offers) {
            let Debt::PaidAt(paid) = debts.get(limit.id, now) else { return refuse(ask, &debts, now) };
            match limit.gcra.offer(paid, now, ask.cost) {
                Ok(next) => *offer = next,
                Err(_) => return refuse(ask, &debts, now),
            }
        }
        let mut tightest: Option<Standing> = None;
        for (index, (limit, next)) in ask.plan.limits().iter().zip(offers).enumerate() {
            debts.put(limit.id, now, next, limit.gcra.free_at(next));
            let standing = stand(index, limit, next, now);
            tightest = Some(tightest.map_or(standing, |tightest| tightest.tighter(standing)));
        }
        Decision::Admitted(tightest.expect("a plan has a quota"))
    }
}

/// A million keys.
impl Default for LocalRateLimiter {
    fn default() -> Self {
        Self::bounded(1_000_000)
    }
}

impl RateLimiter for LocalRateLimiter {
    fn take(&self, ask: &Ask<'_>) -> Eventual<Result<Decision, Unavailable>> {
        Eventual::Now(Ok(self.decide(ask)))
    }
}

impl fmt::Debug for LocalRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiter").field("bound", &self.table.bound()).finish_non_exhaustive()
    }
}

/// Where the time begins, in ticks: later than the longest quota takes, so that nothing lies before zero.
const BEGINNING: u64 = 1 << 60;

/// Tells what is used up, and how long to wait.
fn refuse(ask: &Ask<'_>, debts: &Debts<'_>, now: u64) -> Decision {
    let (mut longest, mut violated) = (None, Vec::new());
    for (index, limit) in ask.plan.limits().iter().enumerate() {
        let (remaining, wait) = match debts.get(limit.id, now) {
            Debt::PaidAt(paid) => match limit.gcra.offer(paid, now, ask.cost) {
                Ok(_) => continue,
                Err(wait) => (limit.gcra.remaining(paid, now), wait),
            },
            Debt::NoRoomUntil(free) => (0, free.saturating_sub(now)),
        };
        // RateLimit and Retry-After tell one time.
        let standing = Standing::new(index, remaining, Duration::from_nanos(wait));
        violated.push(index);
        if longest.is_none_or(|(_, longest)| wait > longest) {
            longest = Some((standing, wait));
        }
    }
    let (standing, wait) = longest.expect("a quota has refused");
    Decision::Refused(Excess::new(standing, Duration::from_nanos(wait), violated))
}

fn stand(index: usize, limit: &Limit, paid: u64, now: u64) -> Standing {
    Standing::new(index, limit.gcra.remaining(paid, now), Duration::from_nanos(limit.gcra.reset(paid, now)))
}
