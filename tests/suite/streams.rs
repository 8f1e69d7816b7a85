//! Responses that end when their credential expires or is revoked, while they are sent.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::Request,
    response::sse::{Event, Sse},
    routing::get,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{self, Duration},
};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    AuthMethod, Authenticator, Environment, Eventual, Identity, ManualClock, Principal, Reason, Rejection,
    RejectionKind, Unavailable, UnixTime,
    api_key::NewKey,
    audit::{AuditChannel, AuditLog, End, EventFormat, EventKind, FlatJson},
    auth::CredentialSource,
    caller::Recheck,
    jwt::{Algorithm, AwsAlb, Issuer, Jwt, VerifyingKey},
    layer::{AuditLayer, AuthLayer, StreamGuardLayer},
    revocation::{MemoryRevocationList, Revocation, RevocationList},
    scheme::{ApiKeyHeader, Bearer, Location},
    stream::{CredentialEnded, CredentialEndedKind, CredentialWatch},
    testing::{SigningKey, TestIssuer},
};

use crate::{
    aws_alb::{LOAD_BALANCER, sign_padded},
    endpoint::settle,
    introspection_endpoint::{self, Asking, active_with},
    support::{Mode, START, Stack, seconds},
    tokens::{AUDIENCE, rules},
};

/// A route with events that the test sends, behind layers by a clock that the test moves.
struct Events {
    clock: ManualClock,
    sender: mpsc::UnboundedSender<&'static str>,
    app: Router,
}

impl Events {
    fn new(auth: AuthLayer, clock: &ManualClock, set_up: impl FnOnce(StreamGuardLayer) -> StreamGuardLayer) -> Self {
        let auth = auth.environment(&Environment::default().with_clock(clock.clone()));
        let guard = set_up(auth.stream_guard());
        Self::with(clock, |routes| routes.layer(ServiceBuilder::new().layer(auth).layer(guard)))
    }

    fn with(clock: &ManualClock, layers: impl FnOnce(Router) -> Router) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(Mutex::new(Some(receiver)));
        let events = async move || Sse::new(events(receiver.lock().unwrap().take().unwrap()));
        Self { clock: clock.clone(), sender, app: layers(Router::new().route("/", get(events))) }
    }

    /// The events of a response to this request, whose first one was sent.
    async fn open(&self, name: &str, credential: &str) -> task::Spawn<BodyDataStream> {
        let request = Request::get("/").header(name, credential).body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut events = task::spawn(response.into_body().into_data_stream());
        self.assert_open(&mut events).await;
        events
    }

    /// The next event arrives, and none after it.
    async fn assert_open(&self, events: &mut task::Spawn<BodyDataStream>) {
        self.sender.send("hello").unwrap();
        assert_eq!(assert_ready!(events.poll_next()).unwrap().unwrap(), "data: hello\n\n");
        assert_pending!(events.poll_next());
    }

    /// Moves the clock and the timers.
    async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
        time::advance(duration).await;
        settle().await;
    }

    /// The reason by which the events have ended.
    #[track_caller]
    fn assert_ended(&self, events: &mut task::Spawn<BodyDataStream>, kind: CredentialEndedKind) -> Reason {
        assert!(events.is_woken());
        let error = assert_ready!(events.poll_next()).unwrap().unwrap_err().into_inner();
        let ended = error.downcast_ref::<CredentialEnded>().unwrap();
        assert_eq!(ended.kind(), kind, "{error:?}");
        assert!(assert_ready!(events.poll_next()).is_none(), "nothing is after the error");
        assert!(self.sender.is_closed(), "the handler's stream is dropped");
        ended.reason()
    }
}

fn events(receiver: mpsc::UnboundedReceiver<&'static str>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(receiver, async |mut receiver| {
        let text = receiver.recv().await?;
        Some((Ok(Event::default().data(text)), receiver))
    })
}

fn issuer() -> (ManualClock, TestIssuer, Jwt) {
    let clock = ManualClock::at(START);
    let issuer = TestIssuer::new("https://issuer.test").environment(&Environment::default().with_clock(clock.clone()));
    let jwt = Jwt::new(rules(&issuer), issuer.clone());
    (clock, issuer, jwt)
}

#[tokio::test(start_paused = true)]
async fn the_audit_event_of_a_stream_has_the_reason_for_which_its_credential_has_ended() {
    let (clock, issuer, jwt) = issuer();
    let (sink, mut recorded) = AuditChannel::new(10);
    let auth = AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock.clone()));
    let layers = ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(sink))).layer(auth.clone());
    let app = Events::with(&clock, |routes| routes.layer(layers.layer(auth.stream_guard())));
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    app.pass(seconds(360)).await;
    assert!(assert_ready!(events.poll_next()).unwrap().is_err());
    let event = recorded.try_recv().unwrap();
    let EventKind::Request(request) = &event.kind else { panic!("{event:?}") };
    assert_eq!((request.end, request.end_reason.map(Reason::as_str)), (End::CredentialEnded, Some("expired")));
    assert!(request.is_admitted() && !request.is_ordinary());
    let mut line = Vec::new();
    FlatJson::default().write(&event, &mut line);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&line["end"], &line["end_reason"]), (&"credential_ended".into(), &"expired".into()));
}

/// A token that expires after 300 seconds, and is accepted for the clock skew of 60 seconds more.
fn bearer(issuer: &TestIssuer) -> String {
    format!("Bearer {}", issuer.token("alice").audience(AUDIENCE).sign())
}

// (156)
#[tokio::test(start_paused = true)]
async fn stream_ends_with_an_error_in_the_second_in_which_its_token_is_refused() {
    let (clock, issuer, jwt) = issuer();
    let app = Events::new(AuthLayer::new(jwt), &clock, |guard| guard.interval(seconds(3600)));
    let token = issuer.token("alice").audience(AUDIENCE).expires_in(seconds(200)).sign();
    let mut events = app.open("authorization", &format!("Bearer {token}")).await;
    app.pass(seconds(259)).await;
    assert!(!events.is_woken(), "no timer fires before");
    app.assert_open(&mut events).await;
    app.pass(seconds(1)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Expired);
}

#[tokio::test(start_paused = true)]
async fn stream_goes_on_without_the_layer() {
    let (clock, issuer, jwt) = issuer();
    let auth = AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock.clone()));
    let app = Events::with(&clock, |routes| routes.layer(auth));
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    app.pass(seconds(100_000)).await;
    assert!(!events.is_woken());
    app.assert_open(&mut events).await;
}

// (157)
#[tokio::test(start_paused = true)]
async fn stream_ends_at_the_next_check_after_its_token_was_revoked() {
    let (clock, issuer, jwt) = issuer();
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let app = Events::new(AuthLayer::new(jwt).revocations(list.clone()), &clock, |guard| guard);
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    app.pass(seconds(10)).await;
    assert_pending!(events.poll_next());
    list.revoke(Revocation::subject(issuer.name(), "alice", START), None).unwrap();
    app.pass(seconds(9)).await;
    assert!(!events.is_woken());
    app.pass(seconds(1)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Revoked);
}

/// A stack of API keys, with the guard.
async fn keys(set_up: impl FnOnce(StreamGuardLayer) -> StreamGuardLayer) -> (Stack, Events) {
    let stack = Stack::new();
    let app = Events::new(AuthLayer::new(stack.keys.clone()), &stack.clock, set_up);
    (stack, app)
}

// (157)
#[tokio::test(start_paused = true)]
async fn stream_ends_at_the_next_check_after_its_key_was_revoked() {
    let (stack, app) = keys(|guard| guard.interval(seconds(5))).await;
    let (record, key) = stack.alice().await;
    let mut events = app.open("x-api-key", key.expose()).await;
    // Longer than the key is cached.
    for _ in 0..20 {
        app.pass(seconds(5)).await;
        assert_pending!(events.poll_next());
    }
    assert_eq!(stack.store.finds(), 4, "checks use the cache, which lasts 30 seconds");
    stack.keys.revoke(&record.id).await.unwrap();
    app.pass(seconds(5)).await;
    assert_pending!(events.poll_next());
    settle().await;
    app.assert_ended(&mut events, CredentialEndedKind::Revoked);
}

#[tokio::test(start_paused = true)]
async fn stream_ends_when_the_grace_period_of_a_rotated_key_ends() {
    let (stack, app) = keys(|guard| guard).await;
    let (record, key) = stack.alice().await;
    let mut events = app.open("x-api-key", key.expose()).await;
    stack.keys.rotate(&record.id, seconds(25)).await.unwrap();
    for elapsed in [10, 10] {
        app.pass(seconds(elapsed)).await;
        assert_pending!(events.poll_next());
        settle().await;
        assert_pending!(events.poll_next());
    }
    app.pass(seconds(4)).await;
    assert!(!events.is_woken());
    app.pass(seconds(1)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Expired);
}

#[tokio::test(start_paused = true)]
async fn stream_ends_when_the_key_of_its_token_leaves_the_key_set() {
    let (clock, issuer, _) = issuer();
    let key = Arc::new(VerifyingKey::from_jwk(&issuer.key().jwk().to_string()).unwrap());
    let jwt = Jwt::new(rules(&issuer), OneKey(Arc::clone(&key)));
    let app = Events::new(AuthLayer::new(jwt), &clock, |guard| guard);
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    app.pass(seconds(10)).await;
    assert_pending!(events.poll_next());
    key.retire();
    app.pass(seconds(10)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Revoked);
}

struct OneKey(Arc<VerifyingKey>);

impl tower_warden::jwt::KeySource for OneKey {
    fn find(&self, _: &tower_warden::jwt::KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        Eventual::Now(Ok(Some(Arc::clone(&self.0))))
    }
}

#[tokio::test(start_paused = true)]
async fn credential_without_an_end_costs_no_timer() {
    let identity = Identity::new("alice", AuthMethod::Custom("forever"));
    let app = Events::new(AuthLayer::new(Always(Arc::new(identity))), &ManualClock::at(START), |guard| guard);
    let mut events = app.open("authorization", "Bearer forever").await;
    app.pass(seconds(100 * 365 * 24 * 3600)).await;
    assert!(!events.is_woken());
    app.assert_open(&mut events).await;
}

struct Always(Arc<Identity>);

impl Authenticator for Always {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn accepts(&self, _: &tower_warden::Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &tower_warden::Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        Eventual::Now(Ok(Arc::clone(&self.0)))
    }
}

/// A credential without an end that is checked by a function.
fn rechecked(recheck: impl Fn() -> Rechecked + Send + Sync + 'static) -> Always {
    let mut identity = Identity::new("alice", AuthMethod::Custom("session"));
    identity.recheck = Some(Arc::new(By(recheck)));
    Always(Arc::new(identity))
}

type Rechecked = Eventual<Result<Option<Arc<Identity>>, Rejection>>;

struct By<F>(F);

impl<F: Fn() -> Rechecked + Send + Sync> Recheck for By<F> {
    fn recheck(&self, _: UnixTime) -> Rechecked {
        (self.0)()
    }
}

fn refused(kind: RejectionKind) -> Rechecked {
    Eventual::Now(Err(Rejection::new(kind, const { Reason::custom("session_closed") })))
}

#[tokio::test(start_paused = true)]
async fn stream_of_two_credentials_ends_with_the_first_of_them() {
    for (of_key, of_token) in [(100, 1_000), (1_000, 100)] {
        let (stack, (_, issuer, _)) = (Stack::new(), issuer());
        let (_, key) = stack.mint(NewKey::new("agent").expires_in(seconds(of_key))).await;
        let jwt = Jwt::new(rules(&issuer).skew(seconds(0)).unwrap(), issuer.clone());
        let auth = AuthLayer::new(stack.keys.clone())
            .without_scheme("Bearer")
            .scheme(ApiKeyHeader::from(Location::header("x-api-key")))
            .acting_for(CredentialSource::new(jwt))
            .unwrap();
        let app = Events::new(auth, &stack.clock, |guard| guard.interval(seconds(3600)));
        let token = issuer.token("alice").audience(AUDIENCE).expires_in(seconds(of_token)).sign();
        let request =
            Request::get("/").header("x-api-key", key.expose()).header("authorization", format!("Bearer {token}"));
        let response = app.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let mut events = task::spawn(response.into_body().into_data_stream());
        app.assert_open(&mut events).await;
        app.pass(seconds(99)).await;
        assert!(!events.is_woken());
        app.pass(seconds(1)).await;
        app.assert_ended(&mut events, CredentialEndedKind::Expired);
    }
}

/// A list that does not answer while it is down, and counts.
#[derive(Clone, Default)]
struct Switched {
    is_down: Arc<AtomicBool>,
    is_revoked: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    queries: Arc<AtomicUsize>,
}

impl RevocationList for Switched {
    fn is_revoked(&self, _: &Identity) -> Eventual<Result<bool, Unavailable>> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        match (self.is_down.load(Ordering::Relaxed), self.hangs.load(Ordering::Relaxed)) {
            (_, true) => Eventual::later(std::future::pending()),
            (true, _) => Eventual::Now(Err(Unavailable::new("the switched list"))),
            _ => Eventual::Now(Ok(self.is_revoked.load(Ordering::Relaxed))),
        }
    }
}

// (158)
#[tokio::test(start_paused = true)]
async fn stream_survives_a_short_outage_of_the_list_and_ends_in_a_long_one() {
    let (clock, issuer, jwt) = issuer();
    let list = Switched::default();
    let app = Events::new(AuthLayer::new(jwt).revocations(list.clone()), &clock, |guard| guard);
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    let mut pass = async |ten_seconds: usize| {
        for _ in 0..ten_seconds {
            app.pass(seconds(10)).await;
            assert_pending!(events.poll_next());
        }
    };
    list.is_down.store(true, Ordering::Relaxed);
    pass(5).await;
    list.is_down.store(false, Ordering::Relaxed);
    pass(1).await;
    list.is_down.store(true, Ordering::Relaxed);
    // One minute from the first check that fails.
    pass(6).await;
    app.pass(seconds(10)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Unavailable);
}

// (158)
#[tokio::test(start_paused = true)]
async fn outage_ends_a_stream_after_the_grace_period_also_if_checks_are_rare() {
    for recovers in [true, false] {
        let list = Switched::default();
        let auth = AuthLayer::new(rechecked(|| Eventual::Now(Ok(None)))).revocations(list.clone());
        let app = Events::new(auth, &ManualClock::at(START), |guard| guard.interval(seconds(3600)));
        let mut events = app.open("authorization", "Bearer session").await;
        list.is_down.store(true, Ordering::Relaxed);
        for elapsed in [3600, 59] {
            app.pass(seconds(elapsed)).await;
            app.assert_open(&mut events).await;
        }
        list.is_down.store(!recovers, Ordering::Relaxed);
        app.pass(seconds(1)).await;
        if recovers {
            app.assert_open(&mut events).await;
        } else {
            app.assert_ended(&mut events, CredentialEndedKind::Unavailable);
        }
    }
}

// (157, 158)
#[tokio::test(start_paused = true)]
async fn outage_of_the_authenticator_hides_no_revocation_of_the_list() {
    let list = Switched::default();
    let auth = AuthLayer::new(rechecked(|| refused(RejectionKind::Unavailable))).revocations(list.clone());
    let app = Events::new(auth, &ManualClock::at(START), |guard| guard);
    let mut events = app.open("authorization", "Bearer session").await;
    app.pass(seconds(10)).await;
    assert_pending!(events.poll_next());
    list.is_revoked.store(true, Ordering::Relaxed);
    app.pass(seconds(10)).await;
    let reason = app.assert_ended(&mut events, CredentialEndedKind::Revoked);
    assert_eq!(reason.to_string(), "revoked");
}

// (157, 158)
#[tokio::test(start_paused = true)]
async fn outage_of_the_list_hides_no_revocation_of_the_authenticator() {
    let (list, is_open) = (Switched::default(), Arc::new(AtomicBool::new(true)));
    let session = Arc::clone(&is_open);
    let recheck = move || match session.load(Ordering::Relaxed) {
        true => Eventual::Now(Ok(None)),
        false => refused(RejectionKind::Invalid),
    };
    let auth = AuthLayer::new(rechecked(recheck)).revocations(list.clone());
    let app = Events::new(auth, &ManualClock::at(START), |guard| guard);
    let mut events = app.open("authorization", "Bearer session").await;
    list.is_down.store(true, Ordering::Relaxed);
    app.pass(seconds(10)).await;
    assert_pending!(events.poll_next());
    is_open.store(false, Ordering::Relaxed);
    app.pass(seconds(10)).await;
    let reason = app.assert_ended(&mut events, CredentialEndedKind::Revoked);
    assert_eq!(reason.to_string(), "session_closed");
}

// (158)
#[tokio::test(start_paused = true)]
async fn authenticator_that_hangs_is_an_outage_and_does_not_hinder_the_list() {
    for is_revoked in [false, true] {
        let list = Switched::default();
        let recheck = || Eventual::later(std::future::pending());
        let auth = AuthLayer::new(rechecked(recheck)).revocations(list.clone());
        let app = Events::new(auth, &ManualClock::at(START), |guard| guard.outage_grace(Duration::ZERO));
        let mut events = app.open("authorization", "Bearer session").await;
        list.is_revoked.store(is_revoked, Ordering::Relaxed);
        app.pass(seconds(10)).await;
        assert_pending!(events.poll_next());
        app.pass(seconds(5)).await;
        let (kind, expected) = match is_revoked {
            true => (CredentialEndedKind::Revoked, "revoked"),
            false => (CredentialEndedKind::Unavailable, "recheck_unavailable"),
        };
        assert_eq!(app.assert_ended(&mut events, kind).to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn changed_identity_that_names_no_check_is_still_checked() {
    let checks = AtomicUsize::new(0);
    let recheck = move || match checks.fetch_add(1, Ordering::Relaxed) {
        0 => Eventual::Now(Ok(Some(Arc::new(Identity::new("alice", AuthMethod::Custom("session")))))),
        _ => refused(RejectionKind::Invalid),
    };
    let app = Events::new(AuthLayer::new(rechecked(recheck)), &ManualClock::at(START), |guard| guard);
    let mut events = app.open("authorization", "Bearer session").await;
    app.pass(seconds(10)).await;
    assert_pending!(events.poll_next());
    app.pass(seconds(10)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Revoked);
}

#[tokio::test(start_paused = true)]
async fn interval_is_between_a_second_and_a_day() {
    for (interval, actual) in [(Duration::ZERO, 1), (Duration::MAX, 24 * 3600)] {
        let recheck = || refused(RejectionKind::Invalid);
        let app = Events::new(AuthLayer::new(rechecked(recheck)), &ManualClock::at(START), |guard| {
            guard.interval(interval).outage_grace(Duration::MAX)
        });
        let mut events = app.open("authorization", "Bearer session").await;
        app.pass(seconds(actual) - Duration::from_millis(1)).await;
        assert_pending!(events.poll_next());
        app.pass(Duration::from_millis(1)).await;
        app.assert_ended(&mut events, CredentialEndedKind::Revoked);
    }
}

#[tokio::test(start_paused = true)]
async fn stream_of_an_opaque_token_without_an_expiry_ends_when_it_is_too_old() {
    let asking = Asking::with(introspection_endpoint::issuer().max_lifetime(seconds(600)), |builder| builder);
    asking.endpoint.say("token", &active_with(serde_json::json!({ "iat": START.as_secs() - 100 })));
    let app = Events::new(AuthLayer::new(asking.introspection.clone()), &asking.clock, |guard| guard);
    let mut events = app.open("authorization", "Bearer token").await;
    app.pass(seconds(499)).await;
    app.assert_open(&mut events).await;
    app.pass(seconds(1)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Expired);
    asking.send("token").await.assert_invalid("lifetime");
}

// (157)
#[tokio::test(start_paused = true)]
async fn stream_of_a_load_balancers_token_ends_when_its_key_is_retired() {
    let (clock, signing) = (ManualClock::at(START), SigningKey::generate(Algorithm::ES256));
    let key = Arc::new(VerifyingKey::from_jwk(&signing.jwk().to_string()).unwrap());
    let issuer = Issuer::new("https://idp.example.com", "client-1").unwrap();
    let alb = AwsAlb::new([LOAD_BALANCER], issuer, OneKey(Arc::clone(&key))).unwrap();
    let app = Events::new(AuthLayer::new(alb), &clock, |guard| guard);
    let claims = serde_json::json!({
        "iss": "https://idp.example.com", "sub": "alice", "exp": START.as_secs() + 1_000, "alg": "ES256",
        "signer": LOAD_BALANCER, "client": "client-1",
    });
    let token = sign_padded(&claims.to_string(), &claims.to_string(), &signing);
    let mut events = app.open("x-amzn-oidc-data", &token).await;
    app.pass(seconds(10)).await;
    assert_pending!(events.poll_next());
    key.retire();
    app.pass(seconds(10)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Revoked);
}

#[tokio::test(start_paused = true)]
async fn outage_ends_a_stream_at_once_if_it_is_configured_so() {
    let (clock, issuer, jwt) = issuer();
    let list = Switched::default();
    let auth = AuthLayer::new(jwt).revocations(list.clone());
    let app = Events::new(auth, &clock, |guard| guard.outage_grace(Duration::ZERO));
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    list.is_down.store(true, Ordering::Relaxed);
    app.pass(seconds(10)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Unavailable);
}

// (158)
#[tokio::test(start_paused = true)]
async fn list_that_hangs_does_not_delay_the_expiry() {
    let (clock, issuer, jwt) = issuer();
    let list = Switched::default();
    let auth = AuthLayer::new(jwt).revocations(list.clone());
    let app = Events::new(auth, &clock, |guard| guard.interval(seconds(358)).outage_grace(seconds(1_000)));
    let mut events = app.open("authorization", &bearer(&issuer)).await;
    list.hangs.store(true, Ordering::Relaxed);
    app.pass(seconds(300)).await;
    assert_pending!(events.poll_next());
    app.pass(seconds(58)).await;
    assert_pending!(events.poll_next());
    app.pass(seconds(2)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Expired);
}

#[tokio::test(start_paused = true)]
async fn key_store_that_fails_ends_a_stream_after_the_grace_period() {
    let (stack, app) = keys(|guard| guard.outage_grace(seconds(20))).await;
    let (record, key) = stack.alice().await;
    let mut events = app.open("x-api-key", key.expose()).await;
    stack.store.set(Mode::Fail);
    stack.store.tell(&tower_warden::api_key::KeyChange::Changed(record.id));
    // 20 seconds from the first check that fails.
    for _ in 0..2 {
        app.pass(seconds(10)).await;
        assert_pending!(events.poll_next());
    }
    app.pass(seconds(10)).await;
    app.assert_ended(&mut events, CredentialEndedKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn download_that_never_waits_ends() {
    let (clock, issuer, jwt) = issuer();
    let auth = AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock.clone()));
    let guard = auth.stream_guard();
    let chunks = async || Body::from_stream(stream::repeat(Ok::<_, Infallible>(Bytes::from_static(b"data"))));
    let app = Router::new().route("/", get(chunks)).layer(ServiceBuilder::new().layer(auth).layer(guard));
    let request = Request::get("/").header("authorization", bearer(&issuer)).body(Body::empty()).unwrap();
    let mut chunks = app.oneshot(request).await.unwrap().into_body().into_data_stream();
    for _ in 0..10 {
        assert!(chunks.next().await.unwrap().is_ok());
    }
    clock.advance(seconds(360));
    time::advance(seconds(360)).await;
    assert!(chunks.next().await.unwrap().is_err());
    assert!(chunks.next().await.is_none());
}

/// Handlers whose response is sent when the token is no longer valid: as a whole, and in two parts.
fn late(clock: &ManualClock, auth: AuthLayer) -> Router {
    let auth = auth.environment(&Environment::default().with_clock(clock.clone()));
    let guard = auth.stream_guard();
    let (first, second) = (clock.clone(), clock.clone());
    let one = async move || {
        first.advance(seconds(360));
        "whole"
    };
    let two = async move || {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from("first"))]);
        // The server has polled for the second part before the timer fires.
        let second = stream::poll_fn(move |_| {
            second.advance(seconds(360));
            std::task::Poll::Pending
        });
        Body::from_stream(first.chain(second))
    };
    let routes = Router::new().route("/one", get(one)).route("/two", get(two));
    routes.layer(ServiceBuilder::new().layer(auth).layer(guard))
}

/// The bytes of a response on a real connection, up to its end.
async fn received(app: Router, path: &str, authorization: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut connection = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: {authorization}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = connection.read_to_end(&mut bytes).await;
    server.abort();
    String::from_utf8(bytes).unwrap()
}

// (156)
#[tokio::test(start_paused = true)]
async fn client_sees_that_a_response_was_cut_off() {
    let (clock, issuer, jwt) = issuer();
    let response = received(late(&clock, AuthLayer::new(jwt)), "/two", &bearer(&issuer)).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("first"), "{response}");
    assert!(!response.ends_with("0\r\n\r\n"), "the last chunk would say that the response is complete");
}

#[tokio::test]
async fn response_of_one_piece_is_sent_whole() {
    let (clock, issuer, jwt) = issuer();
    let response = received(late(&clock, AuthLayer::new(jwt)), "/one", &bearer(&issuer)).await;
    assert!(response.ends_with("\r\n\r\nwhole"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn watch_ends_the_loop_of_a_handler_however_often_it_is_interrupted() {
    let (clock, issuer, jwt) = issuer();
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let auth = AuthLayer::new(jwt).revocations(list.clone());
    let auth = auth.environment(&Environment::default().with_clock(clock.clone()));
    let guard = auth.stream_guard();
    let handler = async move |caller: Principal, mut watch: CredentialWatch| {
        let mut messages = 0;
        let ended = loop {
            tokio::select! {
                ended = &mut watch => break ended,
                () = time::sleep(seconds(1)) => messages += 1,
            }
            if messages == 15 {
                list.revoke(Revocation::of(&caller).unwrap(), None).unwrap();
            }
        };
        let again = watch.await;
        assert_eq!(again.kind(), ended.kind(), "it stays complete");
        format!("{:?} after {messages}", ended.kind())
    };
    let app = Router::new().route("/", get(handler)).layer(ServiceBuilder::new().layer(auth).layer(guard));
    let request = Request::get("/").header("authorization", bearer(&issuer)).body(Body::empty()).unwrap();
    let response = crate::support::Answer::read(app.oneshot(request).await.unwrap()).await;
    assert!(["Revoked after 19", "Revoked after 20"].contains(&&*response.body), "{response:?}");
}

#[tokio::test(start_paused = true)]
async fn watch_of_a_request_without_a_credential_never_ends() {
    let (clock, _, jwt) = issuer();
    let auth = AuthLayer::new(jwt).optional().environment(&Environment::default().with_clock(clock));
    let guard = auth.stream_guard();
    let handler = async |watch: CredentialWatch| {
        assert!(time::timeout(seconds(1_000_000), watch).await.is_err());
    };
    let app = Router::new().route("/", get(handler)).layer(ServiceBuilder::new().layer(auth).layer(guard));
    assert_eq!(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn layer_outside_of_the_auth_layer_and_handler_without_the_layer_are_500() {
    let (_, issuer, jwt) = issuer();
    let issuer = issuer.environment(&Environment::default());
    let auth = AuthLayer::new(jwt);
    let routes = || Router::new().route("/", get(async |_: CredentialWatch| {}));
    let outside = routes().layer(ServiceBuilder::new().layer(auth.stream_guard()).layer(auth.clone()));
    for (app, reason) in [(outside, "auth_layer_missing"), (routes().layer(auth), "stream_guard_missing")] {
        let request = Request::get("/").header("authorization", bearer(&issuer)).body(Body::empty()).unwrap();
        let answer = crate::support::Answer::read(app.oneshot(request).await.unwrap()).await;
        answer.assert_reason(500, reason);
    }
}

/// The response of a route behind this layer and, inside of it, this guard.
async fn guarded(auth: &AuthLayer, guard: StreamGuardLayer, authorization: &str) -> crate::support::Answer {
    let layers = ServiceBuilder::new().layer(auth.clone()).layer(guard);
    let app = Router::new().route("/", get(async |_: CredentialWatch| {})).layer(layers);
    let request = Request::get("/").header("authorization", authorization).body(Body::empty()).unwrap();
    crate::support::Answer::read(app.oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn guard_that_was_made_before_the_list_was_set_is_500() {
    let (clock, issuer, jwt) = issuer();
    let auth = AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock));
    let guard = auth.stream_guard();
    let auth = auth.revocations(MemoryRevocationList::default());
    guarded(&auth, guard, &bearer(&issuer)).await.assert_reason(500, "stream_guard_mismatch");
    assert_eq!(guarded(&auth, auth.stream_guard(), &bearer(&issuer)).await.status, 200);
}

#[tokio::test]
async fn guard_that_was_made_before_the_clock_was_set_is_500() {
    let (clock, issuer, jwt) = issuer();
    let auth = AuthLayer::new(jwt);
    let guard = auth.stream_guard();
    let auth = auth.environment(&Environment::default().with_clock(clock));
    guarded(&auth, guard, &bearer(&issuer)).await.assert_reason(500, "stream_guard_mismatch");
}

#[tokio::test]
async fn guard_of_another_layer_is_500() {
    let (clock, issuer, jwt) = issuer();
    let environment = Environment::default().with_clock(clock);
    let [auth, other] = [jwt.clone(), jwt].map(|jwt| AuthLayer::new(jwt).environment(&environment));
    guarded(&auth, other.stream_guard(), &bearer(&issuer)).await.assert_reason(500, "stream_guard_mismatch");
}

#[tokio::test]
async fn guard_that_was_made_before_another_setting_is_accepted() {
    let (clock, issuer, jwt) = issuer();
    let auth = AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock));
    let guard = auth.stream_guard();
    assert_eq!(guarded(&auth.optional(), guard, &bearer(&issuer)).await.status, 200);
}

#[test]
fn debug_texts_show_no_credential() {
    let auth = AuthLayer::new(Always(Arc::new(Identity::new("alice", AuthMethod::Custom("forever")))));
    assert!(!format!("{:?}", auth.stream_guard()).contains("alice"));
}
