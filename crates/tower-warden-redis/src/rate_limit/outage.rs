//! Decisions while Redis is unavailable, and the counts of all decisions.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

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
