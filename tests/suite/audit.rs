//! One audit event for each request, however it ends.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, ManualClock, Reason, Timestamp,
    api_key::NewKey,
    audit::{
        AuditChannel, AuditLog, AuditNote, Decision, End, Event, EventKind, EventReceiver, Observation, RequestEvent,
    },
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, ClientAddressLayer, ConcurrencyLayer, PeerLayer, RateLimitLayer},
    metadata::ProtectedResourceMetadata,
    rate_limit::{LimitBy, LocalRateLimiter, ManualStopwatch, Quota},
    request::{Peer, TrustedProxies},
    scope::Scopes,
};

use crate::support::{Answer, START, Stack, answer};

type Answering = Response<TestBody>;

/// A body of frames, and what comes after them.
#[derive(Debug, Default)]
struct TestBody {
    frames: Vec<&'static str>,
    then: Then,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Then {
    #[default]
    End,
    Fail,
    Panic,
    Wait,
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.frames.pop(), self.then) {
            (Some(frame), _) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(frame.as_bytes()))))),
            (None, Then::End) => Poll::Ready(None),
            (None, Then::Fail) => Poll::Ready(Some(Err("broken"))),
            (None, Then::Panic) => panic!("the body panics"),
            (None, Then::Wait) => Poll::Pending,
        }
    }
}

impl From<Bytes> for TestBody {
    fn from(_: Bytes) -> Self {
        Self::default()
    }
}

/// A body of that many bytes that does not say where it ends.
struct Lengthy(u64);

impl Body for Lengthy {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"hello")))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

impl From<Bytes> for Lengthy {
    fn from(bytes: Bytes) -> Self {
        Self(bytes.len() as u64)
    }
}

fn log() -> (AuditLog, EventReceiver) {
    let (sink, events) = AuditChannel::new(100);
    (AuditLog::new(sink), events)
}

fn request_event(event: Event) -> RequestEvent {
    match event.kind {
        EventKind::Request(request) => request,
        other => panic!("unexpected: {other:?}"),
    }
}

/// The only event.
fn only(events: &mut EventReceiver) -> RequestEvent {
    let event = events.try_recv().expect("an event");
    assert!(events.try_recv().is_none(), "one event");
    request_event(event)
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

/// A service behind an audit layer that responds with this body.
fn responding(
    log: AuditLog,
    make: impl Fn() -> Answering + Clone,
) -> impl Service<Request<()>, Response = Response<impl Body<Data = Bytes>>, Error = Infallible, Future: Unpin> + Clone
{
    let service = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(make())));
    AuditLayer::new(log).layer(service).map_future(Box::pin)
}

#[tokio::test]
async fn the_event_of_an_admitted_request_names_the_caller_and_the_decision() {
    let stack = Stack::new();
    let (record, key) =
        stack.mint(NewKey::new("alice").tenant("acme").scopes(Scopes::parse("billing:read").unwrap())).await;
    let clock = ManualClock::at(START);
    let (log, mut events) = log();
    let environment = Environment::default().with_clock(clock);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log.environment(&environment)))
        .layer(AuthLayer::new(stack.keys.clone()).environment(&environment))
        .layer(AuthorizeLayer::all_of(["billing:read".parse().unwrap()]))
        .service_fn(answer);
    let request = Request::post("/transfers?secret=1").header("x-api-key", key.expose());
    let request = request.extension(Peer::new(([192, 0, 2, 7], 4711).into()));
    let response = service.oneshot(request.body(Full::default()).unwrap()).await.unwrap();
    assert!(events.try_recv().is_none(), "the body is not at its end");
    response.into_body().collect().await.unwrap();

    let event = events.try_recv().unwrap();
    assert_eq!(event.time, Timestamp::from_millis(START.as_secs() * 1_000));
    let event = request_event(event);
    let principal = event.principal.as_ref().unwrap();
    assert_eq!(principal.subject(), "alice");
    assert_eq!(principal.key_id(), Some(record.id.as_str()));
    assert_eq!((event.method.clone(), event.path()), (Method::POST, "/transfers"));
    assert_eq!(event.peer, Some([192, 0, 2, 7].into()));
    assert!(event.is_admitted() && event.is_ordinary());
    assert_eq!(event.required.as_deref(), Some(&Scopes::parse("billing:read").unwrap()));
    assert_eq!((event.status, event.end), (Some(StatusCode::OK), End::Complete));
    assert!(event.latency.unwrap() <= event.duration);
    assert!(!format!("{event:?}").contains(key.expose()));
}

#[tokio::test]
async fn a_refusal_of_any_layer_is_in_its_event() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (log, mut events) = log();
    let quota = Quota::per_minute(2);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log))
        .layer(RateLimitLayer::new("peers", LocalRateLimiter::default(), LimitBy::global(), quota))
        .layer(ConcurrencyLayer::new(LimitBy::global(), std::num::NonZeroU32::MIN))
        .layer(AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone())))
        .layer(AuthorizeLayer::all_of(["admin".parse().unwrap()]))
        .service_fn(answer);
    let mut reason = async |key: &str| {
        let request = Request::get("/").header("x-api-key", key).body(Full::default()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        drop(response);
        let event = only(&mut events);
        (event.decision.reason().unwrap().as_str(), event.principal.map(|caller| caller.subject().to_owned()))
    };
    assert_eq!(reason("sk_agent_x").await, ("key_length", None));
    assert_eq!(reason(key.expose()).await, ("insufficient_scope", Some("alice".to_owned())));
    assert_eq!(reason(key.expose()).await, ("quota_exceeded", None));
}

#[tokio::test]
async fn the_end_of_a_request_is_that_of_its_body() {
    let ends = [
        (Then::End, 3, End::Complete),
        (Then::Fail, 3, End::Failed),
        (Then::Wait, 2, End::Interrupted),
        (Then::End, 1, End::Interrupted),
        (Then::End, 0, End::Interrupted),
    ];
    for (then, polls, end) in ends {
        let (log, mut events) = log();
        let service = responding(log, move || Response::new(TestBody { frames: vec!["b", "a"], then }));
        let mut body = Box::pin(service.oneshot(get("/")).await.unwrap().into_body());
        for _ in 0..polls {
            let _ = body.frame().now_or_never();
        }
        if polls < 3 {
            assert!(events.try_recv().is_none());
        } else {
            assert_eq!(only(&mut events).end, end, "before the body is dropped");
            drop(body);
            assert!(events.try_recv().is_none());
            continue;
        }
        drop(body);
        let event = only(&mut events);
        assert_eq!((event.end, event.status), (end, Some(StatusCode::OK)), "{then:?} after {polls} frames");
    }
}

#[tokio::test]
async fn a_server_that_reads_no_further_than_the_length_has_sent_the_whole_body() {
    let (log, mut events) = log();
    let service =
        AuditLayer::new(log).layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Lengthy(5)))));
    let mut body = service.oneshot(get("/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(only(&mut events).end, End::Complete);
}

#[tokio::test]
async fn a_body_of_length_zero_is_complete_although_no_server_polls_it() {
    let (log, mut events) = log();
    let service =
        AuditLayer::new(log).layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Lengthy(0)))));
    drop(service.oneshot(get("/")).await.unwrap());
    assert_eq!(only(&mut events).end, End::Complete);
}

#[tokio::test]
async fn a_response_without_a_body_is_complete_with_its_head() {
    let cases = [
        (Method::HEAD, StatusCode::OK),
        (Method::GET, StatusCode::NO_CONTENT),
        (Method::GET, StatusCode::NOT_MODIFIED),
        (Method::GET, StatusCode::SWITCHING_PROTOCOLS),
    ];
    for (method, status) in cases {
        let (log, mut events) = log();
        let service = responding(log, move || {
            let mut response = Response::new(TestBody { frames: Vec::new(), then: Then::Wait });
            *response.status_mut() = status;
            response
        });
        let request = Request::builder().method(method).body(()).unwrap();
        drop(service.oneshot(request).await.unwrap());
        let event = only(&mut events);
        assert_eq!((event.end, event.status), (End::Complete, Some(status)));
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_response_has_an_event() {
    let (log, mut events) = log();
    let service = service_fn(|_: Request<()>| std::future::pending::<Result<Answering, Infallible>>());
    let service = AuditLayer::new(log).layer(service);
    let mut future = Box::pin(service.oneshot(get("/slow")));
    assert!((&mut future).now_or_never().is_none());
    assert!(events.try_recv().is_none());
    drop(future);
    let event = only(&mut events);
    assert_eq!((event.end, event.status, event.path()), (End::Disconnected, None, "/slow"));
}

#[tokio::test]
async fn a_panic_anywhere_has_an_event() {
    fn caught(run: impl FnOnce()) {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    }
    // Before the future, in it, and in the body.
    let (log, mut events) = log();
    let layer = AuditLayer::new(log.clone());
    let mut at_call = layer.layer(service_fn(|_: Request<()>| -> std::future::Ready<Result<Answering, Infallible>> {
        panic!("the service panics")
    }));
    caught(|| drop(at_call.call(get("/"))));
    assert_eq!(only(&mut events).end, End::Panicked);

    let mut in_future = layer
        .layer(service_fn(async |_: Request<()>| -> Result<Answering, Infallible> { panic!("the handler panics") }));
    let mut future = Box::pin(in_future.call(get("/")));
    caught(move || drop((&mut future).now_or_never()));
    let event = only(&mut events);
    assert_eq!((event.end, event.status), (End::Panicked, None));

    let service = responding(log, || Response::new(TestBody { frames: vec!["a"], then: Then::Panic }));
    let mut body = Box::pin(service.oneshot(get("/")).await.unwrap().into_body());
    body.frame().await.unwrap().ok().unwrap();
    caught(move || drop(body.frame().now_or_never()));
    let event = only(&mut events);
    assert_eq!((event.end, event.status), (End::Panicked, Some(StatusCode::OK)));
}

#[tokio::test]
async fn a_service_that_fails_has_an_event() {
    let (log, mut events) = log();
    let service = service_fn(async |_: Request<()>| Err::<Answering, _>("no connection"));
    let outcome = AuditLayer::new(log).layer(service).oneshot(get("/")).await;
    assert!(outcome.is_err());
    assert_eq!(only(&mut events).end, End::Failed);
}

#[tokio::test]
async fn handlers_add_fields_of_bounded_number_and_length() {
    let (log, mut events) = log();
    let service = service_fn(async |request: Request<()>| {
        let note = AuditNote::of(request.extensions());
        note.tool("delete-user").object(7).input(b"abc").field("text", "a\nb").field("long", "x".repeat(2_000));
        for number in 0..40 {
            note.field("n", number);
        }
        assert_eq!(note.request_id().unwrap().to_string().len(), 32);
        Ok::<_, Infallible>(Response::new(TestBody::default()))
    });
    drop(AuditLayer::new(log).layer(service).oneshot(get("/")).await);
    let event = only(&mut events);
    assert_eq!(event.field("tool"), Some("delete-user"));
    assert_eq!(event.field("object"), Some("7"));
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(event.field("input_sha256"), Some(digest));
    assert_eq!(event.field("text"), Some(r"a\nb"));
    assert_eq!(event.field("long").unwrap().chars().count(), 1_001);
    assert_eq!(event.fields.len(), 32);
}

#[tokio::test]
async fn notes_without_an_audit_layer_are_dropped() {
    let request = get("/");
    let note = AuditNote::of(request.extensions());
    note.tool("delete-user");
    assert!(note.request_id().is_none());
}

#[tokio::test]
async fn the_id_of_a_request_is_taken_from_a_trusted_proxy_only() {
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    let id_of = async |peer: [u8; 4], ids: &[&str]| {
        let (log, mut events) = log();
        let layer = AuditLayer::new(log).request_id(HeaderName::from_static("x-request-id"), proxies.clone());
        let service = layer.layer(service_fn(async |_| Ok::<_, Infallible>(Response::new(TestBody::default()))));
        let mut request = Request::builder().extension(Peer::new((peer, 1).into()));
        for id in ids {
            request = request.header("x-request-id", *id);
        }
        drop(service.oneshot(request.body(()).unwrap()).await);
        only(&mut events).request_id.to_string()
    };
    assert_eq!(id_of([10, 0, 0, 1], &["abc-1"]).await, "abc-1");
    let long = "x".repeat(129);
    for (peer, ids) in [
        ([192, 0, 2, 1], &["abc-1"][..]),
        ([10, 0, 0, 1], &[]),
        ([10, 0, 0, 1], &["abc-1", "abc-2"]),
        ([10, 0, 0, 1], &[""]),
        ([10, 0, 0, 1], &["a b"]),
        ([10, 0, 0, 1], &[&long]),
    ] {
        let id = id_of(peer, ids).await;
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{ids:?}: {id}");
    }
    assert_ne!(id_of([192, 0, 2, 1], &[]).await, id_of([192, 0, 2, 1], &[]).await);
}

#[tokio::test]
async fn a_well_formed_traceparent_is_noted() {
    let trace_of = async |fields: &[&str]| {
        let (log, mut events) = log();
        let service = responding(log, || Response::new(TestBody::default()));
        let mut request = Request::builder();
        for field in fields {
            request = request.header("traceparent", *field);
        }
        drop(service.oneshot(request.body(()).unwrap()).await);
        let trace = only(&mut events).trace;
        trace.map(|trace| format!("{} {}", trace.trace_id(), trace.parent_id()))
    };
    let good = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    let found = Some("0af7651916cd43dd8448eb211c80319c 00f067aa0ba902b7".to_owned());
    assert_eq!(trace_of(&[good]).await, found);
    assert_eq!(trace_of(&["01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-more"]).await, found);
    for bad in [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7",
        "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-00f067aa0ba902b7-01",
        "00-0af7651916cd43dd8448eb211c80319-00f067aa0ba902b7-01",
        "00-+af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    ] {
        assert_eq!(trace_of(&[bad]).await, None, "{bad}");
    }
    assert_eq!(trace_of(&[good, good]).await, None);
}

#[tokio::test]
async fn the_address_of_the_client_behind_a_proxy_is_noted() {
    let stack = Stack::new();
    let (log, mut events) = log();
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log))
        .layer(ClientAddressLayer::new(TrustedProxies::new(["10.0.0.0/8".parse().unwrap()])))
        .layer(AuthLayer::new(stack.keys.clone()))
        .service_fn(answer);
    let request = Request::builder().header("x-forwarded-for", "198.51.100.7");
    let request = request.extension(Peer::new(([10, 0, 0, 1], 1).into())).body(Full::default()).unwrap();
    drop(service.oneshot(request).await);
    let event = only(&mut events);
    assert_eq!(event.peer, Some([10, 0, 0, 1].into()));
    assert_eq!(event.client_address, Some([198, 51, 100, 7].into()));
}

#[tokio::test]
async fn the_address_that_a_layer_inside_has_read_is_that_of_the_client() {
    let stack = Stack::new();
    let (log, mut events) = log();
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log))
        .layer(PeerLayer::new(|_| Some(([198, 51, 100, 7], 1).into())))
        .layer(AuthLayer::new(stack.keys.clone()))
        .service_fn(answer);
    let (_, key) = stack.alice().await;
    for key in [key.expose(), "sk_agent_unknown"] {
        let request = Request::builder().extension(Peer::new(([10, 0, 0, 1], 1).into())).header("x-api-key", key);
        drop(service.clone().oneshot(request.body(Full::default()).unwrap()).await);
        assert_eq!(only(&mut events).client_address, Some([198, 51, 100, 7].into()));
    }
}

#[tokio::test]
async fn a_credential_in_the_query_is_an_observation_also_beside_a_good_one() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (log, mut events) = log();
    let service = AuditLayer::new(log).layer(stack.app.clone());
    let request = Request::get("/?access_token=hunter2").header("x-api-key", key.expose());
    drop(service.oneshot(request.body(Full::default()).unwrap()).await);
    let event = only(&mut events);
    assert!(event.is_admitted());
    assert_eq!(event.observations, [Observation::CredentialInQuery]);
    assert!(!format!("{event:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_request_that_no_layer_decided_about_is_refused_by_option() {
    let call = async |layer: AuditLayer, path: &str, status: u16| {
        let service = layer.layer(service_fn(move |_: Request<()>| {
            let response = Response::builder().status(status).body(TestBody::default()).unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        service.oneshot(get(path)).await.unwrap().status().as_u16()
    };
    let (log, mut events) = log();
    let layer = AuditLayer::new(log);
    assert_eq!(call(layer.clone(), "/open", 200).await, 200);
    assert!(matches!(only(&mut events).decision, Decision::Undecided));
    let denying = layer.deny_undecided(|head| head.uri.path() == "/health");
    assert_eq!(call(denying.clone(), "/open", 200).await, 500);
    let event = only(&mut events);
    assert_eq!(event.decision.reason().unwrap(), "undecided");
    assert_eq!(event.status, Some(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(call(denying.clone(), "/health", 200).await, 200);
    assert_eq!(call(denying.clone(), "/health/", 200).await, 500);
    for passed_on in [301, 308, 404, 405, 408, 413, 414, 429, 431, 503] {
        assert_eq!(call(denying.clone(), "/nowhere", passed_on).await, passed_on);
    }
    for replaced in [302, 303, 307, 400, 502] {
        assert_eq!(call(denying.clone(), "/open", replaced).await, 500, "{replaced}");
    }
    let panicking = AuditLayer::new(AuditLog::new(AuditChannel::new(1).0)).deny_undecided(|_| panic!("a bug"));
    assert_eq!(call(panicking, "/open", 200).await, 500, "a closure that panics selects nothing");
}

#[tokio::test]
async fn a_request_that_a_layer_decided_about_is_not_undecided() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (log, mut events) = log();
    let layer = AuditLayer::new(log).deny_undecided(|_| false);
    let optional = AuthLayer::new(stack.keys.clone()).optional();
    let service = layer.layer(optional.layer(service_fn(answer)));
    let send = async |request: http::request::Builder| {
        let response = service.clone().oneshot(request.body(Full::default()).unwrap()).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(send(Request::get("/")).await, 200);
    assert!(only(&mut events).is_admitted());
    assert_eq!(send(Request::get("/").header("x-api-key", key.expose())).await, 200);
    assert!(only(&mut events).is_admitted());
    assert_eq!(send(Request::get("/").header("x-api-key", "sk_agent_x")).await, 401);
    assert_eq!(only(&mut events).decision.reason().unwrap(), "key_length");
}

#[tokio::test]
async fn a_refusal_whose_response_a_middleware_replaces_is_recorded_with_its_reason() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (log, mut events) = log();
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log).deny_undecided(|_| false))
        .map_response(|response: Response<Full<Bytes>>| {
            Response::builder().status(response.status()).body(Full::<Bytes>::from("a page")).unwrap()
        })
        .layer(AuthLayer::new(stack.keys.clone()))
        .service_fn(answer);
    for (key, status, reason) in [("sk_agent_x", 401, Some("key_length")), (key.expose(), 200, None)] {
        let request = Request::get("/").header("x-api-key", key).body(Full::default()).unwrap();
        let answer = Answer::read(service.clone().oneshot(request).await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, "a page"));
        let event = only(&mut events);
        assert_eq!(event.decision.reason().map(Reason::as_str), reason);
        assert_eq!(event.is_authentication_failure(), reason.is_some());
    }
}

#[tokio::test]
async fn a_request_that_a_second_service_admits_after_a_refusal_is_admitted() {
    let stack = Stack::new();
    let (log, mut events) = log();
    let strict = AuthLayer::new(stack.keys.clone()).layer(service_fn(answer));
    let open = AuthLayer::new(stack.keys.clone()).optional().layer(service_fn(answer));
    let service = AuditLayer::new(log).layer(service_fn(move |request: Request<Full<Bytes>>| {
        let (strict, open) = (strict.clone(), open.clone());
        async move {
            let refused = strict.oneshot(request.clone()).await?;
            assert_eq!(refused.status(), 401);
            open.oneshot(request).await
        }
    }));
    drop(service.oneshot(get_full("/")).await.unwrap());
    assert!(only(&mut events).is_admitted());
}

#[tokio::test]
async fn a_handler_that_no_layer_decides_about_is_not_opened_by_a_refusal_of_another_service() {
    let stack = Stack::new();
    let (log, mut events) = log();
    let strict = AuthLayer::new(stack.keys.clone()).layer(service_fn(answer));
    let service = AuditLayer::new(log).deny_undecided(|_| false).layer(service_fn(move |request: Request<_>| {
        let strict = strict.clone();
        async move {
            assert_eq!(strict.oneshot(request.clone()).await?.status(), 401);
            answer(request).await
        }
    }));
    assert_eq!(service.oneshot(get_full("/")).await.unwrap().status(), 500);
    assert_eq!(only(&mut events).decision.reason().unwrap(), "undecided");
}

#[tokio::test]
async fn a_request_that_is_admitted_when_it_is_tried_again_is_admitted() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (log, mut events) = log();
    let stopwatch = ManualStopwatch::default();
    let limiter = LocalRateLimiter::default().stopwatch(stopwatch.clone());
    let limit = RateLimitLayer::new("calls", limiter, LimitBy::principal(), Quota::per_second(1));
    let limited = limit.layer(service_fn(answer));
    let tried = service_fn(move |request: Request<Full<Bytes>>| {
        let (limited, stopwatch) = (limited.clone(), stopwatch.clone());
        async move {
            assert_eq!(limited.clone().oneshot(request.clone()).await?.status(), 200);
            assert_eq!(limited.clone().oneshot(request.clone()).await?.status(), 429);
            stopwatch.advance(Duration::from_secs(1));
            limited.oneshot(request).await
        }
    });
    let service = AuditLayer::new(log).layer(AuthLayer::new(stack.keys.clone()).layer(tried));
    let request = Request::get("/").header("x-api-key", key.expose()).body(Full::default()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
    assert!(only(&mut events).is_admitted());
}

#[tokio::test]
async fn a_request_within_two_audit_layers_has_one_event_which_is_that_of_the_outer_one() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let ((outer, mut events), (inner, mut others)) = (log(), log());
    let blocking = Duration::from_secs(1);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(outer).deny_undecided(|_| false).blocking(blocking))
        .layer(AuditLayer::new(inner).deny_undecided(|head| head.uri.path() == "/open").blocking(blocking))
        .service(service_fn(move |request: Request<Full<Bytes>>| {
            let service = AuthLayer::new(stack.keys.clone()).layer(service_fn(answer));
            async move {
                if request.headers().is_empty() {
                    return Ok(Response::new(Full::default()));
                }
                service.oneshot(request).await
            }
        }));
    let get = |path| Request::get(path).header("x-api-key", key.expose()).body(Full::default()).unwrap();
    for (request, status, decision) in [
        (get("/"), 200, "admitted"),
        (get_full("/"), 500, "refused"),
        // What the inner layer declares open is so for the outer one as well.
        (get_full("/open"), 200, "admitted"),
    ] {
        let answer = Answer::read(service.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.status, status);
        let event = only(&mut events);
        assert_eq!((event.decision.as_str(), event.end), (decision, End::Complete));
        assert_eq!(event.principal.is_some(), decision == "admitted" && event.path() == "/");
    }
    assert!(others.try_recv().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_blocking_layer_waits_for_room_and_then_refuses() {
    let (sink, mut events) = AuditChannel::new(1);
    let layer = AuditLayer::new(AuditLog::new(sink.clone())).blocking(Duration::from_secs(2));
    let service = layer.layer(service_fn(async |_| Ok::<_, Infallible>(Response::new(TestBody::default()))));
    let call = || service.clone().oneshot(get("/"));
    drop(call().await.unwrap());
    // There is no room now.
    let refused = call().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    drop(refused);
    assert_eq!(sink.lost(), 1, "the event of the refusal");
    // It gets room while it waits.
    let mut waiting = Box::pin(call());
    assert!((&mut waiting).now_or_never().is_none());
    events.recv().await.unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
    drop(events);
    assert_eq!(call().await.unwrap().status(), 503, "nobody reads events any more");
}

#[tokio::test]
async fn an_event_with_room_in_a_channel_that_nobody_reads_any_more_is_lost_and_counted() {
    let (sink, events) = AuditChannel::new(2);
    let layer = AuditLayer::new(AuditLog::new(sink.clone())).blocking(Duration::from_secs(2));
    let service = layer.layer(service_fn(async |_| Ok::<_, Infallible>(Response::new(TestBody::default()))));
    let response = service.oneshot(get("/")).await.unwrap();
    drop(events);
    assert_eq!(sink.lost(), 0);
    drop(response);
    assert_eq!(sink.lost(), 1);
}

#[tokio::test]
async fn a_request_with_room_keeps_it_until_its_event() {
    let (sink, mut events) = AuditChannel::new(1);
    let layer = AuditLayer::new(AuditLog::new(sink.clone())).blocking(Duration::from_secs(2));
    let service = layer.layer(service_fn(async |_| Ok::<_, Infallible>(Response::new(TestBody::default()))));
    let first = service.clone().oneshot(get("/1")).await.unwrap();
    let mut second = Box::pin(service.oneshot(get("/2")));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert_eq!(request_event(events.recv().await.unwrap()).path(), "/1");
    drop(second.await.unwrap());
    assert_eq!(request_event(events.recv().await.unwrap()).path(), "/2");
    assert_eq!(sink.lost(), 0);
}

#[tokio::test]
async fn what_needs_no_credential_by_its_nature_is_not_undecided() {
    let layer = || AuditLayer::new(log().0).deny_undecided(|_| false);
    let service = |layer: AuditLayer| {
        layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(TestBody::default()))))
    };
    let status = async |request: Request<()>| service(layer()).oneshot(request).await.unwrap().status().as_u16();
    let options = || Request::options("/accounts").header("origin", "https://app.test");
    let preflight = options().header("access-control-request-method", "GET");
    assert_eq!(status(preflight.body(()).unwrap()).await, 200);
    assert_eq!(status(options().body(()).unwrap()).await, 500, "no preflight");
    let get = Request::get("/accounts").header("access-control-request-method", "GET");
    assert_eq!(status(get.body(()).unwrap()).await, 500, "no preflight");

    let metadata = ProtectedResourceMetadata::new("https://api.test").unwrap();
    let path = metadata.well_known_path().to_owned();
    let endpoint = layer().layer(metadata.endpoint::<Full<Bytes>>());
    assert_eq!(endpoint.oneshot(get_full(&path)).await.unwrap().status(), 200);
}

fn get_full(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_custom_layer_notes_that_it_has_decided() {
    let (log, mut events) = log();
    let layer = AuditLayer::new(log).deny_undecided(|_| false);
    let service = layer.layer(service_fn(async |request: Request<()>| {
        AuditNote::of(request.extensions()).decided();
        Ok::<_, Infallible>(Response::new(TestBody::default()))
    }));
    assert_eq!(service.oneshot(get("/")).await.unwrap().status(), 200);
    assert!(only(&mut events).is_admitted());
}

#[tokio::test]
async fn a_long_path_is_cut_off_and_an_event_has_an_id_of_its_own() {
    let (sink, mut events) = AuditChannel::new(10);
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    let field = HeaderName::from_static("x-request-id");
    let layer = AuditLayer::new(AuditLog::new(sink)).request_id(field, proxies);
    let service = layer.layer(service_fn(async |_| Ok::<_, Infallible>(Response::new(TestBody::default()))));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = Request::get(format!("/{}", "x".repeat(5_000))).header("x-request-id", "same");
        let request = request.extension(Peer::new(([10, 0, 0, 1], 1).into()));
        drop(service.clone().oneshot(request.body(()).unwrap()).await);
        let event = events.try_recv().unwrap();
        ids.push(event.id);
        let event = request_event(event);
        assert_eq!((event.request_id.to_string(), event.path().len()), ("same".to_owned(), 2_000));
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_generated_id_is_that_of_the_request_and_of_its_event() {
    let (log, mut events) = log();
    let service = responding(log, Response::default);
    let mut ids = Vec::new();
    for _ in 0..2 {
        drop(service.clone().oneshot(get("/")).await);
        let event = events.try_recv().unwrap();
        let id = event.id.to_string();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(request_event(event).request_id.to_string(), id);
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0][..16], ids[1][..16], "the number of the process");
}

#[tokio::test]
async fn a_response_without_a_body_ends_with_its_head() {
    let (log, mut events) = log();
    let no_content = || Response::builder().status(204).body(TestBody { then: Then::Panic, ..TestBody::default() });
    let service = responding(log, move || no_content().unwrap());
    drop(service.clone().oneshot(get("/")).await);
    let event = only(&mut events);
    assert_eq!((event.end, event.latency), (End::Complete, Some(event.duration)));

    // A server that polls the body nevertheless.
    let response = service.oneshot(get("/")).await.unwrap();
    let polled = std::panic::AssertUnwindSafe(response.into_body().collect()).catch_unwind().await;
    assert!(polled.is_err());
    let event = only(&mut events);
    assert!(event.end == End::Panicked && event.latency.unwrap() <= event.duration, "{event:?}");
}
