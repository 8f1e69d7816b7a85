//! Slices of the allowance that a node has taken in advance.

use std::{
    collections::HashMap,
    hash::RandomState,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::super::{
    key::LimitKey,
    limiter::{LimitRequest, LimitStatus},
    plan::QuotaSet,
    stopwatch::ticks,
};

/// So many locks.
const SHARDS: usize = 64;

/// So many leases at the most; what is leased beyond that is lost, and nobody gets more for it.
const BOUND: usize = 65_536;

/// What a node has leased.
pub(super) struct Leases {
    units: NonZeroU32,
    lifetime: u64,
    secret: RandomState,
    shards: [Mutex<HashMap<u64, Lease>>; SHARDS],
}

struct Lease {
    left: u32,
    until: u64,
    standing: LimitStatus,
    /// Closed when who fetches the next one is back.
    errand: Option<Arc<Semaphore>>,
    /// How many have come meanwhile.
    waiting: u32,
}

/// What is to be done about a request.
pub(super) enum Spending {
    /// Nothing: it was paid.
    Paid(LimitStatus),
    /// So many units are to be fetched, for it and for others.
    Fetch { units: NonZeroU32, errand: Errand },
    /// It is to be paid for by itself.
    Single,
    /// It waits until this is closed, for somebody fetches already.
    Wait(Arc<Semaphore>),
}

impl Leases {
    pub(super) fn new(units: NonZeroU32, lifetime: Duration) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { units, lifetime: ticks(lifetime), secret: RandomState::new(), shards }
    }

    pub(super) fn spend(self: &Arc<Self>, ask: &LimitRequest<'_>, now: u64) -> Spending {
        // What costs more than a burst is not counted in units that all quotas have in common.
        if ask.plan.quotas().any(|quota| ask.cost > quota.burst_size()) {
            return Spending::Single;
        }
        let slot = slot(ask.key, ask.plan, &self.secret);
        let mut leases = self.shard(slot);
        match leases.get_mut(&slot) {
            Some(lease) if now < lease.until && ask.cost.get() <= lease.left => {
                lease.left -= ask.cost.get();
                lease.standing.remaining = lease.standing.remaining.saturating_sub(ask.cost.get());
                return Spending::Paid(lease.standing);
            }
            Some(Lease { errand: Some(errand), waiting, .. }) => {
                *waiting = waiting.saturating_add(1);
                return Spending::Wait(Arc::clone(errand));
            }
            Some(_) | None => {}
        }
        let back = Arc::new(Semaphore::new(0));
        let errand = Some(Arc::clone(&back));
        // Those who have waited in vain take theirs at once.
        let waiting = match leases.get_mut(&slot) {
            Some(lease) => {
                lease.errand = errand;
                std::mem::take(&mut lease.waiting)
            }
            None => {
                let lease = Lease { left: 0, until: now, standing: NOTHING, errand, waiting: 0 };
                insert(&mut leases, slot, lease, now);
                0
            }
        };
        let errand = Errand { leases: Arc::clone(self), slot, back };
        Spending::Fetch { units: self.units.max(ask.cost).saturating_add(waiting), errand }
    }

    fn shard(&self, slot: u64) -> MutexGuard<'_, HashMap<u64, Lease>> {
        let shard = usize::try_from(slot % SHARDS as u64).unwrap_or_default();
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who fetches units, for itself and for others.
pub(super) struct Errand {
    leases: Arc<Leases>,
    slot: u64,
    back: Arc<Semaphore>,
}

impl Errand {
    /// Keeps what was fetched beyond the need of one request.
    pub(super) fn bring(self, left: u32, standing: LimitStatus, asked_at: u64, now: u64) {
        // From when it was asked for: it was taken then, or later.
        let until = asked_at.saturating_add(self.leases.lifetime);
        let mut leases = self.leases.shard(self.slot);
        let waiting = leases.get(&self.slot).map_or(0, |lease| lease.waiting).saturating_sub(left);
        insert(&mut leases, self.slot, Lease { left, until, standing, errand: None, waiting }, now);
        // Before this errand ends, which looks at them too.
        drop(leases);
    }
}

/// Tells who waits, and lets somebody else fetch.
impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(lease) = self.leases.shard(self.slot).get_mut(&self.slot)
            && lease.errand.as_ref().is_some_and(|errand| Arc::ptr_eq(errand, &self.back))
        {
            lease.errand = None;
        }
        self.back.close();
    }
}

const NOTHING: LimitStatus = LimitStatus::new(0, 0, Duration::ZERO);

fn insert(leases: &mut HashMap<u64, Lease>, slot: u64, lease: Lease, now: u64) {
    if leases.len() >= BOUND / SHARDS {
        leases.retain(|_, lease| now < lease.until || lease.errand.is_some());
    }
    if leases.len() >= BOUND / SHARDS {
        leases.clear();
    }
    leases.insert(slot, lease);
}

/// A lease is of a key and a plan.
fn slot(key: &LimitKey, plan: &QuotaSet, secret: &RandomState) -> u64 {
    plan.limits().iter().fold(key.fingerprint(secret), |slot, limit| (slot.rotate_left(5) ^ limit.id).wrapping_mul(MIX))
}

/// An odd number with bits all over.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
