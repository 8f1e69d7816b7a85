//! Decisions while Redis is unavailable, and the counts of all decisions.

use std::{
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The time between two warnings about decisions without Redis.
const REPEAT: Duration = Duration::from_secs(300);

/// The decision about requests while Redis does not reply in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnOutage {
    /// Admits all requests without a limit.
    Admit,
    /// Decides on the node itself, on its share of each quota: the quota divided by the number of nodes, and one unit at
    /// least.
    Local {
        /// The number of nodes. With one node, the default, each node uses the whole quota.
        nodes: NonZeroU32,
    },
    /// Refuses all requests with 503.
    Refuse,
}

/// Local decisions on the whole quota.
impl Default for OnOutage {
    fn default() -> Self {
        Self::Local { nodes: NonZeroU32::MIN }
    }
}

/// The numbers of decisions that a limiter has made since its creation, by the way in which they were made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DecisionCounts {
    /// Decisions by Redis.
    pub redis: u64,
    /// Requests that were admitted by a lease, without Redis.
    pub leased: u64,
    /// Requests that were refused without Redis, because the quota was known to be used up.
    pub exhausted: u64,
    /// Requests that were admitted because Redis did not reply.
    pub outage_admitted: u64,
    /// Decisions by the node itself because Redis did not reply.
    pub outage_local: u64,
    /// Requests that were refused because Redis did not reply.
    pub outage_refused: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) redis: Counter,
    pub(super) leased: Counter,
    pub(super) exhausted: Counter,
    pub(super) outage_admitted: Counter,
    pub(super) outage_local: Counter,
    pub(super) outage_refused: Counter,
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn read(&self) -> DecisionCounts {
        DecisionCounts {
            redis: self.redis.get(),
            leased: self.leased.get(),
            exhausted: self.exhausted.get(),
            outage_admitted: self.outage_admitted.get(),
            outage_local: self.outage_local.get(),
            outage_refused: self.outage_refused.get(),
        }
    }
}

/// Warns that Redis does not decide: at the first decision without it, and then sparsely.
#[derive(Default)]
pub(super) struct OutageLog {
    is_reported: AtomicBool,
    last: Mutex<Option<Duration>>,
}

impl OutageLog {
    pub(super) fn report(&self, on_outage: OnOutage, now: Duration) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_sub(last) < REPEAT) {
            return;
        }
        *last = Some(now);
        drop(last);
        self.is_reported.store(true, Ordering::Relaxed);
        let decision = match on_outage {
            OnOutage::Admit => "all requests are admitted without a limit",
            OnOutage::Local { .. } => "each node limits on its own",
            OnOutage::Refuse => "all requests are refused with 503",
        };
        tracing::warn!(decision, "Redis does not decide on rate limits; see the address, the password and the rights");
    }

    /// Redis has decided.
    pub(super) fn is_over(&self) {
        if self.is_reported.load(Ordering::Relaxed) && self.is_reported.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis decides on rate limits");
        }
    }
}
