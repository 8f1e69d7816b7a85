//! Bodies that are read within limits, inspected, and passed on.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Display,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Instant, Sleep, sleep},
};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;
use tower_warden::{
    ConfigErrorKind, Eventual, Head, Principal, Reason, Rejection, RejectionKind,
    axum::Scoped,
    body::{BodyCheck, BodyLimits, BufferedRequest, InspectedBody},
    layer::{AuthLayer, BodyCheckLayer},
    refusal::{EmptyBody, Problem, Respond},
    scope::{Scopes, scopes},
};

use crate::support::{Answer, Stack, bearer, seconds};

scopes! {
    /// Write.
    Write = "write";
}

const TOO_LARGE: (u16, &str) = (413, "body_too_large");
const TOO_SLOW: (u16, &str) = (408, "body_timeout");
const INCOMPLETE: (u16, &str) = (400, "body_incomplete");

/// What a body does next.
enum Step {
    Data(Bytes),
    Fail,
    Hang,
    Trailers(HeaderMap),
    Wait(Duration),
}

/// A body that follows a script, and counts how often it is polled.
#[derive(Default)]
struct Script {
    hint: SizeHint,
    polls: Arc<AtomicUsize>,
    sleep: Option<Pin<Box<Sleep>>>,
    steps: VecDeque<Step>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    fn request(self) -> Request<Self> {
        Request::post("/").body(self).unwrap()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            return Poll::Ready(Some(Ok(match self.steps.pop_front() {
                Some(Step::Data(data)) => Frame::data(data),
                Some(Step::Trailers(trailers)) => Frame::trailers(trailers),
                Some(Step::Fail) => return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Wait(wait)) => {
                    self.sleep = Some(Box::pin(sleep(wait)));
                    continue;
                }
                None => return Poll::Ready(None),
            })));
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-checksum".parse().unwrap(), "17".parse().unwrap())])
}

/// What a check, or the inner service, has seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Seen {
    body: Bytes,
    frames: Option<usize>,
    size: Option<u64>,
    trailers: Option<HeaderMap>,
}

/// A check that notes what it sees, and returns a verdict of choice.
#[derive(Clone)]
struct Recorder {
    limits: Option<BodyLimits>,
    later: Option<Arc<Notify>>,
    refuses: bool,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    fn new() -> Self {
        Self { limits: Some(BodyLimits::default()), later: None, refuses: false, seen: Arc::default() }
    }

    fn limited(max_bytes: usize, timeout: Duration) -> Self {
        Self { limits: Some(BodyLimits::new(max_bytes, timeout).unwrap()), ..Self::new() }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl BodyCheck for Recorder {
    fn limits(&self, _: &Head<'_>) -> Option<BodyLimits> {
        self.limits
    }

    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        assert_eq!(request.head.uri.path(), "/");
        self.seen.lock().unwrap().push(Seen {
            body: request.body.clone(),
            trailers: request.trailers.cloned(),
            ..Seen::default()
        });
        let verdict = if self.refuses {
            Err(Rejection::new(RejectionKind::BodyInvalid, Reason::custom("not_accepted")))
        } else {
            let mut extensions = Extensions::new();
            extensions.insert("from the check");
            Ok(extensions)
        };
        match self.later.clone() {
            None => Eventual::Now(verdict),
            Some(notify) => Eventual::later(async move {
                notify.notified().await;
                verdict
            }),
        }
    }
}

/// An inner service that notes what it sees.
#[derive(Clone, Default)]
struct Handler(Arc<Mutex<Vec<Seen>>>);

impl Handler {
    fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    async fn handle<B>(self, request: Request<InspectedBody<B>>) -> Result<Response<Full<Bytes>>, Infallible>
    where
        B: Body,
        B::Error: std::fmt::Debug,
    {
        let extension = request.extensions().get::<&str>().copied().unwrap_or_default();
        let mut body = Box::pin(request.into_body());
        let (size, is_end) = (body.size_hint().exact(), body.is_end_stream());
        let (mut bytes, mut frames, mut trailers) = (Vec::new(), 0, None);
        while let Some(frame) = body.frame().await {
            frames += 1;
            match frame.unwrap().into_data() {
                Ok(data) => bytes.extend(data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        assert!(!is_end || frames == 0, "an ended body has no frames");
        let body = Bytes::from(bytes);
        self.0.lock().unwrap().push(Seen { body: body.clone(), frames: Some(frames), size, trailers });
        Ok(Response::builder().header("x-extension", extension).body(Full::new(body)).unwrap())
    }
}

async fn send<B>(check: impl BodyCheck, handler: &Handler, request: Request<B>) -> Answer
where
    B: Body,
    B::Error: std::fmt::Debug,
{
    let handler = handler.clone();
    let service = BodyCheckLayer::new(check).layer(service_fn(move |request| handler.clone().handle(request)));
    Answer::read(service.oneshot(request).await.unwrap()).await
}

/// Calls a service once it is ready.
async fn call<S, B>(service: &mut S, request: Request<B>) -> Response<Full<Bytes>>
where
    S: Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    service.ready().await.unwrap().call(request).await.unwrap()
}

#[track_caller]
fn assert_refused(answer: &Answer, (status, reason): (u16, &str)) {
    answer.assert_reason(status, reason);
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
}

#[tokio::test]
async fn the_check_and_the_service_see_identical_bytes_and_trailers() {
    for later in [None, Some(Arc::new(Notify::new()))] {
        for parts in [&[][..], &["one"], &["one", "", " two ", "\0\r\n", "three"]] {
            for trailers in [None, Some(trailers())] {
                let (recorder, handler) = (Recorder { later: later.clone(), ..Recorder::new() }, Handler::default());
                later.iter().for_each(|later| later.notify_one());
                let steps = parts.iter().map(|text| data(text)).chain(trailers.clone().map(Step::Trailers));
                let answer = send(recorder.clone(), &handler, Script::new(steps).request()).await;
                assert_eq!((answer.status, answer.header("x-extension")), (StatusCode::OK, Some("from the check")));

                let body = Bytes::from(parts.concat());
                let expected = Seen { body: body.clone(), trailers: trailers.clone(), ..Seen::default() };
                assert_eq!(recorder.seen(), std::slice::from_ref(&expected));
                let frames = usize::from(!body.is_empty()) + usize::from(trailers.is_some());
                let expected = Seen { frames: Some(frames), size: Some(body.len() as u64), ..expected };
                assert_eq!(handler.seen(), [expected]);
            }
        }
    }
}

#[tokio::test]
async fn a_body_of_one_frame_is_passed_on_without_a_copy() {
    let body = Bytes::from(vec![7; 1000]);
    let service =
        BodyCheckLayer::new(Recorder::new()).layer(service_fn(async |request: Request<InspectedBody<Full<Bytes>>>| {
            let passed = request.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(passed.as_ptr().addr().to_string())))
        }));
    let response = service.oneshot(Request::new(Full::new(body.clone()))).await.unwrap();
    assert_eq!(Answer::read(response).await.body, body.as_ptr().addr().to_string());
}

#[tokio::test]
async fn a_request_without_a_body_is_inspected_without_a_clone_of_the_service() {
    let (inner, clones) = Picky::new();
    let mut service = BodyCheckLayer::new(Recorder::new()).layer(inner);
    for _ in 0..3 {
        let response = call(&mut service, Request::new(Empty::<Bytes>::new())).await;
        assert_eq!(response.status(), 200);
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);

    let (recorder, handler) = (Recorder { refuses: true, ..Recorder::new() }, Handler::default());
    let answer = send(recorder.clone(), &handler, Request::new(Empty::<Bytes>::new())).await;
    assert_refused(&answer, (400, "not_accepted"));
    assert_eq!(recorder.seen(), [Seen::default()]);
}

#[tokio::test]
async fn a_body_that_is_not_inspected_streams_through_untouched() {
    let recorder = Recorder { limits: None, ..Recorder::new() };
    // More than the default limit, frame by frame, and without an end: it does not wait for one.
    let large = Bytes::from(vec![7; 2 << 20]);
    let mut script = Script::new([Step::Data(large.clone()), data("two"), Step::Trailers(trailers()), Step::Hang]);
    script.hint.set_lower(17);
    let service =
        BodyCheckLayer::new(recorder.clone()).layer(service_fn(async |request: Request<InspectedBody<Script>>| {
            let mut body = request.into_body();
            assert_eq!((body.size_hint().lower(), body.is_end_stream()), (17, false));
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers());
            let seen = format!("{} {} {}", first.as_ptr().addr(), first.len(), second.len());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(seen)))
        }));
    let answer = Answer::read(service.oneshot(script.request()).await.unwrap()).await;
    assert_eq!(answer.body, format!("{} {} 3", large.as_ptr().addr(), 2 << 20));
    assert!(recorder.seen().is_empty());

    // Its errors are passed on as well.
    let service = BodyCheckLayer::new(recorder).layer(service_fn(async |request: Request<InspectedBody<Script>>| {
        let failed = request.into_body().collect().await.unwrap_err().kind();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(failed.to_string())))
    }));
    let answer = Answer::read(service.oneshot(Script::new([Step::Fail]).request()).await.unwrap()).await;
    assert_eq!(answer.body, io::ErrorKind::ConnectionReset.to_string());
}

#[tokio::test]
async fn the_size_limit_is_exact_over_any_number_of_frames() {
    for (parts, is_ok) in [
        (vec!["12345678"], true),
        (vec!["123456789"], false),
        (vec!["1234", "", "5678"], true),
        (vec!["1234", "56789"], false),
        (vec!["1"; 8], true),
        (vec!["1"; 9], false),
    ] {
        let (recorder, handler) = (Recorder::limited(8, seconds(1)), Handler::default());
        let script = Script::new(parts.iter().map(|text| data(text)).chain([Step::Trailers(trailers())]));
        let answer = send(recorder.clone(), &handler, script.request()).await;
        if is_ok {
            assert_eq!((answer.status, answer.body), (StatusCode::OK, parts.concat()));
        } else {
            assert_refused(&answer, TOO_LARGE);
            assert_eq!((answer.json()["code"].as_str()), Some("content_too_large"));
        }
        assert_eq!((recorder.seen().len(), handler.seen().len()), (usize::from(is_ok), usize::from(is_ok)));
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read_further() {
    let script = Script::new((0..1000).map(|_| data("1234")));
    let polls = Arc::clone(&script.polls);
    let answer = send(Recorder::limited(8, seconds(1)), &Handler::default(), script.request()).await;
    assert_refused(&answer, TOO_LARGE);
    assert_eq!(polls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_refused_without_reading() {
    let handler = Handler::default();
    for (length, lower, refused) in [
        (Some("9"), 0, true),
        (Some("18446744073709551615"), 0, true),
        (None, 9, true),
        (Some("8"), 9, true),
        (Some("8"), 0, false),
        (None, 8, false),
        // What is not a number is counted.
        (Some("many"), 0, false),
    ] {
        let mut script = Script::new([data("1234"), data("5678")]);
        script.hint.set_lower(lower);
        let polls = Arc::clone(&script.polls);
        let mut request = script.request();
        if let Some(length) = length {
            request.headers_mut().insert("content-length", length.parse().unwrap());
        }
        let answer = send(Recorder::limited(8, seconds(1)), &handler, request).await;
        if refused {
            assert_refused(&answer, TOO_LARGE);
        } else {
            assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "12345678"));
        }
        assert_eq!(polls.load(Ordering::Relaxed) == 0, refused);
    }

    // A declared length is no more than that.
    let mut request = Script::new([data("1234"), data("56789")]).request();
    request.headers_mut().insert("content-length", "8".parse().unwrap());
    assert_refused(&send(Recorder::limited(8, seconds(1)), &handler, request).await, TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_is_for_the_whole_body() {
    let wait = |millis| Step::Wait(Duration::from_millis(millis));
    for (steps, took, is_ok) in [
        (vec![data("1"), Step::Hang], 5_000, false),
        (vec![Step::Hang], 5_000, false),
        (vec![wait(4_999), data("1")], 4_999, true),
        (vec![wait(5_001), data("1")], 5_000, false),
        // A client that sends a little all the time is slow too.
        ((0..1000).flat_map(|_| [data("1"), wait(100)]).collect(), 5_000, false),
        ((0..49).flat_map(|_| [data("1"), wait(100)]).collect(), 4_900, true),
        (vec![data("1"), wait(6_000), Step::Trailers(trailers())], 5_000, false),
        (vec![data("1"), wait(4_000)], 4_000, true),
    ] {
        let (recorder, handler, start) = (Recorder::limited(1000, seconds(5)), Handler::default(), Instant::now());
        let answer = send(recorder.clone(), &handler, Script::new(steps).request()).await;
        // The timer's resolution is a millisecond.
        let elapsed = start.elapsed().as_millis();
        assert!((took..=took + 50).contains(&elapsed), "{elapsed} for {took}");
        if is_ok {
            assert_eq!(answer.status, 200);
        } else {
            assert_refused(&answer, TOO_SLOW);
            assert_eq!(answer.json()["code"], "request_timeout");
        }
        assert_eq!((recorder.seen().len(), handler.seen().len()), (usize::from(is_ok), usize::from(is_ok)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_and_a_slow_service_are_not_limited() {
    struct Slow;

    impl BodyCheck for Slow {
        fn check(&self, _: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
            Eventual::later(async {
                sleep(seconds(60)).await;
                Ok(Extensions::new())
            })
        }
    }

    let start = Instant::now();
    let answer = send(Slow, &Handler::default(), Script::new([data("1")]).request()).await;
    assert_eq!((answer.status.as_u16(), start.elapsed()), (200, seconds(60)));
}

#[tokio::test(start_paused = true)]
async fn an_endless_body_of_empty_frames_leaves_time_to_others_and_runs_into_the_time_limit() {
    /// Empty frames, always ready.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }

    let handler = Handler::default();
    let refused = send(Recorder::limited(8, seconds(5)), &handler, Request::new(Endless));
    let clock = async {
        for _ in 0..10 {
            tokio::time::advance(seconds(1)).await;
        }
    };
    let (refused, ()) = tokio::join!(refused, clock);
    assert_refused(&refused, TOO_SLOW);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    for steps in [vec![Step::Fail], vec![data("1"), Step::Fail], vec![Step::Trailers(trailers()), Step::Fail]] {
        let (recorder, handler) = (Recorder::new(), Handler::default());
        let answer = send(recorder.clone(), &handler, Script::new(steps).request()).await;
        assert_refused(&answer, INCOMPLETE);
        assert_eq!(answer.json()["code"], "invalid_content");
        assert!(recorder.seen().is_empty() && handler.seen().is_empty());
    }
}

#[tokio::test]
async fn a_request_that_the_check_refuses_does_not_reach_the_service() {
    for later in [None, Some(Arc::new(Notify::new()))] {
        let (recorder, handler) =
            (Recorder { later: later.clone(), refuses: true, ..Recorder::new() }, Handler::default());
        later.iter().for_each(|later| later.notify_one());
        let answer = send(recorder.clone(), &handler, Script::new([data("1")]).request()).await;
        assert_refused(&answer, (400, "not_accepted"));
        assert_eq!((recorder.seen().len(), handler.seen().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_check_that_panics_is_500_without_detail() {
    #[derive(Clone, Copy, Debug)]
    enum At {
        Limits,
        Check,
        Later,
    }

    struct Panics(At);

    impl BodyCheck for Panics {
        fn limits(&self, _: &Head<'_>) -> Option<BodyLimits> {
            assert!(!matches!(self.0, At::Limits), "in limits");
            Some(BodyLimits::default())
        }

        fn check(&self, _: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
            assert!(!matches!(self.0, At::Check), "in check");
            Eventual::later(async { panic!("in the future") })
        }
    }

    for at in [At::Limits, At::Check, At::Later] {
        for steps in [vec![], vec![data("1")]] {
            let handler = Handler::default();
            let answer = send(Panics(at), &handler, Script::new(steps).request()).await;
            assert_refused(&answer, (500, "panicked"));
            assert!(!answer.body.contains("in ") && handler.seen().is_empty(), "{answer:?}");
        }
        let answer = send(Panics(at), &Handler::default(), Request::new(Empty::<Bytes>::new())).await;
        assert_refused(&answer, (500, "panicked"));
    }
}

#[tokio::test]
async fn a_refusal_by_the_check_gets_the_challenge_of_the_layer_outside() {
    let writes = |request: &BufferedRequest<'_>| match request.head.extensions.get::<Principal>() {
        None => Err(Rejection::new(RejectionKind::Missing, Reason::CREDENTIAL_MISSING)),
        Some(caller) if caller.meets::<Write>() => Ok(()),
        Some(_) => Err(Rejection::insufficient_scope(Scopes::parse("write").unwrap())),
    };
    let realm = tower_warden::Challenge::new("billing").unwrap();
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let auth = AuthLayer::new(stack.keys.clone())
        .environment(&tower_warden::Environment::default().with_clock(stack.clock.clone()))
        .challenge(realm)
        .optional();
    let handler = Handler::default();
    let inner = BodyCheckLayer::new(writes).layer(service_fn(move |request| handler.clone().handle(request)));
    let service = auth.layer(inner);

    let request = bearer(key.expose()).body(Full::<Bytes>::from("write")).unwrap();
    let answer = Answer::read(service.clone().oneshot(request).await.unwrap()).await;
    answer.assert_reason(403, "insufficient_scope");
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=\"billing\"") && challenge.contains("scope=\"write\""), "{challenge}");

    let anonymous = Request::new(Full::<Bytes>::from("write"));
    let answer = Answer::read(service.oneshot(anonymous).await.unwrap()).await;
    answer.assert_reason(401, "credential_missing");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"billing\""));
}

#[tokio::test]
async fn the_layer_makes_the_body_of_what_extractors_inside_refuse() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let terse = |rejection: &Rejection| Response::new(axum::body::Body::from(rejection.code()));
    let app = Router::new()
        .route("/", post(async |_: Scoped<Write>| "written"))
        .layer(
            AuthLayer::new(stack.keys.clone())
                .environment(&tower_warden::Environment::default().with_clock(stack.clock.clone())),
        )
        .layer(BodyCheckLayer::new(Recorder::new()).respond_with(terse));
    let request = bearer(key.expose()).method(Method::POST).body(axum::body::Body::from("1")).unwrap();
    let answer = Answer::read(app.oneshot(request).await.unwrap()).await;
    answer.assert_reason(403, "insufficient_scope");
    assert_eq!(answer.body, "insufficient_scope");
}

/// A service that tells its clones apart: each is ready only after `poll_ready`, and panics if it is called before.
struct Picky {
    clones: Arc<AtomicUsize>,
    is_ready: bool,
}

impl Picky {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let clones: Arc<AtomicUsize> = Arc::default();
        (Self { clones: Arc::clone(&clones), is_ready: false }, clones)
    }
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self { clones: Arc::clone(&self.clones), is_ready: false }
    }
}

impl<B> Service<Request<B>> for Picky {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn a_body_that_is_read_gives_the_ready_service_back_and_a_clone_that_is_ready_is_called() {
    for later in [None, Some(Arc::new(Notify::new()))] {
        let (inner, clones) = Picky::new();
        let mut service = BodyCheckLayer::new(Recorder { later: later.clone(), ..Recorder::new() }).layer(inner);
        for round in 1..4 {
            later.iter().for_each(|later| later.notify_one());
            assert_eq!(call(&mut service, Script::new([data("1")]).request()).await.status(), 200);
            // One replaces the ready service, and one waits with the request.
            assert_eq!(clones.load(Ordering::Relaxed), 2 * round);
        }
        // Of a request without a body, only the verdict is waited for.
        if let Some(later) = later {
            later.notify_one();
            assert_eq!(call(&mut service, Request::new(Empty::<Bytes>::new())).await.status(), 200);
            assert_eq!(clones.load(Ordering::Relaxed), 8);
        }
    }
    let (inner, clones) = Picky::new();
    let mut service = BodyCheckLayer::new(Recorder { limits: None, ..Recorder::new() }).layer(inner);
    assert_eq!(call(&mut service, Script::new([data("1")]).request()).await.status(), 200);
    assert_eq!(clones.load(Ordering::Relaxed), 0);
}

type Inspected = Request<InspectedBody<Full<Bytes>>>;

#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let (service, mut handle) = mock::pair::<Inspected, Response<Full<Bytes>>>();
    handle.allow(0);
    let layer = BodyCheckLayer::new(Recorder::new());
    let mut service = mock::Spawn::new(layer.layer(service));
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());

    let mut response = task::spawn(service.call(Request::new(Full::from("1"))));
    assert_pending!(response.poll());
    let (seen, send) = handle.next_request().await.unwrap();
    assert_eq!(seen.extensions().get::<&str>(), Some(&"from the check"));
    assert_eq!(seen.into_body().collect().await.unwrap().to_bytes(), "1");
    send.send_response(Response::default());
    assert_ready_ok!(response.poll());
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through() {
    for limits in [None, Some(BodyLimits::default())] {
        let (service, mut handle) = mock::pair::<Inspected, Response<Full<Bytes>>>();
        let layer = BodyCheckLayer::new(Recorder { limits, ..Recorder::new() });
        let mut service = mock::Spawn::new(layer.layer(service));
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(Request::new(Full::from("1"))));
        assert_pending!(response.poll());
        handle.next_request().await.unwrap().1.send_error("the inner service failed");
        assert_eq!(response.await.unwrap_err().to_string(), "the inner service failed");
    }
}

#[tokio::test]
async fn a_refused_request_gives_its_permit_back() {
    let handler = Handler::default();
    let mut service = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(Recorder::limited(1, seconds(1))))
        .concurrency_limit(1)
        .service_fn(move |request| handler.clone().handle(request));
    for _ in 0..3 {
        for (steps, status) in [(vec![data("12")], 413), (vec![Step::Fail], 400), (vec![data("1")], 200)] {
            let future = service.ready().await.unwrap().call(Script::new(steps).request());
            assert_eq!(future.await.unwrap().status(), status);
        }
    }
}

#[tokio::test]
async fn a_future_dropped_at_any_stage_gives_its_permit_back() {
    let later = Arc::new(Notify::new());
    let inner = service_fn(|_: Request<InspectedBody<Script>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let mut service = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(Recorder { later: Some(Arc::clone(&later)), ..Recorder::new() }))
        .concurrency_limit(1)
        .service(inner);

    // Made, not polled.
    drop(service.ready().await.unwrap().call(Script::new([data("1")]).request()));
    // Polled, while the body arrives.
    let mut future = Box::pin(service.ready().await.unwrap().call(Script::new([data("1"), Step::Hang]).request()));
    assert!(future.as_mut().now_or_never().is_none());
    assert!(service.ready().now_or_never().is_some(), "it holds no permit while it waits");
    drop(future);
    // Waiting for the verdict.
    let mut future = Box::pin(service.ready().await.unwrap().call(Script::new([data("1")]).request()));
    assert!(future.as_mut().now_or_never().is_none());
    drop(future);
    // Let through, waiting for the inner service.
    let mut future = Box::pin(service.ready().await.unwrap().call(Script::new([data("1")]).request()));
    later.notify_one();
    assert!(future.as_mut().now_or_never().is_none());
    assert!(service.ready().now_or_never().is_none(), "the permit is taken");
    drop(future);
    assert!(service.ready().now_or_never().is_some(), "and came back");
}

#[test]
fn limits_are_checked_when_they_are_made() {
    for (bytes, timeout, value) in [
        (0, seconds(1), "0"),
        ((256 << 20) + 1, seconds(1), "268435457"),
        (1, Duration::ZERO, "0ns"),
        (1, Duration::from_micros(999), "999µs"),
        (1, seconds(601), "601s"),
        (1, Duration::MAX, "18446744073709551615.999999999s"),
    ] {
        let error = BodyLimits::new(bytes, timeout).unwrap_err();
        assert_eq!((error.kind(), error.refused_value()), (ConfigErrorKind::BodyLimits, Some(value)));
    }
    for (bytes, timeout) in [(1, Duration::from_millis(1)), (256 << 20, seconds(600))] {
        let limits = BodyLimits::new(bytes, timeout).unwrap();
        assert_eq!((limits.max_bytes(), limits.timeout()), (bytes, timeout));
    }
    assert_eq!(BodyLimits::default(), BodyLimits::new(1 << 20, seconds(10)).unwrap());
}

#[test]
fn layers_and_services_are_send_sync_clone_whatever_the_body() {
    fn is_all<T: Send + Sync + Clone>(_: &T) {}

    let shared: Arc<dyn BodyCheck> = Arc::new(Recorder::new());
    let layer = BodyCheckLayer::new(shared).respond_with(EmptyBody);
    is_all(&layer);
    is_all(&layer.layer(service_fn(|_: Request<InspectedBody<std::rc::Rc<()>>>| async {
        Ok::<_, Infallible>(Response::new(std::rc::Rc::new(())))
    })));
}

/// A service with the bounds of rmcp's `StreamableHttpService` (3.1.4), and its response body.
#[derive(Clone)]
struct LikeRmcp;

impl<RequestBody> Service<Request<RequestBody>> for LikeRmcp
where
    RequestBody: Body + Send + 'static,
    RequestBody::Error: Display,
    RequestBody::Data: Send + 'static,
{
    type Response = Response<BoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(async move {
            let mut read = Vec::new();
            let mut body = std::pin::pin!(request.into_body());
            while let Some(frame) = body.frame().await {
                match frame.map(Frame::into_data) {
                    Ok(Ok(mut data)) => read.extend(data.copy_to_bytes(data.remaining())),
                    Ok(Err(_)) => {}
                    Err(error) => return Ok(Response::new(Full::from(error.to_string()).boxed())),
                }
            }
            Ok(Response::new(Full::from(read).boxed()))
        })
    }
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// Sends a request byte for byte, and reads until the server closes the connection.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(seconds(10), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn it_mounts_on_axum_and_on_a_service_like_rmcps() {
    let boxed = |rejection: &Rejection| Problem.respond(rejection).map(|body: Bytes| Full::new(body).boxed());
    let check = || {
        let seen = |request: &BufferedRequest<'_>| match request.trailers.is_some_and(|trailers| !trailers.is_empty()) {
            true if request.body == "refused" => Err(Rejection::new(RejectionKind::Forbidden, Reason::POLICY)),
            _ => Ok(()),
        };
        BodyCheckLayer::new(seen)
    };
    let app = Router::new()
        .route("/axum", post(async |body: String| body))
        .layer(ServiceBuilder::new().layer(check()).layer(check()))
        .route_service("/inside", check().layer(Router::new().fallback(async |body: String| body)))
        .route_service("/rmcp", check().respond_with(boxed).layer(LikeRmcp))
        .route_service("/rmcp-empty", check().respond_with(EmptyBody).layer(LikeRmcp))
        .nest_service("/rmcp-nested", LikeRmcp)
        .layer(check());
    let address = serve(app).await;

    for path in ["/axum", "/inside", "/rmcp", "/rmcp-empty", "/rmcp-nested"] {
        let start = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        let sized = raw(address, &format!("{start}Content-Length: 5\r\n\r\n12345")).await;
        assert!(sized.starts_with("HTTP/1.1 200 OK") && sized.ends_with("\r\n\r\n12345"), "{sized}");

        let chunked = |word: &str| {
            let size = word.len();
            format!(
                "{start}Trailer: x-a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nref\r\n{size:x}\r\n{word}\r\n0\r\nx-a: 1\r\n\r\n"
            )
        };
        let passed = raw(address, &chunked("erence")).await;
        assert!(passed.starts_with("HTTP/1.1 200 OK") && passed.ends_with("reference"), "{passed}");
        let refused = raw(address, &chunked("used")).await;
        assert!(refused.starts_with("HTTP/1.1 403 Forbidden"), "{refused}");

        // Refused by its head: nothing of it is read, and the client is not told to continue.
        let head = format!("{start}Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n");
        let refused = raw(address, &head).await;
        assert!(refused.starts_with("HTTP/1.1 413 Payload Too Large"), "{refused}");
    }
}

#[tokio::test]
async fn each_layer_of_a_stack_sees_the_same_body() {
    let (outer, inner, handler) = (Recorder::new(), Recorder::new(), Handler::default());
    let noted = handler.clone();
    let service = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(outer.clone()))
        .layer(BodyCheckLayer::new(inner.clone()))
        .service_fn(move |request| handler.clone().handle(request));
    let steps = [data("1"), data("2"), Step::Trailers(trailers())];
    assert_eq!(service.oneshot(Script::new(steps).request()).await.unwrap().status(), 200);
    assert_eq!(outer.seen(), inner.seen());
    let noted = noted.seen();
    assert_eq!((&*noted[0].body, noted[0].trailers.clone()), (&b"12"[..], Some(trailers())));
}
