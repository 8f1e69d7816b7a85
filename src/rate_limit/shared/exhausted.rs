use std::{fmt, time::Duration};

use super::{
    super::{
        limiter::LimitRequest,
        stopwatch::{ORIGIN, now},
        table::{Entry, Table},
    },
    state::LimitState,
};

/// The keys that have used up a quota, as far as one node knows, with bounded memory.
///
/// A node that knows that a caller has no unit left can refuse it without a query to the shared store, until a unit is
/// available again. See the [module docs](super) for an example.
///
/// The refusals are never wrong, only incomplete: while a unit is missing, no node can take one, so the TAT in the store
/// is at least the recorded one. Units that are returned, by a request whose cost is corrected, are the exception: other nodes
/// refuse a caller until the time that they have recorded.
pub struct ExhaustedKeys {
    capacity: usize,
    table: Table,
}

impl ExhaustedKeys {
    /// Creates a table with a capacity of `keys`, at least eight. A key with a used-up quota counts once for each quota of
    /// the request.
    #[must_use]
    pub fn bounded(keys: usize) -> Self {
        Self { capacity: Table::capacity_of(keys), table: Table::new(keys) }
    }

    /// Returns the state of the request's quotas as far as it is recorded; quotas that are not recorded are unused.
    ///
    /// `elapsed` is the time of the node's [`Stopwatch`](super::super::Stopwatch).
    #[must_use]
    pub fn state<'a>(&self, request: &LimitRequest<'a>, elapsed: Duration) -> LimitState<'a> {
        let (now, request) = (now(elapsed), request.resolved());
        let entries = self.table.lock(request.key);
        let until_tat = |limit| {
            let (id, meter) = request.meter(limit, 1);
            match (entries.find(id, now).0, meter.left) {
                (Entry::Tat(stored), Some(_)) => Duration::from_nanos(meter.load(stored) - ORIGIN),
                (Entry::Tat(tat), None) => Duration::from_nanos(tat.saturating_sub(now)),
                (Entry::FullUntil(_), _) => Duration::ZERO,
            }
        };
        LimitState::new(&request, request.quotas.limits().iter().map(until_tat)).with_debt().with_windows()
    }

    /// Forgets the quotas of the request, after units were returned to them.
    pub fn forget(&self, request: &LimitRequest<'_>, elapsed: Duration) {
        let now = now(elapsed);
        let mut entries = self.table.lock(request.key);
        for id in request.ids() {
            if let (Entry::Tat(1..), place) = entries.find(id, now) {
                entries.put(place, now, 0, 0);
            }
        }
    }

    /// Records all quotas of the request if one of them has no available unit, and raises those that are recorded already.
    ///
    /// The others are recorded because a request that costs several units can be refused by them as well: the wait of its
    /// refusal is the longest one.
    ///
    /// `elapsed` is the time of the node's [`Stopwatch`](super::super::Stopwatch) after the store has answered. A later
    /// time is safe, an earlier one is not: callers that wait until then must have waited long enough.
    pub fn record(&self, state: &LimitState<'_>, elapsed: Duration) {
        let now = now(elapsed);
        let is_any_exhausted = state.entries().any(|(_, meter, tat)| meter.next_unit_at(tat, ORIGIN) > ORIGIN);
        let mut entries = self.table.lock(state.request().key);
        for (id, meter, tat) in state.entries() {
            let (tat, next_unit_at) = match meter.left {
                // Relative to `ORIGIN` is relative to nothing: these are used units.
                Some(_) => (tat, meter.next_unit_at(tat, now)),
                None => (from_now(now, tat), from_now(now, meter.next_unit_at(tat, ORIGIN))),
            };
            let is_used = tat > if meter.left.is_some() { ORIGIN } else { now };
            // Answers may arrive in another order than they were made: one with available units lowers no TAT.
            let (entry, place) = entries.find(id, now);
            let is_later = match entry {
                Entry::Tat(0) => is_any_exhausted && is_used,
                Entry::Tat(stored) => meter.load(stored) < tat,
                Entry::FullUntil(_) => false,
            };
            if is_later || next_unit_at > now {
                entries.put(place, now, meter.save(tat, now), next_unit_at);
            }
        }
    }
}

/// A time relative to `ORIGIN`, relative to now.
const fn from_now(now: u64, time: u64) -> u64 {
    now.saturating_add(time).saturating_sub(ORIGIN)
}

impl fmt::Debug for ExhaustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExhaustedKeys").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
