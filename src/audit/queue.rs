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
/// The queue itself is not bounded: what is in it holds a permit, which is released when it is taken out.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    /// Lost events that were not reported yet.
    lost: AtomicU64,
    lost_in_all: AtomicU64,
    /// The name of the sink, in metrics.
    name: &'static str,
    permits: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(name: &'static str, capacity: NonZeroUsize) -> Self {
        let capacity = capacity.get().min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(capacity));
        // A counter that begins with its first event has not increased.
        metrics::audit_lost(name, 0);
        Self(Arc::new(Inner { capacity, lost: AtomicU64::new(0), lost_in_all: AtomicU64::new(0), name, permits }))
    }

    /// The room for an event; `None`, and the event is lost, if there is none.
    pub(super) fn enter(&self, place: Place) -> Option<OwnedSemaphorePermit> {
        let permit = place.into_permit().or_else(|| Arc::clone(&self.0.permits).try_acquire_owned().ok());
        match permit {
            None => self.lose(1),
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
        metrics::audit_queued(self.0.name, || self.0.capacity - self.0.permits.available_permits());
    }

    pub(super) fn lose(&self, count: u64) {
        metrics::audit_lost(self.0.name, count);
        self.0.lost.fetch_add(count, Relaxed);
        self.0.lost_in_all.fetch_add(count, Relaxed);
    }

    /// Reports lost events again, which were counted before.
    pub(super) fn lose_again(&self, count: u64) {
        self.0.lost.fetch_add(count, Relaxed);
    }

    /// The number of events that were lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        // The load keeps the line of the processor's cache shared while nothing is lost.
        if self.0.lost.load(Relaxed) == 0 { 0 } else { self.0.lost.swap(0, Relaxed) }
    }

    pub(super) fn lost(&self) -> u64 {
        self.0.lost_in_all.load(Relaxed)
    }
}
