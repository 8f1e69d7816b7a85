//! One look-up under way for each key.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};

use super::Outcome;
use crate::digest::Digest;

/// The look-ups that are under way.
pub(super) struct Flights<V>(Mutex<Schedule<V>>);

struct Schedule<V> {
    open: HashMap<Digest, (u64, WeakShared<Journey<V>>)>,
    next: u64,
}

pub(super) type Journey<V> = Pin<Box<dyn Future<Output = Landing<V>> + Send>>;
pub(super) type Flight<V> = Shared<Journey<V>>;

/// What a request gets that comes to the schedule.
pub(super) enum Boarding<V> {
    Flight(Flight<V>),
    Known(Outcome<V>),
}

/// What a flight brings.
#[derive(Clone, Debug)]
pub(super) struct Landing<V> {
    pub(super) outcome: Outcome<V>,
    /// That of its beginning.
    pub(super) generation: u64,
}

impl<V: Clone> Flights<V> {
    /// The flight for the key, or what became known meanwhile, or a new flight.
    ///
    /// The schedule holds flights weakly: one that nobody waits for any more is dropped, and leaves no trace.
    pub(super) fn join<F>(
        self: &Arc<Self>,
        key: Digest,
        known: impl FnOnce() -> Option<Outcome<V>>,
        depart: impl FnOnce(Departure<V>) -> F,
    ) -> Boarding<V>
    where
        F: Future<Output = Landing<V>> + Send + 'static,
    {
        let mut schedule = self.lock();
        if let Some(flight) = schedule.open.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return Boarding::Flight(flight);
        }
        if let Some(outcome) = known() {
            return Boarding::Known(outcome);
        }
        let number = schedule.next;
        schedule.next += 1;
        let departure = Departure { flights: Arc::clone(self), key, number };
        let journey: Journey<V> = Box::pin(depart(departure));
        let flight = journey.shared();
        if let Some(weak) = flight.downgrade() {
            schedule.open.insert(key, (number, weak));
        }
        Boarding::Flight(flight)
    }
}

impl<V> Flights<V> {
    fn lock(&self) -> MutexGuard<'_, Schedule<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self(Mutex::new(Schedule { open: HashMap::new(), next: 0 }))
    }
}

/// Takes a flight off the schedule when it lands, or when the last who waited for it has left.
pub(super) struct Departure<V> {
    flights: Arc<Flights<V>>,
    key: Digest,
    number: u64,
}

impl<V> Drop for Departure<V> {
    fn drop(&mut self) {
        let mut schedule = self.flights.lock();
        if schedule.open.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            schedule.open.remove(&self.key);
        }
    }
}
