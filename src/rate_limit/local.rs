//! Limits of one node.

use std::{fmt, num::NonZeroU32, sync::Arc};

use super::{
    limiter::{Decision, LimitRequest, LimitStatus, RateLimiter},
    meter::Meter,
    outcome::{exceeded, status},
    partitions::Partitions,
    quota_set::{Limit, QuotaSet},
    stopwatch::{MonotonicStopwatch, Stopwatch, now},
    table::{Entry, KeyEntries, Place},
};
use crate::{Eventual, error::Unavailable};

/// A rate limiter for one node, with bounded memory; clones share their state.
///
/// It stores 24 bytes for each pair of a key and a quota, up to its capacity for each named limit: a million by
/// default. Limits of different names share no counts. The first 64 names have a table of their own, so that they
/// take no capacity from each other; limits of further names share these tables. A key is forgotten when its whole
/// burst is available again. If there are more active keys than the capacity, new keys replace keys that have used
/// little of their quota; keys without an available unit are never replaced. With a capacity of twice the number of
/// keys that are active at the same time, no key is forgotten early.
///
/// Keys are distinguished by 64 bits of a hash with a secret of the process: among ten million keys, two share their
/// state with a probability of three in a million.
///
/// # Deployment caveat
///
/// Counts are in the memory of the process: they are forgotten at each restart, and each node counts on its own. After a
/// restart, a caller has the whole of a daily quota again. Use `RedisRateLimiter` of the crate `tower-warden-redis` for quotas
/// that have to survive, or a [custom limiter](super::shared) on another store. There is none for SQL databases: each request
/// would be a transaction that writes.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Eventual, rate_limit::*};
///
/// let stopwatch = ManualStopwatch::default();
/// let limiter = LocalRateLimiter::bounded(100_000).stopwatch(stopwatch.clone());
/// let (mut alice, quotas) = (LimitKey::default(), QuotaSet::from(Quota::per_minute(1)));
/// alice.push("subject", "alice");
/// let take = || match limiter.take(&LimitRequest::new(&alice, &quotas)) {
///     Eventual::Now(Ok(decision)) => decision,
///     _ => unreachable!("a local limiter decides at once"),
/// };
///
/// assert!(matches!(take(), Decision::Admitted(_)));
/// let Decision::Refused(exceeded) = take() else { panic!("one request per minute") };
/// stopwatch.advance(exceeded.wait);
/// assert!(matches!(take(), Decision::Admitted(_)));
/// ```
#[derive(Clone)]
pub struct LocalRateLimiter {
    tables: Arc<Partitions>,
    stopwatch: Arc<dyn Stopwatch>,
}

impl LocalRateLimiter {
    /// Creates a limiter with a capacity of `keys` for each named limit, at least eight. A key counts once for each quota
    /// of its set.
    #[must_use]
    pub fn bounded(keys: usize) -> Self {
        Self { tables: Arc::new(Partitions::new(keys)), stopwatch: Arc::new(MonotonicStopwatch::default()) }
    }

    /// Sets the source of time: the machine's monotonic clock by default.
    #[must_use]
    pub fn stopwatch(mut self, stopwatch: impl Stopwatch) -> Self {
        self.stopwatch = Arc::new(stopwatch);
        self
    }

    /// Decides at once, on the share of one of `nodes` equal nodes: of each quota, that part of the rate and of the
    /// burst, and a burst of one unit at least.
    ///
    /// Shared limiters use it while their store is unavailable. With one node, it is the whole quota.
    #[must_use]
    pub fn take_share(&self, request: &LimitRequest<'_>, nodes: NonZeroU32) -> Decision {
        let request = &request.resolved();
        let now = now(self.stopwatch.elapsed());
        let mut entries = self.tables.lock(request.key);
        let limits = request.quotas.limits();
        let mut taken = [None; QuotaSet::MAX];
        for (limit, taken) in limits.iter().zip(&mut taken) {
            let (meter, entry, place) = load(&entries, request, limit, nodes, now);
            let next = match entry {
                Entry::Tat(tat) => meter.take(tat, now, request.cost).ok(),
                Entry::FullUntil(_) => None,
            };
            let Some(tat) = next else {
                let load = |_, limit: &Limit| {
                    let (meter, entry, _) = load(&entries, request, limit, nodes, now);
                    (meter, entry)
                };
                return Decision::Refused(exceeded(request, now, load).expect("this quota refuses the request"));
            };
            *taken = Some((meter, place, tat));
        }
        let taken = taken[..limits.len()].iter().flatten();
        let statuses = taken.enumerate().map(|(index, &(meter, place, tat))| {
            entries.put(place, now, meter.save(tat, now), meter.next_unit_at(tat, now));
            status(index, meter, tat, now)
        });
        Decision::Admitted(statuses.reduce(LimitStatus::tighter).expect("a set has at least one quota"))
    }

    /// Corrects the cost of a request that [`take_share`](Self::take_share) has admitted, as
    /// [`RateLimiter::settle`] does.
    pub fn settle_share(&self, request: &LimitRequest<'_>, cost: u32, nodes: NonZeroU32) {
        let (request, correction) = (&request.resolved(), request.correction(cost));
        let now = now(self.stopwatch.elapsed());
        let mut entries = self.tables.lock(request.key);
        for limit in request.quotas.limits() {
            if let (meter, Entry::Tat(tat), place) = load(&entries, request, limit, nodes, now) {
                let tat = meter.settle(tat, now, &correction);
                entries.put(place, now, meter.save(tat, now), meter.next_unit_at(tat, now));
            }
        }
    }
}

/// A capacity of one million.
impl Default for LocalRateLimiter {
    fn default() -> Self {
        Self::bounded(1_000_000)
    }
}

impl RateLimiter for LocalRateLimiter {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        Eventual::Now(Ok(self.take_share(request, NonZeroU32::MIN)))
    }

    fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Eventual<Result<(), Unavailable>> {
        self.settle_share(request, cost, NonZeroU32::MIN);
        Eventual::Now(Ok(()))
    }
}

impl fmt::Debug for LocalRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiter").field("capacity", &self.tables.capacity()).finish_non_exhaustive()
    }
}

/// The parameters of a node's share of a quota, and its TAT with the place of its entry.
fn load(
    entries: &KeyEntries<'_>,
    request: &LimitRequest<'_>,
    limit: &Limit,
    nodes: NonZeroU32,
    now: u64,
) -> (Meter, Entry, Place) {
    let (id, mut meter) = request.meter(limit, 1);
    if nodes != NonZeroU32::MIN {
        meter.gcra = meter.gcra.share(nodes);
    }
    match entries.find(id, now) {
        (Entry::Tat(stored), place) => (meter, Entry::Tat(meter.load(stored)), place),
        (full @ Entry::FullUntil(_), place) => (meter, full, place),
    }
}
