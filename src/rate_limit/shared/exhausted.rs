use std::{fmt, time::Duration};

use super::{
    super::{
        gcra::Gcra,
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
        let now = now(elapsed);
        let entries = self.table.lock(request.key);
        let until_tat = |quota| match entries.get(quota, now) {
            Entry::Tat(tat) => Duration::from_nanos(tat.saturating_sub(now)),
            Entry::FullUntil(_) => Duration::ZERO,
        };
        LimitState::new(request, request.quotas.ids().map(until_tat)).with_debt()
    }

    /// Forgets the quotas of the request, after units were returned to them.
    pub fn forget(&self, request: &LimitRequest<'_>, elapsed: Duration) {
        let now = now(elapsed);
        let mut entries = self.table.lock(request.key);
        for id in request.quotas.ids() {
            if matches!(entries.get(id, now), Entry::Tat(1..)) {
                entries.put(id, now, 0, 0);
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
        let from_now = |time: u64| now.saturating_add(time).saturating_sub(ORIGIN);
        let is_exhausted = |gcra: Gcra, tat| gcra.next_unit_at(tat) > ORIGIN;
        let is_any_exhausted = state.entries().any(|(_, gcra, tat)| is_exhausted(gcra, tat));
        let mut entries = self.table.lock(state.request().key);
        for (limit, gcra, tat) in state.entries() {
            // Answers may arrive in another order than they were made: one with available units lowers no TAT.
            let is_later = match entries.get(limit.id, now) {
                Entry::Tat(0) => is_any_exhausted && tat > ORIGIN,
                Entry::Tat(stored) => stored < from_now(tat),
                Entry::FullUntil(_) => false,
            };
            if is_later || is_exhausted(gcra, tat) {
                entries.put(limit.id, now, from_now(tat), from_now(gcra.next_unit_at(tat)));
            }
        }
    }
}

impl fmt::Debug for ExhaustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExhaustedKeys").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
