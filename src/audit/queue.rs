use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::sink::Place;
use crate::{Eventual, Unavailable, metrics};

/// The room of a bounded queue, and the number of events for which there was none.
///
/// The queue itself is not bounded: what is in it holds a permit, which is released when it is written.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    lost: Lost,
    permits: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(name: &'static str, capacity: NonZeroUsize) -> Self {
        let capacity = capacity.get().min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(capacity));
        Self(Arc::new(Inner { capacity, lost: Lost::new(name), permits }))
    }

    /// The room for an event; `None`, and the event is lost, if there is none.
    pub(super) fn enter(&self, place: Place) -> Option<OwnedSemaphorePermit> {
        let permit = place.into_permit().or_else(|| Arc::clone(&self.0.permits).try_acquire_owned().ok());
        match permit {
            None => self.0.lost.add(1),
            Some(_) => self.measure(),
        }
        permit
    }

    /// Waits for room.
    pub(super) fn reserve(&self, name: &'static str) -> Eventual<Result<Place, Unavailable>> {
        if let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() {
            return Eventual::Now(Ok(Place::of(permit)));
        }
        let permits = Arc::clone(&self.0.permits);
        // The reader of the queue.
        Eventual::later(async move { permits.acquire_owned().await.map(Place::of).map_err(|_| Unavailable::new(name)) })
    }

    /// Ends the queue: there is no room any more.
    pub(super) fn close(&self) {
        self.0.permits.close();
    }

    /// Reports the number of events that wait, as a metric.
    pub(super) fn measure(&self) {
        self.0.lost.measure_queue(|| self.0.capacity - self.0.permits.available_permits());
    }

    pub(super) fn lost(&self) -> &Lost {
        &self.0.lost
    }
}

/// The number of events that a sink has lost.
#[derive(Debug)]
pub(super) struct Lost {
    in_all: AtomicU64,
    /// The name of the sink, in metrics.
    name: &'static str,
    /// Those that were not reported yet.
    unreported: AtomicU64,
}

impl Lost {
    pub(super) fn new(name: &'static str) -> Self {
        // A counter that begins with its first event has not increased.
        metrics::audit_lost(name, 0);
        Self { in_all: AtomicU64::new(0), name, unreported: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, count: u64) {
        metrics::audit_lost(self.name, count);
        self.unreported.fetch_add(count, Relaxed);
        self.in_all.fetch_add(count, Relaxed);
    }

    /// Reports lost events again, which were counted before.
    pub(super) fn add_again(&self, count: u64) {
        self.unreported.fetch_add(count, Relaxed);
    }

    /// The number of events that were lost since the last call.
    pub(super) fn take(&self) -> u64 {
        // The load keeps the line of the processor's cache shared while nothing is lost.
        if self.unreported.load(Relaxed) == 0 { 0 } else { self.unreported.swap(0, Relaxed) }
    }

    pub(super) fn in_all(&self) -> u64 {
        self.in_all.load(Relaxed)
    }

    /// Reports the number of events that wait in the queue of the sink, as a metric.
    pub(super) fn measure_queue(&self, length: impl FnOnce() -> usize) {
        metrics::audit_queued(self.name, length);
    }
}
