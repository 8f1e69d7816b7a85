use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    event::{Event, EventKind},
    sink::{AuditSink, Place},
};
use crate::{
    Environment, Eventual, Unavailable, log,
    notice::{Notice, Observer},
    time::{Clock, SystemClock},
};

/// The log of events: one sink or several.
///
/// A clone is the same log. It is also the [`Observer`] that an [`Environment`] carries to keys, issuers and stores, so that
/// their events are in the same stream as those of requests.
///
/// # Examples
///
/// ```
/// use tower_warden::{Environment, audit::{AuditChannel, AuditLog}, layer::AuditLayer};
///
/// let (sink, mut events) = AuditChannel::new(10_000);
/// let log = AuditLog::new(sink);
/// let environment = Environment::default().with_observer(log.clone());
/// let layer = AuditLayer::new(log);
/// ```
#[derive(Clone)]
pub struct AuditLog {
    clock: Arc<dyn Clock>,
    sinks: Arc<[Arc<dyn AuditSink>]>,
}

impl AuditLog {
    /// Writes events to a sink.
    #[must_use]
    pub fn new(sink: impl AuditSink) -> Self {
        Self { clock: Arc::new(SystemClock), sinks: [Arc::new(sink) as Arc<dyn AuditSink>].into() }
    }

    /// Writes events to another sink as well. A sink that is full does not affect the others.
    #[must_use]
    pub fn and(mut self, sink: impl AuditSink) -> Self {
        self.sinks = self.sinks.iter().cloned().chain([Arc::new(sink) as Arc<dyn AuditSink>]).collect();
        self
    }

    /// Sets the clock: that of the system by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Records an event, which is large: it is made where the sink takes it.
    pub(super) fn deliver(&self, event: impl FnOnce() -> Event, place: Place) {
        let Some((last, others)) = self.sinks.split_last() else { return };
        if others.is_empty() {
            return record(&**last, event, place);
        }
        let (event, mut places) = (event(), place.into_each());
        for sink in others {
            record(&**sink, || event.clone(), places.next().unwrap_or_default());
        }
        record(&**last, || event, places.next().unwrap_or_default());
    }
}

impl AuditSink for AuditLog {
    fn record(&self, event: Event, place: Place) {
        self.deliver(|| event, place);
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        if let [only] = &*self.sinks {
            return only.reserve();
        }
        let mut places = Vec::with_capacity(self.sinks.len());
        for (index, sink) in self.sinks.iter().enumerate() {
            match sink.reserve() {
                Eventual::Now(Ok(place)) => places.push(place),
                Eventual::Now(Err(error)) => return Eventual::Now(Err(error)),
                Eventual::Later(place) => {
                    let sinks = Arc::clone(&self.sinks);
                    // The queues of the sinks.
                    return Eventual::later(async move {
                        places.push(place.await?);
                        for sink in &sinks[index + 1..] {
                            places.push(sink.reserve().wait().await?);
                        }
                        Ok(Place::of_each(places))
                    });
                }
            }
        }
        Eventual::Now(Ok(Place::of_each(places)))
    }
}

/// Records an event in one sink. A panic would affect the other sinks, the request or the change that the event is about, and
/// end the process if a handler is unwinding.
fn record(sink: &dyn AuditSink, event: impl FnOnce() -> Event, place: Place) {
    if catch_unwind(AssertUnwindSafe(|| sink.record(event(), place))).is_err() {
        log::error!("an audit sink panicked; an event is lost");
    }
}

impl Observer for AuditLog {
    fn observe(&self, notice: Notice) {
        self.record(Event::new(self.clock.timestamp(), EventKind::Notice(notice)), Place::default());
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("sinks", &self.sinks.len()).finish_non_exhaustive()
    }
}
