use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::sink::Place;
use crate::{Eventual, Unavailable};

/// The room of a bounded queue, and the number of events for which there was none.
///
/// The queue itself is not bounded: what is in it holds a permit, which is released when it is taken out.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Lost events that were not reported yet.
    lost: AtomicU64,
    lost_in_all: AtomicU64,
    permits: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        let permits = Arc::new(Semaphore::new(capacity.get().min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { lost: AtomicU64::new(0), lost_in_all: AtomicU64::new(0), permits }))
    }

    /// The room for an event; `None`, and the event is lost, if there is none.
    pub(super) fn enter(&self, place: Place) -> Option<OwnedSemaphorePermit> {
        let permit = place.into_permit().or_else(|| Arc::clone(&self.0.permits).try_acquire_owned().ok());
        if permit.is_none() {
            self.lose(1);
        }
        permit
    }

    /// Waits for room.
    pub(super) fn reserve(&self, name: &'static str) -> Eventual<Result<Place, Unavailable>> {
        if let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() {
            return Eventual::Now(Ok(Place::of(permit)));
        }
        let permits = Arc::clone(&self.0.permits);
        // Whoever reads the queue.
        Eventual::later(async move { permits.acquire_owned().await.map(Place::of).map_err(|_| Unavailable::new(name)) })
    }

    /// Ends the queue: there is no room any more.
    pub(super) fn close(&self) {
        self.0.permits.close();
    }

    pub(super) fn lose(&self, count: u64) {
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
