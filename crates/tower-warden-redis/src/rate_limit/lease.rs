//! Leases: units that a node has taken in advance.
//!
//! Invariants:
//!
//! 1. Every unit of `Lease::left` was taken from all quotas in Redis before. Spending it needs no further check, and
//!    losing it (an expired, evicted or overwritten lease) can only refuse more requests, never admit more.
//! 2. A unit is spent within one lifetime after it was taken: `Lease::expires_at` is counted from a time before the query
//!    was sent. The units that are admitted in an interval were therefore taken in that interval or one lifetime before,
//!    which bounds the excess by rate × lifetime for any number of nodes.
//! 3. At most one request fetches units for a lease. `Lease::fetching` is set and cleared under the lock of the shard,
//!    and `Fetch` clears it when it is dropped: also if the query fails, or if the client disconnects and the future is
//!    dropped. Dropping it closes the semaphore as well, so no request waits for a fetch that is over.
//! 4. A lease is removed only if it has expired and nobody fetches units for it. Callers of one limit therefore cannot
//!    take the units of callers of another one, however many keys they have; and `Fetch::complete` finds its lease.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use tower_warden::rate_limit::{LimitRequest, LimitStatus};

/// The number of locks.
const SHARDS: usize = 64;

/// The maximum number of leases; a request with a further key takes its cost from Redis.
const CAPACITY: usize = 65_536;

/// The leases of a node, each for a key and a set of quotas.
pub(super) struct Leases {
    units: NonZeroU32,
    lifetime: Duration,
    secret: RandomState,
    shards: [Mutex<HashMap<u64, Lease>>; SHARDS],
}

struct Lease {
    left: u32,
    expires_at: Duration,
    status: LimitStatus,
    /// Closed when the request that fetches units is done.
    fetching: Option<Arc<Semaphore>>,
    /// The number of requests that wait for it.
    waiting: u32,
}

/// The next step for a request.
pub(super) enum Spending {
    /// None: its cost was spent.
    Spent(LimitStatus),
    /// It fetches `units`, for itself and for other requests.
    Fetch { units: NonZeroU32, fetch: Fetch },
    /// It takes its cost from Redis, without a lease.
    Direct,
    /// It waits until the semaphore is closed: another request fetches units.
    Wait(Arc<Semaphore>),
}

impl Leases {
    pub(super) fn new(units: NonZeroU32, lifetime: Duration) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { units, lifetime, secret: RandomState::new(), shards }
    }

    pub(super) fn spend(self: &Arc<Self>, request: &LimitRequest<'_>, now: Duration) -> Spending {
        let cost = request.cost;
        // A cost above a burst takes different numbers of units from the quotas.
        if request.quotas.quotas().any(|quota| cost > quota.burst_size()) {
            return Spending::Direct;
        }
        let slot = self.slot(request);
        let mut leases = self.shard(slot);
        match leases.get_mut(&slot) {
            Some(lease) if now < lease.expires_at && cost.get() <= lease.left => {
                lease.left -= cost.get();
                lease.status.remaining = lease.status.remaining.saturating_sub(cost.get());
                return Spending::Spent(lease.status);
            }
            Some(Lease { fetching: Some(fetching), waiting, .. }) => {
                *waiting = waiting.saturating_add(1);
                return Spending::Wait(Arc::clone(fetching));
            }
            Some(_) | None => {}
        }
        let fetched = Arc::new(Semaphore::new(0));
        let fetching = Some(Arc::clone(&fetched));
        // This request also fetches units for those that have waited in vain.
        let waiting = match leases.get_mut(&slot) {
            Some(lease) => {
                lease.fetching = fetching;
                std::mem::take(&mut lease.waiting)
            }
            None => {
                if is_full(&mut leases, now) {
                    return Spending::Direct;
                }
                leases.insert(slot, Lease { left: 0, expires_at: now, status: NONE, fetching, waiting: 0 });
                0
            }
        };
        // Units of a window are spent before it ends.
        let lifetime = request.window_ends().flatten().fold(self.lifetime, Duration::min);
        let fetch = Fetch { leases: Arc::clone(self), slot, fetched, lifetime };
        Spending::Fetch { units: self.units.max(cost).saturating_add(waiting), fetch }
    }

    fn slot(&self, request: &LimitRequest<'_>) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write_u64(self.secret.hash_one(request.key));
        request.ids().for_each(|id| hasher.write_u64(id));
        hasher.finish()
    }

    fn shard(&self, slot: u64) -> MutexGuard<'_, HashMap<u64, Lease>> {
        let shard = usize::try_from(slot % SHARDS as u64).unwrap_or_default();
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and duty of one request to fetch units, for itself and for others.
pub(super) struct Fetch {
    leases: Arc<Leases>,
    slot: u64,
    fetched: Arc<Semaphore>,
    lifetime: Duration,
}

impl Fetch {
    /// Stores the units that this request does not need; `started_at` is a time before the query was sent.
    pub(super) fn complete(self, left: u32, status: LimitStatus, started_at: Duration) {
        let expires_at = started_at.saturating_add(self.lifetime);
        let mut leases = self.leases.shard(self.slot);
        if let Some(lease) = leases.get_mut(&self.slot) {
            let waiting = lease.waiting.saturating_sub(left);
            *lease = Lease { left, expires_at, status, fetching: None, waiting };
        }
        // Before this fetch is dropped, which takes the lock again.
        drop(leases);
    }
}

/// Lets another request fetch units, and wakes the requests that wait.
impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(lease) = self.leases.shard(self.slot).get_mut(&self.slot)
            && lease.fetching.as_ref().is_some_and(|fetching| Arc::ptr_eq(fetching, &self.fetched))
        {
            lease.fetching = None;
        }
        self.fetched.close();
    }
}

const NONE: LimitStatus = LimitStatus::new(0, 0, Duration::ZERO);

/// Returns `true` if there is no room for a further lease, also after the expired ones are removed.
fn is_full(leases: &mut HashMap<u64, Lease>, now: Duration) -> bool {
    let is_full = |leases: &HashMap<_, _>| leases.len() >= CAPACITY / SHARDS;
    if is_full(leases) {
        leases.retain(|_, lease| now < lease.expires_at || lease.fetching.is_some());
    }
    is_full(leases)
}

#[cfg(test)]
mod tests {
    use tower_warden::rate_limit::{LimitKey, Quota, QuotaSet, nonzero};

    use super::*;

    #[test]
    fn leases_of_many_keys_do_not_drop_those_of_others() {
        let leases = Arc::new(Leases::new(nonzero(10), Duration::from_secs(5)));
        let quotas = QuotaSet::from(Quota::per_day(100));
        let spend = |name: &str, now| leases.spend(&LimitRequest::new(&LimitKey::of_limit(name), &quotas), now);
        let fetch = |name: &str, now| match spend(name, now) {
            Spending::Fetch { units, fetch } => fetch.complete(units.get() - 1, NONE, now),
            Spending::Direct => {}
            Spending::Spent(_) | Spending::Wait(_) => panic!("the lease of {name} is not new"),
        };
        let (start, end) = (Duration::ZERO, Duration::from_secs(5));
        fetch("alice", start);
        (0..2 * CAPACITY).for_each(|number| fetch(&number.to_string(), start));
        assert!(matches!(spend("alice", start), Spending::Spent(_)));
        assert!(matches!(spend("bob", start), Spending::Direct), "no room is left");
        assert!(matches!(spend("bob", end), Spending::Fetch { .. }), "expired leases make room");
        assert!(matches!(spend("alice", end), Spending::Fetch { .. }));
    }
}
