//! Alerts of abuse, from events whose times and addresses the tests set.

use std::{
    convert::Infallible,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    ConfigErrorKind, Environment, Timestamp,
    api_key::NewKey,
    audit::{
        AgentJson, Alert, AlertState, AuditChannel, AuditLog, AuditNote, AuditSink, Detection, Detector,
        DetectorBuilder, Event, EventFormat, EventKind, EventReceiver, FlatJson, Ocsf, Place,
    },
    layer::{AuditLayer, AuthLayer, AuthorizeLayer},
    request::Peer,
    scope::Scopes,
};

use crate::support::{START, Stack};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const BEGIN: u64 = START.as_secs() * SECOND;

/// A detector, and what it passes on.
struct Watched {
    detector: Detector,
    events: EventReceiver,
}

impl Watched {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(set: impl FnOnce(DetectorBuilder) -> DetectorBuilder) -> Self {
        let (sink, events) = AuditChannel::new(1_000_000);
        Self { detector: set(Detector::builder(sink)).build(), events }
    }

    /// Records a copy of an event at this time, and returns the alerts that follow it.
    fn record(&mut self, event: &Event, at: u64) -> Vec<Alert> {
        let mut event = event.clone();
        event.time = Timestamp::from_millis(BEGIN + at);
        self.detector.record(event, Place::default());
        let mut passed = std::iter::from_fn(|| self.events.try_recv());
        let first = passed.next().expect("the event itself comes first");
        assert!(matches!(first.kind, EventKind::Request(_)), "{first:?}");
        passed
            .map(|event| match event.kind {
                EventKind::Alert(alert) => alert,
                other => panic!("unexpected: {other:?}"),
            })
            .collect()
    }

    /// Records a number of copies, and returns the only alert, with the number of the event that raised it.
    fn record_until(&mut self, event: &Event, at: u64, count: u32) -> (u32, Alert) {
        let mut raised = Vec::new();
        for number in 1..=count {
            raised.extend(self.record(event, at).into_iter().map(|alert| (number, alert)));
        }
        assert_eq!(raised.len(), 1, "{raised:?}");
        raised.remove(0)
    }
}

/// The event of a request, as a layer records it.
async fn recorded(stack: &Stack, key: &str, tool: Option<&'static str>, scopes: Option<&str>) -> Event {
    let (sink, mut events) = AuditChannel::new(10);
    let environment = Environment::default().with_clock(stack.clock.clone());
    let service = service_fn(move |request: Request<Full<Bytes>>| async move {
        if let Some(tool) = tool {
            AuditNote::of(request.extensions()).tool(tool);
        }
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let inner = match scopes {
        Some(scopes) => {
            let scopes = AuthorizeLayer::all_of(Scopes::parse(scopes).unwrap().iter().cloned());
            tower::util::BoxCloneService::new(scopes.layer(service))
        }
        None => tower::util::BoxCloneService::new(service),
    };
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(sink)))
        .layer(AuthLayer::new(stack.keys.clone()).environment(&environment))
        .service(inner);
    let request = Request::get("/accounts").header("x-api-key", key);
    let request = request.extension(Peer::new(([192, 0, 2, 7], 4711).into()));
    drop(service.oneshot(request.body(Full::default()).unwrap()).await);
    lasting(&events.try_recv().unwrap(), Duration::ZERO)
}

/// A copy of the event, of a request that took this time.
fn lasting(event: &Event, duration: Duration) -> Event {
    let mut event = event.clone();
    let EventKind::Request(request) = &mut event.kind else { panic!("a request") };
    request.duration = duration;
    event
}

fn names(alert: &Alert) -> Vec<&str> {
    alert.names.iter().map(|name| &**name).collect()
}

fn from(event: &Event, address: &str) -> Event {
    let mut event = event.clone();
    let EventKind::Request(request) = &mut event.kind else { panic!("a request") };
    let address: IpAddr = address.parse().unwrap();
    (request.peer, request.client_address) = (Some(address), Some(address));
    event
}

async fn guess(stack: &Stack) -> Event {
    recorded(stack, "sk_agent_guess", None, None).await
}

async fn admitted(stack: &Stack, key: NewKey) -> Event {
    let (_, key) = stack.mint(key).await;
    recorded(stack, key.expose(), None, None).await
}

#[tokio::test]
async fn failures_of_a_peer_raise_one_alert_which_is_cleared_after_calm() {
    let event = guess(&Stack::new()).await;
    let mut watched = Watched::new();
    let (number, raised) = watched.record_until(&event, 0, 200);
    assert_eq!(number, 30);
    assert_eq!((raised.detection, raised.state), (Detection::FailuresOfPeer, AlertState::Raised));
    assert_eq!((raised.count, raised.threshold, raised.window), (30, 30, Duration::from_secs(300)));
    assert_eq!(raised.peer, Some([192, 0, 2, 7].into()));
    assert_eq!((&raised.subject, &raised.key_id), (&None, &None));
    assert_eq!(names(&raised), ["key_length"]);
    assert_eq!(watched.detector.alerts().len(), 1);

    assert_eq!(watched.record(&from(&event, "198.51.100.1"), 14 * MINUTE), []);
    let cleared = watched.record(&from(&event, "198.51.100.1"), 15 * MINUTE);
    assert_eq!(cleared.len(), 1);
    assert_eq!((cleared[0].state, &cleared[0].id, cleared[0].count), (AlertState::Cleared, &raised.id, 200));
    assert_eq!(watched.detector.alerts(), []);
    // It is raised again by as many failures.
    assert_eq!(watched.record_until(&event, 16 * MINUTE, 30).0, 30);
}

#[tokio::test]
async fn an_alert_that_goes_on_is_not_cleared() {
    let event = guess(&Stack::new()).await;
    let mut watched = Watched::new();
    let mut alerts = Vec::new();
    for second in 0..7_200 {
        alerts.extend(watched.record(&event, second * SECOND));
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
}

#[tokio::test]
async fn requests_without_a_credential_are_not_failures() {
    let stack = Stack::new();
    let (sink, mut events) = AuditChannel::new(10);
    let service = AuditLayer::new(AuditLog::new(sink)).layer(stack.app.clone());
    drop(service.oneshot(Request::get("/").body(Full::default()).unwrap()).await);
    let event = from(&events.try_recv().unwrap(), "192.0.2.7");
    let mut watched = Watched::new();
    for _ in 0..100 {
        assert_eq!(watched.record(&event, 0), []);
    }
}

#[tokio::test]
async fn a_peer_is_an_ipv6_network() {
    let event = guess(&Stack::new()).await;
    let mut watched = Watched::new();
    let mut alerts = Vec::new();
    for host in 0..30 {
        alerts.extend(watched.record(&from(&event, &format!("2001:db8:0:1::{host:x}")), 0));
    }
    assert_eq!(alerts.len(), 1);
}

#[tokio::test]
async fn failures_with_an_authentic_key_name_its_owner() {
    let stack = Stack::new();
    let key = NewKey::new("alice").tenant("acme").networks(["10.0.0.0/8".parse().unwrap()]);
    let (record, key) = stack.mint(key).await;
    let event = recorded(&stack, key.expose(), None, None).await;
    let EventKind::Request(request) = &event.kind else { panic!("a request") };
    assert!(request.principal.is_none());
    assert_eq!(&*request.refused_identity().unwrap().subject, "alice");

    let mut watched = Watched::new();
    let mut alerts = Vec::new();
    for host in 1..=10 {
        alerts.extend(watched.record(&from(&event, &format!("192.0.2.{host}")), 0));
    }
    let detections: Vec<_> = alerts.iter().map(|alert| alert.detection).collect();
    assert_eq!(detections, [Detection::FailuresOfCaller, Detection::FailuresOfKey]);
    for alert in &alerts {
        assert_eq!(alert.key_id.as_deref(), Some(record.id.to_string().as_str()));
        assert_eq!((alert.subject.as_deref(), alert.tenant.as_deref()), (Some("alice"), Some("acme")));
        assert_eq!(names(alert), ["network_forbidden"]);
    }
}

#[tokio::test]
async fn what_others_send_in_the_name_of_a_caller_is_not_its_usage() {
    let stack = Stack::new();
    let key = NewKey::new("alice").networks(["10.0.0.0/8".parse().unwrap(), "192.0.2.0/24".parse().unwrap()]);
    let (_, key) = stack.mint(key).await;
    let admitted = recorded(&stack, key.expose(), None, None).await;
    let mut watched = Watched::new();
    for call in 0..10 {
        assert_eq!(watched.record(&admitted, call * DAY / 5), []);
    }
    let stolen = NewKey::new("alice").networks(["10.0.0.0/8".parse().unwrap()]);
    let (_, stolen) = stack.mint(stolen).await;
    let refused = recorded(&stack, stolen.expose(), None, None).await;
    let mut found = Vec::new();
    for call in 0..2_000 {
        let event = from(&refused, &format!("198.51.{}.9", call % 100));
        found.extend(watched.record(&event, 2 * DAY + call).into_iter().map(|alert| alert.detection));
    }
    assert_eq!(found, [Detection::FailuresOfCaller, Detection::FailuresOfKey]);
}

#[tokio::test]
async fn failures_of_one_subject_in_two_tenants_are_not_added() {
    let stack = Stack::new();
    let network = || ["10.0.0.0/8".parse().unwrap()];
    let mut events = Vec::new();
    for tenant in ["acme", "umbrella"] {
        let (_, key) = stack.mint(NewKey::new("alice").tenant(tenant).networks(network())).await;
        events.push(recorded(&stack, key.expose(), None, None).await);
    }
    let mut watched = Watched::new();
    for _ in 0..9 {
        for event in &events {
            assert_eq!(watched.record(event, 0), []);
        }
    }
}

#[tokio::test]
async fn one_key_in_many_networks() {
    let event = admitted(&Stack::new(), NewKey::new("alice")).await;
    let mut watched = Watched::new();
    for host in 1..100 {
        assert_eq!(watched.record(&from(&event, &format!("192.0.2.{host}")), 0), [], "one network");
    }
    let mut alerts = Vec::new();
    for network in 1..=8 {
        alerts.extend(watched.record(&from(&event, &format!("198.51.{network}.9")), network * MINUTE));
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((alerts[0].detection, alerts[0].count), (Detection::KeyInManyNetworks, 5));
    assert_eq!(alerts[0].names.len(), 5);
    assert!(names(&alerts[0]).contains(&"192.0.2.0/24"), "{:?}", alerts[0].names);
}

#[tokio::test]
async fn networks_of_one_key_after_each_other_are_not_many() {
    let event = admitted(&Stack::new(), NewKey::new("alice")).await;
    let mut watched = Watched::new();
    for network in 0..100 {
        assert_eq!(watched.record(&from(&event, &format!("198.51.{network}.9")), network * 20 * MINUTE), []);
    }
}

#[tokio::test]
async fn many_keys_from_one_peer() {
    let stack = Stack::new();
    let mut watched = Watched::new();
    let mut alerts = Vec::new();
    for number in 0..25 {
        let event = admitted(&stack, NewKey::new(format!("agent-{number}"))).await;
        for _ in 0..3 {
            alerts.extend(watched.record(&event, number * MINUTE));
        }
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((alerts[0].detection, alerts[0].count), (Detection::ManyKeysFromPeer, 20));
    assert_eq!((&alerts[0].subject, alerts[0].peer), (&None, Some([192, 0, 2, 7].into())));
}

#[tokio::test]
async fn refused_scopes_of_one_caller() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let event = recorded(&stack, key.expose(), None, Some("billing:write")).await;
    let mut watched = Watched::new();
    let (number, alert) = watched.record_until(&event, 0, 50);
    assert_eq!((number, alert.detection), (10, Detection::RefusedScopes));
    assert_eq!(alert.subject.as_deref(), Some("alice"));
    assert_eq!(names(&alert), ["billing:write"]);
}

#[tokio::test]
async fn the_first_use_of_a_scope_or_tool_is_unusual_after_the_learning_period() {
    let stack = Stack::new();
    let scopes = Scopes::parse("billing:read billing:write").unwrap();
    let (_, key) = stack.mint(NewKey::new("alice").scopes(scopes)).await;
    let reads = recorded(&stack, key.expose(), Some("list-invoices"), Some("billing:read")).await;
    let writes = recorded(&stack, key.expose(), Some("delete-user"), Some("billing:write")).await;
    let mut watched = Watched::new();
    for hour in 0..48 {
        assert_eq!(watched.record(&reads, hour * HOUR), []);
    }
    let alerts = watched.record(&writes, 2 * DAY);
    let found: Vec<_> = alerts.iter().map(|alert| (alert.detection, &*alert.names[0])).collect();
    assert_eq!(found, [(Detection::FirstUseOfScope, "billing:write"), (Detection::FirstUseOfTool, "delete-user")]);
    assert_eq!(watched.record(&writes, 2 * DAY + 1), [], "once");

    // Another caller is new.
    let (_, key) = stack.mint(NewKey::new("bob").scopes(Scopes::parse("billing:write").unwrap())).await;
    let bob = recorded(&stack, key.expose(), Some("delete-user"), Some("billing:write")).await;
    assert_eq!(watched.record(&bob, 2 * DAY + 2), []);
}

#[tokio::test]
async fn five_calls_a_day_and_then_a_hundred_a_second_is_unusual() {
    let event = admitted(&Stack::new(), NewKey::new("alice").tenant("acme")).await;
    let mut watched = Watched::new();
    for call in 0..50 {
        assert_eq!(watched.record(&event, call * DAY / 5), []);
    }
    let mut alerts = Vec::new();
    for call in 0..6_000 {
        let now = 10 * DAY + call * 10;
        alerts.extend(watched.record(&event, now).into_iter().map(|alert| (now, alert)));
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let (now, alert) = &alerts[0];
    assert_eq!((alert.detection, alert.subject.as_deref()), (Detection::UnusualRate, Some("alice")));
    assert!(now - 10 * DAY <= SECOND, "within a second");
    let normal = alert.baseline.unwrap();
    assert!((2.0..150.0).contains(&normal), "{normal}");

    let cleared = watched.record(&event, 10 * DAY + 2 * HOUR);
    assert_eq!(cleared.iter().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Cleared]);
    assert!((990..=1_010).contains(&cleared[0].count), "within ten seconds: {}", cleared[0].count);
}

#[tokio::test]
async fn a_busy_caller_that_is_ten_times_as_busy_is_not_unusual() {
    let event = admitted(&Stack::new(), NewKey::new("alice")).await;
    let mut watched = Watched::with(|builder| builder.learning(Duration::from_secs(600)));
    for call in 0..3_600 {
        assert_eq!(watched.record(&event, call * SECOND / 2), []);
    }
    for call in 0..200 {
        assert_eq!(watched.record(&event, HOUR / 2 + call * SECOND / 20), []);
    }
    let mut alerts = Vec::new();
    for call in 0..2_000 {
        alerts.extend(watched.record(&event, HOUR / 2 + 10 * SECOND + call * SECOND / 200));
    }
    assert_eq!(alerts.len(), 1, "a hundred times as busy is: {alerts:?}");
}

#[tokio::test]
async fn a_new_caller_is_not_unusual() {
    let event = admitted(&Stack::new(), NewKey::new("alice")).await;
    let mut watched = Watched::new();
    for call in 0..5_000 {
        assert_eq!(watched.record(&event, call), []);
    }
}

#[tokio::test]
async fn what_is_switched_off_is_not_detected() {
    let event = guess(&Stack::new()).await;
    let mut watched = Watched::with(|builder| builder.without(Detection::FailuresOfPeer));
    for _ in 0..100 {
        assert_eq!(watched.record(&event, 0), []);
    }
    let two = NonZeroU32::new(2).unwrap();
    let set =
        |builder: DetectorBuilder| builder.threshold(Detection::FailuresOfPeer, two, Duration::from_secs(1)).unwrap();
    let mut watched = Watched::with(set);
    assert_eq!(watched.record_until(&event, 0, 5).0, 2);
}

#[tokio::test]
async fn what_is_refused_does_not_become_normal() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let admitted = recorded(&stack, key.expose(), None, None).await;
    let refused = recorded(&stack, key.expose(), None, Some("billing:write")).await;
    let ten_minutes = Duration::from_secs(600);
    let mut watched = Watched::with(|builder| builder.learning(ten_minutes).without(Detection::RefusedScopes));
    for call in 0..120 {
        assert_eq!(watched.record(&admitted, call * 10 * SECOND), []);
    }
    let mut alerts = Vec::new();
    for call in 0..72_000 {
        alerts.extend(watched.record(&refused, 20 * MINUTE + call * SECOND / 20));
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((alerts[0].detection, alerts[0].state), (Detection::UnusualRate, AlertState::Raised));
    assert_eq!(watched.detector.alerts().len(), 1, "an hour of it is not normal");
}

#[tokio::test]
async fn failures_that_are_over_take_no_room_from_new_ones() {
    let event = guess(&Stack::new()).await;
    // Eight addresses at most.
    let mut watched = Watched::with(|builder| builder.capacity(8.try_into().unwrap()));
    for host in 1..=8 {
        for _ in 0..29 {
            assert_eq!(watched.record(&from(&event, &format!("192.0.2.{host}")), 0), []);
        }
    }
    let mut alerts = Vec::new();
    for _ in 0..30 {
        for address in ["198.51.100.1", "198.51.100.2"] {
            alerts.extend(watched.record(&from(&event, address), HOUR));
        }
    }
    assert_eq!(alerts.len(), 2, "{alerts:?}");
}

#[tokio::test]
async fn long_responses_that_end_together_are_not_a_burst() {
    let event = admitted(&Stack::new(), NewKey::new("alice")).await;
    let mut watched = Watched::new();
    for call in 0..10 {
        assert_eq!(watched.record(&event, call * DAY / 5), []);
    }
    // One began in each minute, and that which began last ends first.
    for minutes in 0..300 {
        let event = lasting(&event, Duration::from_secs(60 * minutes));
        assert_eq!(watched.record(&event, 3 * DAY - minutes * MINUTE), []);
    }
}

#[tokio::test]
async fn a_response_that_ends_after_the_time_of_calm_raises_no_alert() {
    let event = lasting(&guess(&Stack::new()).await, Duration::from_secs(15 * 60));
    let mut watched = Watched::new();
    for _ in 0..100 {
        assert_eq!(watched.record(&event, 0), []);
    }
}

#[tokio::test]
async fn alerts_of_the_future_are_cleared_and_counts_begin_again_when_the_clock_is_set_back() {
    let event = guess(&Stack::new()).await;
    let mut watched = Watched::new();
    watched.record_until(&event, 365 * DAY, 40);
    let cleared = watched.record(&from(&event, "198.51.100.1"), 0);
    assert_eq!(cleared.iter().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Cleared]);
    assert_eq!(watched.record_until(&event, SECOND, 40).0, 30);
    // A correction by a few seconds changes nothing.
    assert_eq!(watched.record(&event, 0), []);
    assert_eq!(watched.detector.alerts().len(), 1);
}

#[tokio::test]
async fn what_was_learned_is_forgotten_when_the_clock_is_set_back() {
    let event = admitted(&Stack::new(), NewKey::new("alice")).await;
    let mut watched = Watched::new();
    for call in 0..10 {
        assert_eq!(watched.record(&event, 365 * DAY + call * DAY / 5), []);
    }
    for call in 0..500 {
        assert_eq!(watched.record(&event, call), []);
    }
}

#[tokio::test]
async fn alerts_of_one_detection_are_bounded_and_take_no_room_from_others() {
    let stack = Stack::new();
    let event = guess(&stack).await;
    let (_, key) = stack.mint(NewKey::new("alice").networks(["10.0.0.0/8".parse().unwrap()])).await;
    let refused = recorded(&stack, key.expose(), None, None).await;
    let set = |builder: DetectorBuilder| {
        builder.threshold(Detection::FailuresOfPeer, NonZeroU32::MIN, Duration::from_secs(60)).unwrap()
    };
    let mut watched = Watched::with(set);
    let mut raised = 0;
    for number in 0_u32..1_030 {
        let address = IpAddr::from((number | 0x0b00_0000).to_be_bytes());
        raised += watched.record(&from(&event, &address.to_string()), 0).len();
    }
    assert_eq!((raised, watched.detector.alerts().len(), watched.detector.dropped_alerts()), (1_024, 1_024, 6));

    let mut found = Vec::new();
    for _ in 0..10 {
        found.extend(watched.record(&refused, 0).into_iter().map(|alert| (alert.detection, alert.state)));
    }
    let expected = [Detection::FailuresOfCaller, Detection::FailuresOfKey];
    assert_eq!(found, expected.map(|detection| (detection, AlertState::Raised)));
    assert_eq!(watched.detector.dropped_alerts(), 16);

    let changed = watched.record(&event, HOUR);
    assert_eq!(changed.len(), 1_024 + 2 + 1, "all are cleared, and there is room again");
    assert_eq!(watched.detector.alerts().len(), 1);
}

// (285)
#[tokio::test]
async fn the_first_use_of_a_tool_within_a_batch_is_unusual() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let echo = recorded(&stack, key.expose(), Some("echo"), None).await;
    let mut batch = echo.clone();
    let EventKind::Request(request) = &mut batch.kind else { panic!("a request") };
    request.fields = ["echo", "delete-user", "delete-user"].map(|tool| ("tool".into(), tool.into())).into();
    let mut watched = Watched::new();
    for hour in 0..48 {
        assert_eq!(watched.record(&echo, hour * HOUR), []);
    }
    let alerts = watched.record(&batch, 2 * DAY);
    let found: Vec<_> = alerts.iter().map(|alert| (alert.detection, names(alert))).collect();
    assert_eq!(found, [(Detection::FirstUseOfTool, vec!["delete-user"])]);
}

#[tokio::test]
async fn a_caller_of_very_many_tools_still_has_new_scopes() {
    let stack = Stack::new();
    let scopes = Scopes::parse("billing:read billing:write").unwrap();
    let (_, key) = stack.mint(NewKey::new("alice").scopes(scopes)).await;
    let reads = recorded(&stack, key.expose(), None, Some("billing:read")).await;
    let writes = recorded(&stack, key.expose(), None, Some("billing:write")).await;
    let calling = |event: &Event, tool: u64| {
        let mut event = event.clone();
        let EventKind::Request(request) = &mut event.kind else { panic!("a request") };
        request.fields = vec![("tool".into(), format!("tool-{tool}").into())];
        event
    };
    let mut watched = Watched::new();
    let mut raised = |event: &Event, hour: u64| {
        let alerts = watched.record(&calling(event, hour), hour * HOUR).into_iter();
        let raised = alerts.filter(|alert| alert.state == AlertState::Raised).map(|alert| alert.detection);
        raised.collect::<Vec<_>>()
    };
    for hour in 0..24 {
        assert_eq!(raised(&reads, hour), []);
    }
    for hour in 24..64 {
        assert_eq!(raised(&reads, hour), [Detection::FirstUseOfTool]);
    }
    assert_eq!(raised(&reads, 64), [], "more are not distinguished");
    assert_eq!(raised(&writes, 65), [Detection::FirstUseOfScope]);
}

#[tokio::test]
async fn more_networks_or_keys_than_are_distinguished_are_a_mistake() {
    let most = NonZeroU32::new(64).unwrap();
    let hour = Duration::from_secs(3_600);
    let builder = || Detector::builder(AuditChannel::new(1).0);
    for detection in [Detection::KeyInManyNetworks, Detection::ManyKeysFromPeer] {
        assert!(builder().threshold(detection, most, hour).is_ok());
        let error = builder().threshold(detection, most.saturating_add(1), hour).unwrap_err();
        assert_eq!((error.kind(), error.refused_value()), (ConfigErrorKind::Detection, Some("65")));
    }
    assert!(builder().threshold(Detection::FailuresOfPeer, most.saturating_add(1), hour).is_ok());
}

/// Panics at each event.
struct Panics;

impl AuditSink for Panics {
    fn record(&self, _: Event, _: Place) {
        std::panic::resume_unwind(Box::new("the sink panics"));
    }
}

#[tokio::test]
async fn the_hook_is_called_also_if_the_sink_panics() {
    let event = guess(&Stack::new()).await;
    let calls = Arc::new(Mutex::new(0));
    let hook = {
        let calls = Arc::clone(&calls);
        move |_: &Alert| *calls.lock().unwrap() += 1
    };
    let detector = Detector::builder(Panics).on_alert(hook).build();
    for _ in 0..30 {
        let record = || detector.record(event.clone(), Place::default());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(record)).is_err());
    }
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn the_hook_gets_each_alert_once_and_may_panic() {
    let event = guess(&Stack::new()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let seen = Arc::clone(&seen);
        move |alert: &Alert| {
            seen.lock().unwrap().push((alert.detection, alert.state));
            std::panic::resume_unwind(Box::new("the hook panics"));
        }
    };
    let mut watched = Watched::with(|builder| builder.on_alert(hook));
    assert_eq!(watched.record_until(&event, 0, 100).1.state, AlertState::Raised);
    let other = from(&event, "198.51.100.1");
    assert_eq!(watched.record(&other, HOUR)[0].state, AlertState::Cleared);
    let expected = [AlertState::Raised, AlertState::Cleared].map(|state| (Detection::FailuresOfPeer, state));
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_flood_of_peers_does_not_hide_an_attacker() {
    let event = guess(&Stack::new()).await;
    let mut watched = Watched::with(|builder| builder.capacity(16_384.try_into().unwrap()));
    let attacker = from(&event, "203.0.113.9");
    let mut raised = None;
    for number in 0_u32..60_000 {
        let mut other = event.clone();
        let EventKind::Request(request) = &mut other.kind else { panic!("a request") };
        request.client_address = Some(IpAddr::from((number | 0x0b00_0000).to_be_bytes()));
        assert_eq!(watched.record(&other, u64::from(number)), []);
        if number.is_multiple_of(1_000) {
            for alert in watched.record(&attacker, u64::from(number)) {
                raised.get_or_insert((number, alert));
            }
        }
    }
    let (number, alert) = raised.expect("the attacker is detected");
    assert_eq!((number, alert.peer), (29_000, Some([203, 0, 113, 9].into())));
}

fn line(format: &impl EventFormat, event: &Event) -> Value {
    let mut line = Vec::new();
    format.write(event, &mut line);
    serde_json::from_slice(&line).unwrap()
}

/// The events of an alert that is raised and cleared.
async fn alerts() -> Vec<Event> {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let event = recorded(&stack, key.expose(), None, Some("billing:write")).await;
    let (sink, mut events) = AuditChannel::new(100);
    let detector = Detector::new(sink);
    for at in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, HOUR] {
        let mut event = event.clone();
        event.time = Timestamp::from_millis(BEGIN + at);
        detector.record(event, Place::default());
    }
    std::iter::from_fn(|| events.try_recv()).filter(|event| matches!(event.kind, EventKind::Alert(_))).collect()
}

#[tokio::test]
async fn a_flat_line_of_an_alert_has_the_members_of_the_schema() {
    let lines: Vec<_> = alerts().await.iter().map(|event| line(&FlatJson::default(), event)).collect();
    let mut raised = lines[0].clone();
    for changing in ["alert_id", "id", "key_id"] {
        assert!(raised.as_object_mut().unwrap().remove(changing).is_some(), "{changing}");
    }
    assert_eq!(
        raised,
        json!({
            "v": 1, "time": "2027-01-15T08:00:00.000Z", "type": "alert", "detection": "refused_scopes", "state": "raised",
            "since": "2027-01-15T08:00:00.000Z", "subject": "alice", "tenant": "acme", "peer": "192.0.2.7",
            "count": 10, "threshold": 10, "window_s": 300.0, "names": ["billing:write"],
        })
    );
    assert_eq!(lines[1]["state"], "cleared");
    assert_eq!((&lines[1]["alert_id"], &lines[1]["since"]), (&lines[0]["alert_id"], &lines[0]["since"]));
    let schema: Value = serde_json::from_str(FlatJson::SCHEMA).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap();
    let kind = kinds.iter().find(|kind| kind["properties"]["type"]["const"] == "alert").unwrap();
    for name in lines[0].as_object().unwrap().keys() {
        assert!(
            [&schema, kind].iter().any(|part| part["properties"].get(name).is_some()),
            "{name} is not in the schema"
        );
    }
    for name in kind["required"].as_array().unwrap() {
        assert!(lines[0].get(name.as_str().unwrap()).is_some(), "{name} is required");
    }
}

#[tokio::test]
async fn an_alert_is_a_detection_finding_of_ocsf() {
    let lines: Vec<_> = alerts().await.iter().map(|event| line(&Ocsf::new("billing"), event)).collect();
    for (line, activity, status) in [(&lines[0], 1, 1), (&lines[1], 3, 4)] {
        assert_eq!((&line["class_uid"], &line["category_uid"]), (&2004.into(), &2.into()));
        assert_eq!((&line["activity_id"], &line["type_uid"]), (&activity.into(), &(200_400 + activity).into()));
        assert_eq!(line["status_id"], status);
        assert_eq!(line["finding_info"]["uid"], lines[0]["finding_info"]["uid"]);
        assert_eq!(line["finding_info"]["types"], json!(["refused_scopes"]));
        assert_eq!(line["evidences"][0]["actor"]["user"]["uid"], "alice");
        assert_eq!(line["evidences"][0]["data"]["names"], json!(["billing:write"]));
    }
    let mut agent = Vec::new();
    AgentJson::default().write(&alerts().await[0], &mut agent);
    assert!(agent.is_empty(), "only requests");
}

#[tokio::test]
async fn a_refused_credential_that_is_authentic_is_named_in_its_event() {
    let stack = Stack::new();
    let key = NewKey::new("alice").tenant("acme").networks(["10.0.0.0/8".parse().unwrap()]);
    let (record, key) = stack.mint(key).await;
    let event = recorded(&stack, key.expose(), None, None).await;
    let flat = line(&FlatJson::default(), &event);
    assert_eq!(
        flat["refused_credential"],
        json!({ "auth_method": "api_key", "subject": "alice", "tenant": "acme", "key_id": record.id.to_string() })
    );
    assert!(flat.get("subject").is_none(), "nobody was authenticated");
    let ocsf = line(&Ocsf::new("billing"), &event);
    assert_eq!((&ocsf["class_uid"], &ocsf["user"]["uid"]), (&3002.into(), &"alice".into()));
}

#[tokio::test]
async fn a_credential_that_its_authenticator_refuses_has_no_owner() {
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    stack.keys.revoke(&record.id).await.unwrap();
    let event = recorded(&stack, key.expose(), None, None).await;
    let EventKind::Request(request) = &event.kind else { panic!("a request") };
    assert_eq!(request.decision.reason().map(|reason| reason.as_str()), Some("key_revoked"));
    assert!(request.refused_identity().is_none());
}
