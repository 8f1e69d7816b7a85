//! Look-ups in flight, at most one for each key.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};

use super::outcome::Outcome;
use crate::digest::Digest;

/// The look-ups in flight, shared by the requests that wait for them.
///
/// A look-up is held weakly, so it is dropped as soon as no request waits for it. It has to be: only its waiters poll it,
/// so without one it would make no progress, keep its permit, and be joined by the next request with a result that may be
/// from long ago. As long as one waiter is left, the look-up continues, whichever request started it.
pub(super) struct InFlight<V>(Mutex<Table<V>>);

struct Table<V> {
    lookups: HashMap<Digest, (u64, WeakShared<LookupFuture<V>>)>,
    /// The number of the next look-up, by which a registration recognises its own entry.
    next: u64,
}

pub(super) type LookupFuture<V> = Pin<Box<dyn Future<Output = Completed<V>> + Send>>;
pub(super) type SharedLookup<V> = Shared<LookupFuture<V>>;

/// The result of [`InFlight::join`].
pub(super) enum Joined<V> {
    /// The outcome was cached in the meantime.
    Cached(Outcome<V>),
    /// A look-up to wait for: that of another request, or a new one.
    Lookup(SharedLookup<V>),
}

/// A completed look-up.
#[derive(Clone, Debug)]
pub(super) struct Completed<V> {
    pub(super) outcome: Outcome<V>,
    /// The generation at which it began.
    pub(super) generation: u64,
}

impl<V: Clone> InFlight<V> {
    /// Joins the look-up of this key, or starts one if the outcome is not cached.
    ///
    /// `cached` is evaluated under the lock. A look-up stores its outcome before its registration is dropped, so a request
    /// that no longer finds the look-up finds the outcome: a key is not looked up twice in a row.
    pub(super) fn join<F>(
        self: &Arc<Self>,
        key: Digest,
        cached: impl FnOnce() -> Option<Outcome<V>>,
        start: impl FnOnce(Registration<V>) -> F,
    ) -> Joined<V>
    where
        F: Future<Output = Completed<V>> + Send + 'static,
    {
        let mut table = self.lock();
        if let Some(lookup) = table.lookups.get(&key).and_then(|(_, lookup)| lookup.upgrade()) {
            return Joined::Lookup(lookup);
        }
        if let Some(outcome) = cached() {
            return Joined::Cached(outcome);
        }
        let number = table.next;
        table.next += 1;
        let registration = Registration { in_flight: Arc::clone(self), key, number };
        let future: LookupFuture<V> = Box::pin(start(registration));
        let lookup = future.shared();
        if let Some(weak) = lookup.downgrade() {
            table.lookups.insert(key, (number, weak));
        }
        Joined::Lookup(lookup)
    }
}

impl<V> InFlight<V> {
    fn lock(&self) -> MutexGuard<'_, Table<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for InFlight<V> {
    fn default() -> Self {
        Self(Mutex::new(Table { lookups: HashMap::new(), next: 0 }))
    }
}

/// The entry of a look-up in the table, removed when the look-up completes or its last waiter leaves.
///
/// Between the last waiter's leaving and this drop, another request may have started a look-up of the same key: the number
/// prevents that its entry is removed.
pub(super) struct Registration<V> {
    in_flight: Arc<InFlight<V>>,
    key: Digest,
    number: u64,
}

impl<V> Drop for Registration<V> {
    fn drop(&mut self) {
        let mut table = self.in_flight.lock();
        if table.lookups.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            table.lookups.remove(&self.key);
        }
    }
}
