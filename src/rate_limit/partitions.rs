//! A table for each named limit.

use std::sync::OnceLock;

use super::{
    limit_key::LimitKey,
    table::{KeyEntries, Table},
};

/// The maximum number of tables. Limits beyond it share tables, but no counts.
const MOST: usize = 64;

/// A table for each limit, created by its first request: a flood of keys in one limit takes no space from another.
///
/// Invariant: a slot is filled once, in order, and never changes. So a limit finds the slot that it has filled before it
/// finds an empty one.
pub(super) struct Partitions {
    capacity: usize,
    slots: Box<[OnceLock<(u64, Table)>]>,
}

impl Partitions {
    /// Creates no table yet; each one has this capacity.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: Table::capacity_of(capacity), slots: (0..MOST).map(|_| OnceLock::new()).collect() }
    }

    /// The capacity of each table.
    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Locks the entries of a key in the table of its limit.
    pub(super) fn lock(&self, key: &LimitKey) -> KeyEntries<'_> {
        let limit = key.limit();
        let filled = self.slots.iter().map(|slot| slot.get_or_init(|| (limit, Table::new(self.capacity))));
        let own = filled.into_iter().find(|(owner, _)| *owner == limit);
        let (_, table) = own.unwrap_or_else(|| self.shared(limit));
        table.lock(key)
    }

    /// The table of another limit: all slots are filled.
    fn shared(&self, limit: u64) -> &(u64, Table) {
        let slot = usize::try_from(limit % MOST as u64).unwrap_or_default();
        self.slots[slot].get_or_init(|| (limit, Table::new(self.capacity)))
    }
}
