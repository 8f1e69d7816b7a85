//! Who keeps the counts.

use std::{cmp::Reverse, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use super::{key::LimitKey, plan::QuotaSet};
use crate::{Eventual, error::Unavailable};

/// Keeps the counts.
///
/// [`LocalRateLimiter`](super::LocalRateLimiter) keeps those of one node. One limiter may serve many layers: a count is
/// known by its key and its quota, name and numbers, so layers in which these are the same share it.
pub trait RateLimiter: Send + Sync + 'static {
    /// Takes the cost from every quota of the plan, or is refused by one of them and takes nothing from any.
    ///
    /// An error is answered with 503. A limiter that can answer without what it depends on had better do so.
    fn take(&self, ask: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>>;
}

impl<L: RateLimiter + ?Sized> RateLimiter for Arc<L> {
    fn take(&self, ask: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        (**self).take(ask)
    }
}

impl fmt::Debug for dyn RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RateLimiter")
    }
}

/// What a limiter is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LimitRequest<'a> {
    /// Who is counted.
    pub key: &'a LimitKey,
    /// The quotas.
    pub plan: &'a QuotaSet,
    /// How many units; what is more than a quota's burst counts as its burst.
    pub cost: NonZeroU32,
}

impl<'a> LimitRequest<'a> {
    /// Asks for one unit.
    #[must_use]
    pub const fn new(key: &'a LimitKey, plan: &'a QuotaSet) -> Self {
        Self { key, plan, cost: NonZeroU32::MIN }
    }

    /// Asks for so many units.
    #[must_use]
    pub const fn cost(mut self, cost: NonZeroU32) -> Self {
        self.cost = cost;
        self
    }
}

/// What a limiter decides.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a request goes on or it does not, and is counted or not")]
pub enum Decision {
    /// The request goes on.
    Admitted(LimitStatus),
    /// It does not, and has taken nothing.
    Refused(LimitExceeded),
    /// The request goes on, and nobody counts.
    Uncounted,
}

/// Where a caller stands with the tightest of its quotas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LimitStatus {
    /// Which quota, by its place in the plan.
    pub quota: usize,
    /// How many units there are now.
    pub remaining: u32,
    /// Until when: how long until there is a unit, if there is none, and until all are there, if there is one. Of a
    /// refusal, how long to wait.
    pub reset: Duration,
}

impl LimitStatus {
    /// Where a caller stands.
    #[must_use]
    pub const fn new(quota: usize, remaining: u32, reset: Duration) -> Self {
        Self { quota, remaining, reset }
    }

    /// The one with fewer units left, and of those the one that needs longer to come back.
    pub(super) fn tighter(self, other: Self) -> Self {
        let rank = |standing: &Self| (standing.remaining, Reverse(standing.reset));
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// Which quotas a caller has used up.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LimitExceeded {
    /// Where the caller stands with the quota that it must wait for the longest.
    pub standing: LimitStatus,
    /// How long to wait: for the same request, not sooner than all of its quotas admit it.
    pub wait: Duration,
    /// The places of all such quotas in the plan.
    pub violated: Vec<usize>,
}

impl LimitExceeded {
    /// Refuses; `standing` is that of the quota which needs the longest wait.
    #[must_use]
    pub const fn new(standing: LimitStatus, wait: Duration, violated: Vec<usize>) -> Self {
        Self { standing, wait, violated }
    }
}
