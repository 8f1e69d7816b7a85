//! Readiness, dropped futures, panics.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;
use tower_warden::{
    AuthMethod, Authenticator, Credential, Environment, Eventual, Identity, Policy, Presented, Principal, Reason,
    Rejection, RejectionKind, UnixTime,
    body::BufferedRequest,
    caller::OnAdmission,
    layer::{AuthLayer, AuthorizeLayer, BodyCheckLayer, ConcurrencyLayer},
    rate_limit::LimitBy,
    refusal::EmptyBody,
    request::Peer,
    scheme::{ApiKeyHeader, Bearer, CredentialKind, Scheme},
};

use crate::support::{Mode, Stack, answer, app, bearer, request, send};

/// Accepts whatever comes; `later` holds the verdict back until notified.
#[derive(Clone, Default)]
struct Anyone {
    later: Option<Arc<Notify>>,
}

impl Anyone {
    fn later() -> (Self, Arc<Notify>) {
        let notify = Arc::new(Notify::new());
        (Self { later: Some(Arc::clone(&notify)) }, notify)
    }
}

impl Authenticator for Anyone {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(ApiKeyHeader::default()), Arc::new(Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let identity = Ok(Arc::new(Identity::new("anyone", AuthMethod::Custom("test"))));
        match self.later.clone() {
            None => Eventual::Now(identity),
            Some(notify) => Eventual::later(async move {
                notify.notified().await;
                identity
            }),
        }
    }
}

/// A service that tells its clones apart: each is ready only after `poll_ready`, and panics if it is called before.
#[derive(Default)]
struct Picky {
    clones: Arc<AtomicUsize>,
    is_ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self { clones: Arc::clone(&self.clones), is_ready: false }
    }
}

impl Service<Request<Full<Bytes>>> for Picky {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        std::future::ready(Ok(Response::default()))
    }
}

fn environment(stack: &Stack) -> Environment {
    Environment::default().with_clock(stack.clock.clone())
}

fn token() -> Request<Full<Bytes>> {
    bearer("token").body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_verdict_that_is_here_calls_the_ready_service_without_a_clone() {
    let (inner, clones) = (Picky::default(), Arc::default());
    let inner = Picky { clones: Arc::clone(&clones), ..inner };
    let mut service = AuthLayer::new(Anyone::default()).layer(inner);
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(token()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_verdict_that_comes_later_gives_the_ready_service_back_and_calls_a_clone_that_is_ready() {
    let (anyone, notify) = Anyone::later();
    let clones: Arc<AtomicUsize> = Arc::default();
    let mut service = AuthLayer::new(anyone).layer(Picky { clones: Arc::clone(&clones), is_ready: false });
    for round in 1..4 {
        let future = service.ready().await.unwrap().call(token());
        notify.notify_one();
        assert_eq!(future.await.unwrap().status(), 200);
        // One replaces the ready service, and one waits with the request.
        assert_eq!(clones.load(Ordering::Relaxed), 2 * round);
    }
}

#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let (service, mut handle) = mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    handle.allow(0);
    let mut service = mock::Spawn::new(AuthLayer::new(Anyone::default()).layer(service));
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());

    let mut response = task::spawn(service.call(token()));
    assert_pending!(response.poll());
    let (seen, send) = handle.next_request().await.unwrap();
    assert_eq!(seen.extensions().get::<Principal>().unwrap().subject(), "anyone");
    send.send_response(Response::default());
    assert_ready_ok!(response.poll());
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through() {
    let (service, mut handle) = mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    let mut service = mock::Spawn::new(AuthLayer::new(Anyone::default()).layer(service));
    assert_ready_ok!(service.poll_ready());
    let response = service.call(token());
    handle.next_request().await.unwrap().1.send_error("the inner service failed");
    assert_eq!(response.await.unwrap_err().to_string(), "the inner service failed");
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_inner_service_and_uses_none_of_its_capacity() {
    let (service, mut handle) = mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    handle.allow(1);
    let mut service = mock::Spawn::new(AuthLayer::new(Anyone::default()).layer(service));
    assert_ready_ok!(service.poll_ready());
    let refused = service.call(request().body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_pending!(task::spawn(handle.next_request()).poll());

    // The one permit was not used up.
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(token()));
    assert_pending!(response.poll());
    assert!(handle.next_request().await.is_some());
}

#[tokio::test]
async fn a_concurrency_limit_inside_gets_its_permits_back() {
    for (anyone, notify) in [(Anyone::default(), None), {
        let (a, n) = Anyone::later();
        (a, Some(n))
    }] {
        let mut service = ServiceBuilder::new().layer(AuthLayer::new(anyone)).concurrency_limit(1).service_fn(answer);
        for _ in 0..3 {
            let future = service.ready().await.unwrap().call(token());
            if let Some(notify) = &notify {
                notify.notify_one();
            }
            assert_eq!(future.await.unwrap().status(), 200);
        }
        // Refused, with the permit in hand.
        let refused = service.ready().await.unwrap().call(request().body(Full::default()).unwrap());
        assert_eq!(refused.await.unwrap().status(), 401);
        let future = service.ready().await.unwrap().call(token());
        if let Some(notify) = &notify {
            notify.notify_one();
        }
        assert_eq!(future.await.unwrap().status(), 200);
    }
}

/// Asserts that a service which has refused a request holds no permit of the limit that it shares with its clone.
async fn assert_released<S, B, ResBody>(mut service: S, refused: Request<B>, admitted: Request<B>)
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = Infallible> + Clone,
{
    let mut clone = service.clone();
    assert!(service.ready().await.unwrap().call(refused).await.unwrap().status().as_u16() >= 400);
    let ready = clone.ready().now_or_never().expect("the permit is free").unwrap();
    assert_eq!(ready.call(admitted).await.unwrap().status(), 200);
}

#[tokio::test]
async fn refused_request_gives_back_the_capacity_of_the_inner_service() {
    let auth = AuthLayer::new(Anyone::default());
    let service = ServiceBuilder::new().layer(auth).concurrency_limit(1).service_fn(answer);
    assert_released(service, request().body(Full::default()).unwrap(), token()).await;
}

#[tokio::test]
async fn body_check_that_refuses_gives_back_the_capacity_of_the_inner_service() {
    let inner = async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()));
    let is_empty = Rejection::new(RejectionKind::BodyInvalid, Reason::custom("empty"));
    let check = move |request: &BufferedRequest<'_>| {
        if request.body.is_empty() { Err(is_empty.clone()) } else { Ok(()) }
    };
    let service = ServiceBuilder::new().layer(BodyCheckLayer::new(check)).concurrency_limit(1).service_fn(inner);
    let whole = || Request::new(Full::from("whole"));
    assert_released(service.clone(), Request::new(Full::<Bytes>::default()), whole()).await;
    let mut too_large = whole();
    too_large.headers_mut().insert("content-length", "1000000000".parse().unwrap());
    assert_released(service, too_large, whole()).await;
}

#[tokio::test]
async fn concurrency_layer_that_refuses_gives_back_the_capacity_of_the_inner_service() {
    let layer = ConcurrencyLayer::new(LimitBy::client_address(), std::num::NonZeroU32::MIN);
    let service = ServiceBuilder::new().layer(layer).concurrency_limit(1).service_fn(answer);
    let peer = Peer::new("192.0.2.1:4711".parse().unwrap());
    let admitted = request().extension(peer).body(Full::default()).unwrap();
    let unknown = request().body(Full::default()).unwrap();
    assert_released(service, unknown, admitted).await;
}

#[tokio::test]
async fn a_request_that_waits_for_a_verdict_holds_no_capacity_of_the_inner_service() {
    let (anyone, notify) = Anyone::later();
    let mut service = ServiceBuilder::new().layer(AuthLayer::new(anyone)).concurrency_limit(1).service_fn(answer);
    let mut waiting: Vec<_> = Vec::new();
    for _ in 0..3 {
        let mut future = Box::pin(service.ready().await.unwrap().call(token()));
        assert!(future.as_mut().now_or_never().is_none());
        waiting.push(future);
    }
    for future in waiting {
        notify.notify_one();
        assert_eq!(future.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn cached_callers_are_not_shed_while_others_wait_for_their_look_up() {
    let stack = Stack::new();
    let (_, cached) = stack.alice().await;
    stack.bearer(cached.expose()).await.assert_subject("alice");
    let auth = AuthLayer::new(stack.keys.clone()).environment(&environment(&stack));
    let service = ServiceBuilder::new().layer(auth).load_shed().concurrency_limit(1).service_fn(answer);
    stack.store.set(Mode::Hang);
    let unknown: Vec<_> = (0..10).map(|_| crate::support::unknown_key()).collect();
    let mut waiting = Vec::new();
    for key in &unknown {
        let request = bearer(key.expose()).body(Full::default()).unwrap();
        let mut future = Box::pin(service.clone().oneshot(request));
        assert!(future.as_mut().now_or_never().is_none());
        waiting.push(future);
    }
    let request = bearer(cached.expose()).body(Full::default()).unwrap();
    assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_whose_body_is_read_holds_no_capacity_of_the_inner_service() {
    use http_body_util::StreamBody;

    let (send, receive) = tokio::sync::mpsc::unbounded_channel::<Result<http_body::Frame<Bytes>, Infallible>>();
    let slow = StreamBody::new(futures_util::stream::unfold(receive, async |mut receive| {
        receive.recv().await.map(|frame| (frame, receive))
    }));
    let inner = async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()));
    let checks = BodyCheckLayer::new(|_: &BufferedRequest<'_>| Ok(()));
    let mut service = ServiceBuilder::new().layer(checks).concurrency_limit(1).service_fn(inner);
    let mut slow = Box::pin(service.ready().await.unwrap().call(Request::new(slow.boxed_unsync())));
    assert!(slow.as_mut().now_or_never().is_none());
    let whole = Full::from("whole").boxed_unsync();
    assert_eq!(service.ready().await.unwrap().call(Request::new(whole)).await.unwrap().status(), 200);
    drop(send);
    assert_eq!(slow.await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_error_of_the_inner_service_before_it_is_ready_passes_through() {
    let (anyone, notify) = Anyone::later();
    let (service, mut handle) = mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    let mut service = mock::Spawn::new(AuthLayer::new(anyone).layer(service));
    assert_ready_ok!(service.poll_ready());
    let response = service.call(token());
    handle.send_error("the inner service is closed");
    notify.notify_one();
    assert_eq!(response.await.unwrap_err().to_string(), "the inner service is closed");
}

#[tokio::test]
async fn a_future_dropped_at_any_stage_gives_its_permit_back() {
    let (anyone, notify) = Anyone::later();
    let inner =
        service_fn(|_: Request<Full<Bytes>>| std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let mut service = ServiceBuilder::new().layer(AuthLayer::new(anyone)).concurrency_limit(1).service(inner);

    // Made, not polled.
    drop(service.ready().await.unwrap().call(token()));
    // Polled, waiting for the verdict.
    let mut future = Box::pin(service.ready().await.unwrap().call(token()));
    assert!(future.as_mut().now_or_never().is_none());
    drop(future);
    // Admitted, waiting for the inner service.
    let mut future = Box::pin(service.ready().await.unwrap().call(token()));
    notify.notify_one();
    assert!(future.as_mut().now_or_never().is_none());
    assert!(service.ready().now_or_never().is_none(), "the permit is taken");
    drop(future);
    assert!(service.ready().now_or_never().is_some(), "and came back");
}

#[tokio::test]
async fn a_request_dropped_during_its_look_up_leaves_nothing_behind() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(Mode::Hang);
    for _ in 0..100 {
        assert!(stack.bearer(key.expose()).now_or_never().is_none());
    }
    stack.store.set(Mode::Answer);
    stack.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn a_tuple_asks_the_first_that_accepts_and_no_other() {
    /// Accepts bearers, and refuses them all.
    struct Never;

    impl Authenticator for Never {
        fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
            vec![Arc::new(Bearer::default())]
        }

        fn accepts(&self, credential: &Credential<'_>) -> bool {
            credential.kind() == CredentialKind::AccessToken
        }

        fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
            Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, Reason::custom("never"))))
        }
    }

    let either = app(&AuthLayer::new((Never, Anyone::default())));
    send(either.clone(), bearer("token")).await.assert_invalid("never");
    send(either, request().header("x-api-key", "token")).await.assert_subject("anyone");

    let shared: Arc<dyn Authenticator> = Arc::new(Anyone::default());
    send(app(&AuthLayer::new(shared)), bearer("token")).await.assert_subject("anyone");
}

#[tokio::test]
async fn two_sets_of_api_keys_stand_side_by_side() {
    use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey};

    let keys = |prefix| ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new(prefix).unwrap());
    let (live, test) = (keys("sk_live"), keys("sk_test"));
    let app = app(&AuthLayer::new((live.clone(), test.clone())));
    for (keys, owner) in [(live, "lisa"), (test, "tess")] {
        let (_, key) = keys.mint(NewKey::new(owner)).await.unwrap();
        send(app.clone(), bearer(key.expose())).await.assert_subject(owner);
        send(app.clone(), request().header("x-api-key", key.expose())).await.assert_subject(owner);
    }
}

#[tokio::test]
async fn the_credential_is_marked_as_sensitive_for_inner_layers() {
    let inner = service_fn(async |request: Request<Full<Bytes>>| {
        let seen = format!("{:?}", request.headers());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(seen)))
    });
    let service = AuthLayer::new(Anyone::default()).layer(inner);
    for request in [bearer("top-secret"), request().header("x-api-key", "top-secret")] {
        let seen = send(service.clone(), request).await;
        assert!(seen.status == 200 && seen.body.contains("Sensitive") && !seen.body.contains("top-secret"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_check_that_panics_is_500_without_detail() {
    // (141)
    struct Panics(bool);

    impl Authenticator for Panics {
        fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
            vec![Arc::new(Bearer::default())]
        }

        fn accepts(&self, _: &Credential<'_>) -> bool {
            true
        }

        fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
            assert!(self.0, "at once");
            Eventual::later(async { panic!("later") })
        }
    }

    impl Policy for Panics {
        fn decide(&self, _: &Principal, _: &tower_warden::Head<'_>) -> Eventual<Result<(), Rejection>> {
            assert!(self.0, "at once");
            Eventual::later(async { panic!("later") })
        }
    }

    for later in [false, true] {
        let answer = send(app(&AuthLayer::new(Panics(later))), bearer("token")).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("panicked")));
        assert!(!answer.body.contains("later") && !answer.body.contains("at once"), "{answer:?}");

        let service = ServiceBuilder::new()
            .layer(AuthLayer::new(Anyone::default()))
            .layer(AuthorizeLayer::new(Panics(later)))
            .service_fn(crate::support::answer);
        assert_eq!(send(service, bearer("token")).await.status, 500);
    }
}

#[tokio::test]
async fn a_policy_may_take_its_time() {
    struct Slow(bool);

    impl Policy for Slow {
        fn decide(&self, _: &Principal, _: &tower_warden::Head<'_>) -> Eventual<Result<(), Rejection>> {
            let verdict = if self.0 {
                Ok(())
            } else {
                Err(Rejection::new(RejectionKind::Unavailable, Reason::custom("policy_down")))
            };
            Eventual::later(async move {
                tokio::task::yield_now().await;
                verdict
            })
        }
    }

    for (allows, status) in [(true, 200), (false, 503)] {
        let service = ServiceBuilder::new()
            .layer(AuthLayer::new(Anyone::default()))
            .layer(AuthorizeLayer::new(Slow(allows)))
            .service_fn(answer);
        assert_eq!(send(service, bearer("token")).await.status, status);
    }
}

#[test]
fn layers_and_services_are_send_sync_clone_whatever_the_body() {
    fn is_all<T: Send + Sync + Clone>(_: &T) {}

    let layer = AuthLayer::new(Anyone::default()).respond_with(EmptyBody);
    is_all(&layer);
    is_all(&layer.layer(service_fn(|_: Request<std::rc::Rc<()>>| async {
        Ok::<_, Infallible>(Response::new(std::rc::Rc::new(())))
    })));
}

/// Panics when an identity is admitted.
struct PanickingObserver;

impl OnAdmission for PanickingObserver {
    fn admitted(&self, _: UnixTime) {
        panic!("an observer");
    }
}

impl Authenticator for PanickingObserver {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let mut identity = Identity::new("alice", AuthMethod::Custom("test"));
        identity.on_admission = Some(Arc::new(Self));
        Eventual::Now(Ok(Arc::new(identity)))
    }
}

#[tokio::test]
async fn an_observer_of_admissions_that_panics_is_500_and_lets_nobody_in() {
    let answer = send(app(&AuthLayer::new(PanickingObserver)), bearer("token")).await;
    answer.assert_reason(500, "panicked");
}
