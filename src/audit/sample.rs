use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{
    event::{Event, EventKind},
    sink::{AuditSink, Place},
};
use crate::{Eventual, Unavailable};

/// A sink that passes on one of `one_in` events of [ordinary](super::RequestEvent::is_ordinary) requests, and all other
/// events: refusals, failures, requests about which no layer has decided, notices and alerts.
#[derive(Debug)]
pub struct Sampled<S> {
    count: AtomicU32,
    one_in: NonZeroU32,
    sink: S,
}

impl<S: AuditSink> Sampled<S> {
    /// Passes on the first of each `one_in` ordinary events.
    #[must_use]
    pub const fn new(sink: S, one_in: NonZeroU32) -> Self {
        Self { count: AtomicU32::new(0), one_in, sink }
    }
}

impl<S: AuditSink> AuditSink for Sampled<S> {
    fn record(&self, event: Event, place: Place) {
        let is_ordinary = matches!(&event.kind, EventKind::Request(request) if request.is_ordinary());
        if !is_ordinary || self.count.fetch_add(1, Relaxed).is_multiple_of(self.one_in.get()) {
            self.sink.record(event, place);
        }
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        self.sink.reserve()
    }
}
