use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::{
    event::{Event, EventKind},
    queue::Lost,
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
    lost: Arc<Lost>,
    sender: mpsc::Sender<Event>,
}

/// The receiver of the events of an [`AuditChannel`].
#[derive(Debug)]
pub struct EventReceiver {
    lost: Arc<Lost>,
    /// The event before which others were lost.
    next: Option<Event>,
    receiver: mpsc::Receiver<Event>,
}

impl AuditChannel {
    /// Creates a channel that holds up to `capacity` events, at least one. Further ones are lost, and counted.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, EventReceiver) {
        let (sender, receiver) = mpsc::channel(capacity.clamp(1, Semaphore::MAX_PERMITS));
        let lost = Arc::new(Lost::new("channel"));
        (Self { lost: Arc::clone(&lost), sender }, EventReceiver { lost, next: None, receiver })
    }

    /// The number of events that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.in_all()
    }
}

impl AuditSink for AuditChannel {
    fn record(&self, event: Event, place: Place) {
        if let Some(slot) = place.into_slot() {
            // A reserved place would still take the event, and nobody would receive it.
            if self.sender.is_closed() {
                return self.lost.add(1);
            }
            slot.send(event);
        } else if let Ok(slot) = self.sender.try_reserve() {
            slot.send(event);
        } else {
            return self.lost.add(1);
        }
        self.lost.measure_queue(|| self.sender.max_capacity() - self.sender.capacity());
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        match self.sender.clone().try_reserve_owned() {
            Ok(slot) => Eventual::Now(Ok(Place::in_channel(slot))),
            // The reader of the channel.
            Err(full) => Eventual::later(async {
                let slot = full.into_inner().reserve_owned().await;
                slot.map(Place::in_channel).map_err(|_| Unavailable::new("the audit channel"))
            }),
        }
    }
}

impl EventReceiver {
    /// The next event; `None` when all sinks of the channel and their places are dropped. If events were lost, an
    /// [`EventKind::Lost`] comes first.
    ///
    /// It loses nothing if its future is dropped.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Some(event) = self.next.take() {
            return Some(event);
        }
        let event = self.receiver.recv().await?;
        Some(self.after_lost(event))
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        if let Some(event) = self.next.take() {
            return Some(event);
        }
        let event = self.receiver.try_recv().ok()?;
        Some(self.after_lost(event))
    }

    fn after_lost(&mut self, event: Event) -> Event {
        self.lost.measure_queue(|| self.receiver.max_capacity() - self.receiver.capacity());
        match self.lost.take() {
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
        self.lost.add(u64::from(self.next.take().is_some()));
        self.receiver.close();
        while self.receiver.try_recv().is_ok() {
            self.lost.add(1);
        }
    }
}
