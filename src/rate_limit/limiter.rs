//! The trait of rate limiters, and their decisions.

use std::{cmp::Reverse, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    correction::Correction,
    gcra::Gcra,
    limit_key::LimitKey,
    meter::Meter,
    quota_set::{Limit, QuotaSet},
};
use crate::{
    Eventual,
    error::Unavailable,
    time::{Clock, SystemClock, UnixTime},
};

/// Decides requests against the quotas of their keys.
///
/// [`LocalRateLimiter`](super::LocalRateLimiter) decides for one node. One limiter can serve several layers: its state
/// is named by the key, and by the name and numbers of the quota, so layers that agree in these share it.
///
/// # Examples
///
/// A limiter that keeps its state elsewhere is built from [`rate_limit::shared`](super::shared), where a complete one is
/// shown. One that refuses nothing, and shows what another one would refuse:
///
/// ```
/// use tower_warden::{
///     Eventual, Unavailable,
///     rate_limit::{Decision, LimitRequest, LocalRateLimiter, RateLimiter},
/// };
///
/// struct DryRun(LocalRateLimiter);
///
/// impl RateLimiter for DryRun {
///     fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
///         self.0.take(request).map(|decision| match decision? {
///             Decision::Refused(exceeded) => {
///                 println!("would have to wait for {:?}", exceeded.wait);
///                 Ok(Decision::Admitted(exceeded.status))
///             }
///             decision => Ok(decision),
///         })
///     }
/// }
/// ```
pub trait RateLimiter: Send + Sync + 'static {
    /// Takes the cost from every quota, or is refused by at least one of them and takes nothing.
    ///
    /// This is one atomic step: concurrent requests are together admitted up to the burst of each quota, and not beyond. A
    /// caller that waits for [`LimitExceeded::wait`] and makes no other requests in between is admitted then. A refused
    /// request does not make this wait longer.
    ///
    /// The state of a quota [in windows](super::Quota::has_fixed_windows) belongs to one window, which
    /// [`LimitRequest::time`] selects. A limiter that does not support windows refuses requests under such quotas.
    ///
    /// An error refuses the request with 503. A limiter that can decide without the service that it depends on should do
    /// so.
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>>;

    /// Corrects the cost of a request that was admitted to `cost`: from [`LimitRequest::settled`], or else
    /// [`LimitRequest::cost`].
    ///
    /// [`LimitRequest::differences`] are the units to take from each quota, or to return to it.
    ///
    /// Units are taken even if they are not available, so that later requests wait for them, and returned if `cost` is
    /// lower. By default, a higher cost is [taken](Self::take) if it is available, and nothing is returned: a limiter for
    /// costs that are known after the response implements this method.
    ///
    /// # Errors
    ///
    /// If the limiter does not answer.
    fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Eventual<Result<(), Unavailable>> {
        match cost.checked_sub(request.settled.unwrap_or_else(|| request.cost.get())).and_then(NonZeroU32::new) {
            Some(more) => self.take(&request.cost(more)).map(|decision| decision.map(drop)),
            None => Eventual::Now(Ok(())),
        }
    }
}

impl<L: RateLimiter + ?Sized> RateLimiter for Arc<L> {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        (**self).take(request)
    }

    fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Eventual<Result<(), Unavailable>> {
        (**self).settle(request, cost)
    }
}

impl fmt::Debug for dyn RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RateLimiter")
    }
}

/// A request to a limiter.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LimitRequest<'a> {
    /// The key of the caller.
    pub key: &'a LimitKey,
    /// The quotas to take from.
    pub quotas: &'a QuotaSet,
    /// The number of units; for each quota, at most its burst is taken.
    pub cost: NonZeroU32,
    /// The cost to which an earlier [correction](RateLimiter::settle) has set that of the request; `None` if it is
    /// [`cost`](Self::cost), at which the request was admitted.
    pub settled: Option<u32>,
    /// The time that selects the window of quotas [in windows](super::Quota::has_fixed_windows); `None` for that of the system's
    /// clock. In a correction, that of the admission for units to return, and the present one for units to take.
    pub time: Option<UnixTime>,
    /// The mark of a request that a [substitute](DecidedBy::Substitute) has admitted, for [`RateLimiter::settle`]: its units must
    /// not be returned to the store.
    pub by_substitute: bool,
}

impl<'a> LimitRequest<'a> {
    /// A request for one unit.
    #[must_use]
    pub const fn new(key: &'a LimitKey, quotas: &'a QuotaSet) -> Self {
        Self { key, quotas, cost: NonZeroU32::MIN, settled: None, time: None, by_substitute: false }
    }

    /// Sets the number of units.
    #[must_use]
    pub const fn cost(mut self, cost: NonZeroU32) -> Self {
        self.cost = cost;
        self
    }

    /// Sets the cost after an earlier correction.
    #[must_use]
    pub const fn settled(mut self, cost: u32) -> Self {
        self.settled = Some(cost);
        self
    }

    /// Sets the time that selects windows.
    #[must_use]
    pub const fn at(mut self, time: UnixTime) -> Self {
        self.time = Some(time);
        self
    }

    /// The request at a fixed time: reads the system's clock if a quota is in windows and no time is set.
    #[must_use]
    pub fn resolved(mut self) -> Self {
        if self.time.is_none() && self.quotas.has_windows() {
            self.time = Some(SystemClock::default().now());
        }
        self
    }

    /// The stable ids of the quotas, in their order: names for their state in shared stores.
    ///
    /// An id is derived from the name and the numbers of its quota, and from its window if it has one: quotas that differ in
    /// one of these have different ids, so a changed quota and a new window start with new state.
    #[must_use]
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        let request = self.resolved();
        request.quotas.limits().iter().map(move |limit| request.meter(limit, 1).0)
    }

    /// The time until the window of each quota ends, in their order; `None` for a quota without windows.
    #[must_use]
    pub fn window_ends(&self) -> impl ExactSizeIterator<Item = Option<Duration>> + use<'a> {
        let request = self.resolved();
        request.quotas.limits().iter().map(move |limit| request.meter(limit, 1).1.left.map(Duration::from_nanos))
    }

    /// The units that a [correction](RateLimiter::settle) to this cost takes from each quota, in their order; negative for
    /// units that it returns.
    ///
    /// The admission has taken the burst at most, so that is the most that is returned of it. What is charged above the
    /// admitted cost is taken, and returned, as a whole.
    #[must_use]
    pub fn differences(&self, cost: u32) -> impl ExactSizeIterator<Item = i64> + use<'a> {
        let correction = self.correction(cost);
        self.quotas.limits().iter().map(move |limit| correction.difference(limit.quota.burst_size()))
    }

    pub(super) fn correction(&self, cost: u32) -> Correction {
        Correction { admitted: self.cost, from: self.settled.unwrap_or_else(|| self.cost.get()), to: cost }
    }

    /// The id of a quota's state, and its parameters at the time of this request; `resolution` is in ticks.
    pub(super) fn meter(&self, limit: &Limit, resolution: u64) -> (u64, Meter) {
        let window = self.time.and_then(|time| {
            let window = limit.quota.windows().at(time, limit.quota.period().as_secs())?;
            Some((window.id(limit.id), window.ticks_left(time)))
        });
        match window {
            Some((id, left)) => (id, Meter { gcra: limit.gcra, left: Some(left) }),
            None if resolution <= 1 => (limit.id, Meter { gcra: limit.gcra, left: None }),
            None => (limit.id, Meter { gcra: Gcra::new(&limit.quota, resolution), left: None }),
        }
    }
}

/// The decision of a limiter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// The request is admitted, and its cost is taken.
    Admitted(LimitStatus),
    /// The request is refused, and nothing is taken.
    Refused(LimitExceeded),
    /// The request is admitted without a limit, because the limiter could not count it: an outage.
    Uncounted,
}

/// The state of the tightest quota of a caller: the one with the fewest units left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LimitStatus {
    /// The index of the quota in its set.
    pub quota: usize,
    /// The number of units that are available.
    pub remaining: u32,
    /// The time until one unit is available, or until the whole burst is if one unit is available already. For a refused
    /// request, the time to wait.
    pub reset: Duration,
    /// The party that has made the decision.
    pub decided_by: DecidedBy,
}

impl LimitStatus {
    /// Creates the status of a decision by the store.
    #[must_use]
    pub const fn new(quota: usize, remaining: u32, reset: Duration) -> Self {
        Self { quota, remaining, reset, decided_by: DecidedBy::Store }
    }

    /// The status with fewer units left; if both have the same number, the one with the longer reset.
    pub(super) fn tighter(self, other: Self) -> Self {
        let rank = |status: &Self| (status.remaining, Reverse(status.reset));
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// The party that has made a decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// The node, with what it knew: that a quota is used up, or units that it took from the store before. It does not show
    /// whether the store answers.
    Memory,
    /// The store of the limiter, or the limiter itself if it has none.
    Store,
    /// A substitute, because the store did not answer: an outage.
    Substitute,
}

/// A refusal, with the quotas that do not have enough units.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LimitExceeded {
    /// The status of the quota with the longest wait.
    pub status: LimitStatus,
    /// The time after which all quotas admit the same request.
    pub wait: Duration,
    /// The indices of the quotas that do not have enough units, that of `status` among them, in ascending order.
    pub violated: Vec<usize>,
}

impl LimitExceeded {
    /// Creates a refusal; `status` is that of the quota with the longest wait.
    #[must_use]
    pub const fn new(status: LimitStatus, wait: Duration, violated: Vec<usize>) -> Self {
        Self { status, wait, violated }
    }
}
