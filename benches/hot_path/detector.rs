//! What the detection of abuse adds to an audit event.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_warden::{
    Timestamp,
    audit::{AuditChannel, AuditLog, AuditSink, Detector, Event, EventKind, MetricsSink, Place},
    layer::{AuditLayer, AuthLayer},
    request::Peer,
};

use crate::{
    counting::at_once,
    fixture::{keys, runtime, secrets, store, warm},
    measure::{Budget, Effort, medians, prepared, row, table},
};

/// Takes events, and drops them.
struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, event: Event, _: Place) {
        drop(event);
    }
}

/// An event of an admitted request, and one of a refused key.
pub(crate) fn record(effort: Effort) {
    let (runtime, secrets) = (runtime(), secrets(1));
    let keys = keys(store(&secrets, 1)).build();
    warm(&keys, &secrets, &runtime);
    let event = |key: &str| {
        let (sink, mut events) = AuditChannel::new(1);
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(AuditLog::new(sink)))
            .layer(AuthLayer::new(keys.clone()))
            .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
        let peer = Peer::new(([192, 0, 2, 1], 4711).into());
        let request = Request::builder().header("x-api-key", key).extension(peer).body(()).unwrap();
        drop(at_once(tower::ServiceExt::oneshot(service, request)));
        events.try_recv().unwrap()
    };
    let (admitted, refused) = (event(&secrets[0]), event("sk_agent_guess"));
    let detector = Detector::new(Nowhere);
    // One every four seconds and from another address: no alert, and no time that stands still.
    let mut number = 0_u32;
    let mut next = |event: &Event| {
        number += 1;
        let mut event = event.clone();
        event.time = Timestamp::from_millis(1_800_000_000_000 + u64::from(number) * 4_000);
        if let EventKind::Request(request) = &mut event.kind
            && request.principal.is_none()
        {
            request.client_address = Some((0x0a00_0000 + number % 50_000).to_be_bytes().into());
        }
        event
    };
    let next = std::cell::RefCell::new(&mut next);
    let [bare, of_admitted, of_refused, metrics] = medians(
        effort.rounds,
        [
            prepared(|| next.borrow_mut()(&admitted), |event| Nowhere.record(event, Place::default())),
            prepared(|| next.borrow_mut()(&admitted), |event| detector.record(event, Place::default())),
            prepared(|| next.borrow_mut()(&refused), |event| detector.record(event, Place::default())),
            prepared(|| next.borrow_mut()(&admitted), |event| MetricsSink::new().record(event, Place::default())),
        ],
    );

    table("The detection of abuse, for each event");
    let floor = "a sink that drops the event";
    row("Detector, an admitted request", of_admitted - bare, floor, bare, Budget::Nanoseconds(300.0));
    row("Detector, a refused key", of_refused - bare, floor, bare, Budget::Nanoseconds(300.0));
    row("MetricsSink without a recorder", metrics - bare, floor, bare, Budget::Open);
}
