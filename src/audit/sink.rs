use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::event::Event;
use crate::{Eventual, Unavailable};

/// Takes events, to write or to send them.
///
/// # Examples
///
/// A sink that counts refusals by their reason:
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tower_warden::{Reason, audit::{AuditSink, Event, EventKind, Place}};
///
/// #[derive(Default)]
/// struct Refusals(Mutex<HashMap<Reason, u64>>);
///
/// impl AuditSink for Refusals {
///     fn record(&self, event: Event, _: Place) {
///         let EventKind::Request(request) = event.kind else { return };
///         if let Some(reason) = request.decision.reason() {
///             *self.0.lock().expect("no thread panics").entry(reason).or_default() += 1;
///         }
///     }
/// }
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// Takes an event. It must not wait: an event for which there is no room is counted as lost.
    ///
    /// The place is that of [`reserve`](Self::reserve), or an empty one.
    fn record(&self, event: Event, place: Place);

    /// Reserves room for one event, for [`AuditLayer::blocking`](crate::layer::AuditLayer::blocking). By default, there is
    /// always room.
    ///
    /// # Errors
    ///
    /// If there will never be room again, such as after the receiver of a channel was dropped.
    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        Eventual::Now(Ok(Place::default()))
    }
}

impl<S: AuditSink + ?Sized> AuditSink for Arc<S> {
    fn record(&self, event: Event, place: Place) {
        (**self).record(event, place);
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        (**self).reserve()
    }
}

/// Room for one event in a sink. Dropping it gives the room back.
#[derive(Debug, Default)]
pub struct Place(Room);

#[derive(Debug, Default)]
enum Room {
    #[default]
    None,
    // In a queue that is not bounded itself.
    Permit(OwnedSemaphorePermit),
    Channel(mpsc::OwnedPermit<Event>),
    Each(Vec<Place>),
}

impl Place {
    pub(super) const fn of(permit: OwnedSemaphorePermit) -> Self {
        Self(Room::Permit(permit))
    }

    pub(super) const fn in_channel(slot: mpsc::OwnedPermit<Event>) -> Self {
        Self(Room::Channel(slot))
    }

    pub(super) fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        match self.0 {
            Room::Permit(permit) => Some(permit),
            Room::None | Room::Channel(_) | Room::Each(_) => None,
        }
    }

    pub(super) fn into_slot(self) -> Option<mpsc::OwnedPermit<Event>> {
        match self.0 {
            Room::Channel(slot) => Some(slot),
            Room::None | Room::Permit(_) | Room::Each(_) => None,
        }
    }

    /// The places in several sinks.
    pub(super) const fn of_each(places: Vec<Self>) -> Self {
        Self(Room::Each(places))
    }

    /// The places in several sinks, in their order.
    pub(super) fn into_each(self) -> impl Iterator<Item = Self> {
        let places = match self.0 {
            Room::Each(places) => places,
            Room::None | Room::Permit(_) | Room::Channel(_) => Vec::new(),
        };
        places.into_iter().chain(std::iter::repeat_with(Self::default))
    }
}
