//! Counts that many nodes share.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use self::{
    lease::{Errand, Leases, Spending},
    script::{Question, Reply},
};
use super::{
    limiter::{Decision, LimitExceeded, LimitRequest, LimitStatus, RateLimiter},
    local::{LocalRateLimiter, Share, now, refuse, stand},
    stopwatch::{MonotonicStopwatch, Stopwatch},
    table::{Debt, Table},
};
use crate::{Eventual, error::Unavailable, redis::RedisConnection};

mod lease;
mod script;

/// Keeps the counts of many nodes, in Redis or Valkey; clones share everything.
///
/// A decision is one script in one round trip, for all quotas of a request, on the server's own clock. Keys are digests
/// and expire when their debt is paid. A caller that has used up its quota is refused by each node that knows it,
/// without a round trip, until there is a unit again.
///
/// # When Redis is down
///
/// A decision that takes longer than the [line's patience](RedisConnection::patience), or that the line is down for, is
/// [`OnOutage`]'s: by default, each node keeps counts of its own. It is never 500, and it is [counted](Self::counts).
/// The line is tried in the background, and what was counted meanwhile is not carried over.
///
/// # Leases
///
/// With [`leased`](Self::leased), a node takes so many units at once and spends them by itself, so a hot key costs one
/// round trip for each slice. What it has not spent within the lifetime is lost. So:
///
/// - in any stretch of time, what is admitted on all nodes together is at most the burst and what comes back in that
///   time *and one lifetime more*: the error is at most rate × lifetime, however many nodes there are;
/// - a caller may be refused while as much as one slice for each node lies unspent.
///
/// Between them, [`leased`](Self::leased) is for keys with many requests and large quotas.
///
/// ```no_run
/// use std::{num::NonZeroU32, time::Duration};
/// use tower_warden::{rate_limit::{OnOutage, RedisRateLimiter}, redis::RedisConnection};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let line = RedisConnection::connect(redis::Client::open("redis://127.0.0.1/")?).await;
/// let three = NonZeroU32::new(3).expect("three is not zero");
/// let limiter = RedisRateLimiter::new(line)
///     .on_outage(OnOutage::Local { nodes: three })
///     .leased(NonZeroU32::new(20).expect("twenty is not zero"), Duration::from_millis(500));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisRateLimiter(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    line: RedisConnection,
    leases: Option<Arc<Leases>>,
    on_outage: OnOutage,
    /// Who has used up what, as far as this node knows.
    exhausted: Arc<Table>,
    /// What stands in for Redis.
    local: LocalRateLimiter,
    stopwatch: Arc<dyn Stopwatch>,
    counters: Arc<Counters>,
}

/// What happens to requests while Redis does not answer in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnOutage {
    /// All go on, uncounted.
    Admit,
    /// Each node counts by itself, on its share of each quota: one of so many nodes'. A share is one unit at the least.
    Local {
        /// How many nodes there are. With one, the default, each node has the whole quota.
        nodes: NonZeroU32,
    },
    /// All are refused with 503.
    Refuse,
}

/// On the whole quota, on each node.
impl Default for OnOutage {
    fn default() -> Self {
        Self::Local { nodes: NonZeroU32::MIN }
    }
}

/// How many decisions were made how, since the limiter was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisCounts {
    /// By Redis.
    pub asked: u64,
    /// By a lease, without Redis.
    pub leased: u64,
    /// Refused without Redis, because the quota was known to be used up.
    pub known: u64,
    /// Let through because Redis did not answer.
    pub outage_admitted: u64,
    /// By the node itself because Redis did not answer.
    pub outage_local: u64,
    /// Refused because Redis did not answer.
    pub outage_refused: u64,
}

#[derive(Default)]
struct Counters {
    asked: AtomicU64,
    leased: AtomicU64,
    known: AtomicU64,
    outage_admitted: AtomicU64,
    outage_local: AtomicU64,
    outage_refused: AtomicU64,
}

impl RedisRateLimiter {
    /// Keeps counts at the other end of a line.
    #[must_use]
    pub fn new(line: RedisConnection) -> Self {
        Self(Arc::new(Inner {
            line,
            leases: None,
            on_outage: OnOutage::default(),
            exhausted: Arc::new(Table::new(100_000)),
            local: LocalRateLimiter::default(),
            stopwatch: Arc::new(MonotonicStopwatch::default()),
            counters: Arc::default(),
        }))
    }

    /// Takes so many units of a key at once, to be spent within the lifetime.
    #[must_use]
    pub fn leased(self, units: NonZeroU32, lifetime: Duration) -> Self {
        self.with(|inner| inner.leases = Some(Arc::new(Leases::new(units, lifetime))))
    }

    /// What happens while Redis does not answer.
    #[must_use]
    pub fn on_outage(self, on_outage: OnOutage) -> Self {
        self.with(|inner| inner.on_outage = on_outage)
    }

    /// Tells the time of leases and of what this node knows or counts by itself: the machine's monotonic clock by
    /// default.
    #[must_use]
    pub fn stopwatch(self, stopwatch: impl Stopwatch) -> Self {
        let stopwatch: Arc<dyn Stopwatch> = Arc::new(stopwatch);
        self.with(|inner| {
            inner.local = inner.local.clone().stopwatch(Arc::clone(&stopwatch));
            inner.stopwatch = stopwatch;
        })
    }

    /// How many decisions were made how.
    #[must_use]
    pub fn counts(&self) -> RedisCounts {
        let Counters { asked, leased, known, outage_admitted, outage_local, outage_refused } = &*self.0.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisCounts {
            asked: read(asked),
            leased: read(leased),
            known: read(known),
            outage_admitted: read(outage_admitted),
            outage_local: read(outage_local),
            outage_refused: read(outage_refused),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl RateLimiter for RedisRateLimiter {
    fn take(&self, ask: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        let step = match self.0.begin(ask) {
            Step::Done(decision) => return Eventual::Now(decision),
            step => step,
        };
        let (this, key, plan, cost) = (Arc::clone(&self.0), ask.key.clone(), ask.plan.clone(), ask.cost);
        Eventual::later(async move { this.go_on(&LimitRequest::new(&key, &plan).cost(cost), step).await })
    }
}

/// How a decision goes on.
enum Step {
    LimitRequest { wanted: NonZeroU32, errand: Option<Errand>, at: u64 },
    Done(Result<Decision, Unavailable>),
    Wait(Arc<Semaphore>),
}

/// How often one request waits for what others fetch, before it goes by itself.
const WAITS: usize = 3;

impl Inner {
    /// Decides without Redis, where that is possible.
    fn begin(&self, ask: &LimitRequest<'_>) -> Step {
        let at = now(&*self.stopwatch);
        let spending = self.leases.as_ref().map_or(Spending::Single, |leases| leases.spend(ask, at));
        let (wanted, errand) = match spending {
            Spending::Paid(standing) => {
                count(&self.counters.leased);
                return Step::Done(Ok(Decision::Admitted(standing)));
            }
            Spending::Fetch { units, errand } => (units, Some(errand)),
            Spending::Single => (ask.cost, None),
            Spending::Wait(back) => return Step::Wait(back),
        };
        if let Some(excess) = self.known(ask, at) {
            count(&self.counters.known);
            Step::Done(Ok(Decision::Refused(excess)))
        } else if self.line.is_ready() {
            Step::LimitRequest { wanted, errand, at }
        } else {
            Step::Done(self.outage(ask))
        }
    }

    async fn go_on(&self, ask: &LimitRequest<'_>, mut step: Step) -> Result<Decision, Unavailable> {
        for _ in 0..WAITS {
            let Step::Wait(back) = &step else { break };
            // It is closed, and never gives a permit.
            let _ = back.acquire().await;
            step = self.begin(ask);
        }
        let (wanted, errand, at) = match step {
            Step::LimitRequest { wanted, errand, at } => (wanted, errand, at),
            Step::Done(decision) => return decision,
            Step::Wait(_) => (ask.cost, None, now(&*self.stopwatch)),
        };
        let reply = Question::new(ask.key, ask.plan, ask.cost, wanted).ask(&self.line).await.ok();
        match reply.and_then(|reply| self.settle(ask, &reply, errand, at)) {
            Some(decision) => Ok(decision),
            None => self.outage(ask),
        }
    }

    /// The refusal of a request that is known to find no unit.
    fn known(&self, ask: &LimitRequest<'_>, now: u64) -> Option<LimitExceeded> {
        let debts = self.exhausted.open(ask.key);
        refuse(
            ask,
            now,
            |limit| limit.coarse,
            |_, limit| match debts.get(limit.id, now) {
                Debt::PaidAt(paid) => Debt::PaidAt(paid),
                // It is only not remembered.
                Debt::NoRoomUntil(_) => Debt::PaidAt(0),
            },
        )
    }

    /// What an answer comes to; nothing, if it makes no sense.
    fn settle(&self, ask: &LimitRequest<'_>, reply: &Reply, errand: Option<Errand>, asked_at: u64) -> Option<Decision> {
        // Later than the answer was made, so that who waits until then has waited for long enough.
        let now = now(&*self.stopwatch);
        let paid = |index: usize| now.saturating_add(reply.debts[index]);
        let mut known = self.exhausted.open(ask.key);
        let standings = ask.plan.limits().iter().enumerate().map(|(index, limit)| {
            let free_at = limit.coarse.free_at(paid(index));
            if free_at > now {
                known.put(limit.id, now, paid(index), free_at);
            }
            stand(index, limit.coarse, paid(index), now)
        });
        let mut standing = standings.reduce(LimitStatus::tighter)?;
        let decision = match reply.taken.checked_sub(ask.cost.get()) {
            Some(left) => {
                standing.remaining = standing.remaining.saturating_add(left);
                if let Some(errand) = errand {
                    errand.bring(left, standing, asked_at, now);
                }
                Decision::Admitted(standing)
            }
            None => Decision::Refused(refuse(ask, now, |limit| limit.coarse, |index, _| Debt::PaidAt(paid(index)))?),
        };
        count(&self.counters.asked);
        Some(decision)
    }

    /// Decides without Redis.
    fn outage(&self, ask: &LimitRequest<'_>) -> Result<Decision, Unavailable> {
        match self.on_outage {
            OnOutage::Admit => {
                count(&self.counters.outage_admitted);
                Ok(Decision::Uncounted)
            }
            OnOutage::Local { nodes } => {
                count(&self.counters.outage_local);
                Ok(self.local.decide(ask, Share(nodes)))
            }
            OnOutage::Refuse => {
                count(&self.counters.outage_refused);
                Err(Unavailable::new("redis"))
            }
        }
    }
}

impl fmt::Debug for RedisRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { line, on_outage, .. } = &*self.0;
        f.debug_struct("RedisRateLimiter").field("line", line).field("on_outage", on_outage).finish_non_exhaustive()
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
