use std::num::NonZeroUsize;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{
    event::{Event, EventKind},
    queue::Room,
    sink::{AuditSink, Place},
};
use crate::{Eventual, Unavailable};

/// A sink that sends events to an [`EventReceiver`].
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     audit::{AuditChannel, AuditLog, EventKind},
///     layer::{AuditLayer, AuthLayer},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, key) = keys.mint(NewKey::new("alice")).await?;
/// let (sink, mut events) = AuditChannel::new(10_000);
/// let service = ServiceBuilder::new()
///     .layer(AuditLayer::new(AuditLog::new(sink)))
///     .layer(AuthLayer::new(keys))
///     .service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())));
///
/// let mut call = async |key: &str| {
///     let request = Request::get("/invoices").header("x-api-key", key).body(()).expect("a request");
///     drop(service.clone().oneshot(request).await);
///     match events.recv().await.expect("the sink is alive").kind {
///         EventKind::Request(request) => request,
///         other => panic!("unexpected: {other:?}"),
///     }
/// };
/// let admitted = call(key.expose()).await;
/// assert_eq!(admitted.principal.as_ref().map(|caller| caller.subject()), Some("alice"));
/// let refused = call("sk_agent_unknown").await;
/// assert_eq!(refused.decision.reason().map(|reason| reason.as_str()), Some("key_length"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuditChannel {
    room: Room,
    sender: mpsc::UnboundedSender<Queued>,
}

#[derive(Debug)]
struct Queued {
    event: Event,
    _room: OwnedSemaphorePermit,
}

/// The receiver of the events of an [`AuditChannel`].
#[derive(Debug)]
pub struct EventReceiver {
    /// The event before which others were lost.
    next: Option<Event>,
    receiver: mpsc::UnboundedReceiver<Queued>,
    room: Room,
}

impl AuditChannel {
    /// Creates a channel that holds up to `capacity` events, at least one. Further ones are lost, and counted.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, EventReceiver) {
        let room = Room::new("channel", NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { room: room.clone(), sender }, EventReceiver { next: None, receiver, room })
    }

    /// The number of events that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.room.lost()
    }
}

impl AuditSink for AuditChannel {
    fn record(&self, event: Event, place: Place) {
        let Some(room) = self.room.enter(place) else { return };
        if self.sender.send(Queued { event, _room: room }).is_err() {
            self.room.lose(1);
        }
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        self.room.reserve("the audit channel")
    }
}

impl EventReceiver {
    /// The next event; `None` when all sinks of the channel are dropped. If events were lost, an [`EventKind::Lost`] comes
    /// first.
    ///
    /// It loses nothing if its future is dropped.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Some(event) = self.next.take() {
            return Some(event);
        }
        let event = self.receiver.recv().await?.event;
        Some(self.after_lost(event))
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        if let Some(event) = self.next.take() {
            return Some(event);
        }
        let event = self.receiver.try_recv().ok()?.event;
        Some(self.after_lost(event))
    }

    fn after_lost(&mut self, event: Event) -> Event {
        self.room.measure();
        match self.room.take_lost() {
            0 => event,
            count => {
                let lost = Event::new(event.time, EventKind::Lost(count));
                self.next = Some(event);
                lost
            }
        }
    }
}

impl Drop for EventReceiver {
    /// There is no room any more, and the events that wait are lost.
    fn drop(&mut self) {
        self.room.close();
        self.room.lose(u64::from(self.next.take().is_some()));
        self.receiver.close();
        while self.receiver.try_recv().is_ok() {
            self.room.lose(1);
        }
    }
}
