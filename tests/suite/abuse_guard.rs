//! Callers under an alert of abuse, and the guard that refuses them.

use std::time::Duration;

use http::request::Builder;
use http_body_util::Full;
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    ConfigErrorKind, Environment, UnixTime,
    api_key::NewKey,
    audit::{AbuseGuard, Alert, AlertState, AuditChannel, AuditLog, Detection, Detector, EventKind, EventReceiver},
    auth::CredentialSource,
    jwt::{Issuer, Jwt},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer},
    request::Peer,
    scheme::{Bearer, Location},
    testing::TestIssuer,
};

use crate::{
    support::{Answer, START, Stack, answer, request},
    tokens::AUDIENCE,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A stack of all layers, with the times of the test.
struct Guarded {
    audit: AuditLayer,
    auth: AuthLayer,
    detector: Detector,
    events: EventReceiver,
    guard: AuthorizeLayer,
    stack: Stack,
}

impl Guarded {
    fn new(set: impl FnOnce(AbuseGuard) -> AbuseGuard) -> Self {
        Self::with(set, |auth| auth)
    }

    fn with(set: impl FnOnce(AbuseGuard) -> AbuseGuard, set_auth: impl FnOnce(AuthLayer) -> AuthLayer) -> Self {
        let stack = Stack::new();
        let environment = Environment::default().with_clock(stack.clock.clone());
        let (sink, events) = AuditChannel::new(100_000);
        let detector = Detector::new(sink);
        let audit = AuditLayer::new(AuditLog::new(detector.clone()).environment(&environment));
        let auth = set_auth(AuthLayer::new(stack.keys.clone()).environment(&environment));
        let guard = AuthorizeLayer::new(set(AbuseGuard::new(&detector)).environment(&environment));
        Self { audit, auth, detector, events, guard, stack }
    }

    async fn send(&self, request: Builder) -> Answer {
        let layers = ServiceBuilder::new().layer(&self.audit).layer(&self.auth).layer(&self.guard);
        let request = request.body(Full::default()).unwrap();
        Answer::read(layers.service_fn(answer).oneshot(request).await.unwrap()).await
    }

    async fn call(&self, key: &str) -> Answer {
        self.send(request().header("x-api-key", key)).await
    }

    async fn call_from(&self, address: [u8; 4], key: &str) -> Answer {
        let peer = Peer::new((address, 4711).into());
        self.send(request().header("x-api-key", key).extension(peer)).await
    }

    /// The alerts since the last call.
    fn alerts(&mut self) -> Vec<Alert> {
        let events = std::iter::from_fn(|| self.events.try_recv());
        let alerts = events.filter_map(|event| match event.kind {
            EventKind::Alert(alert) => Some(alert),
            _ => None,
        });
        alerts.collect()
    }
}

#[tokio::test]
async fn the_guard_refuses_a_caller_under_an_alert_until_it_is_calm() {
    let mut guarded = Guarded::new(|guard| guard);
    let (_, alice) = guarded.stack.mint(NewKey::new("alice")).await;
    let (_, bob) = guarded.stack.mint(NewKey::new("bob")).await;
    for _ in 0..2 {
        assert_eq!(guarded.call(alice.expose()).await.status, 200);
        guarded.stack.clock.advance(DAY);
    }
    for _ in 0..100 {
        assert_eq!(guarded.call(alice.expose()).await.status, 200);
    }
    let refused = guarded.call(alice.expose()).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (429, Some("abnormal_usage")));
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#abnormal-usage-detected");
    assert_eq!((&problem["status"], &problem["code"]), (&429.into(), &"abnormal_usage_detected".into()));
    assert!(refused.headers.contains(&("retry-after".to_owned(), "900".to_owned())), "{:?}", refused.headers);
    assert_eq!(guarded.call(bob.expose()).await.status, 200, "others are not refused");

    guarded.stack.clock.advance(Duration::from_secs(899));
    assert_eq!(guarded.call(alice.expose()).await.status, 429);
    guarded.stack.clock.advance(Duration::from_secs(1));
    assert_eq!(guarded.call(alice.expose()).await.status, 200);
    let states: Vec<_> = guarded.alerts().into_iter().map(|alert| alert.state).collect();
    assert_eq!(states, [AlertState::Raised, AlertState::Cleared]);
}

#[tokio::test]
async fn an_alert_of_the_future_refuses_nobody_after_the_clock_was_set_back() {
    let guarded = Guarded::new(|guard| guard);
    let (_, alice) = guarded.stack.mint(NewKey::new("alice")).await;
    for _ in 0..2 {
        assert_eq!(guarded.call(alice.expose()).await.status, 200);
        guarded.stack.clock.advance(DAY);
    }
    for _ in 0..100 {
        assert_eq!(guarded.call(alice.expose()).await.status, 200);
    }
    assert_eq!(guarded.call(alice.expose()).await.status, 429);
    // A correction by a few seconds admits nobody.
    guarded.stack.clock.set(UnixTime::from_secs(START.as_secs() + 2 * 86_400 - 30));
    assert_eq!(guarded.call(alice.expose()).await.status, 429);
    guarded.stack.clock.set(START);
    assert_eq!(guarded.call(alice.expose()).await.status, 200);
    assert_eq!(guarded.detector.alerts(), [], "its event has cleared the alert");
}

#[tokio::test]
async fn failures_in_the_name_of_a_caller_lock_it_out_only_if_that_is_declared() {
    for (is_declared, status) in [(false, 200), (true, 429)] {
        let set = |guard: AbuseGuard| if is_declared { guard.danger_refuse_after_failures() } else { guard };
        let mut guarded = Guarded::new(|guard| set(guard).detections([Detection::UnusualRate]).unwrap());
        let key = NewKey::new("alice").networks(["10.0.0.0/8".parse().unwrap()]);
        let (_, key) = guarded.stack.mint(key).await;
        for _ in 0..10 {
            assert_eq!(guarded.call_from([192, 0, 2, 7], key.expose()).await.reason, Some("network_forbidden"));
        }
        let detections: Vec<_> = guarded.alerts().into_iter().map(|alert| alert.detection).collect();
        assert_eq!(detections, [Detection::FailuresOfCaller, Detection::FailuresOfKey]);
        assert_eq!(guarded.call_from([10, 0, 0, 1], key.expose()).await.status, status, "{is_declared}");
        guarded.stack.clock.advance(Duration::from_secs(900));
        assert_eq!(guarded.call_from([10, 0, 0, 1], key.expose()).await.status, 200);
    }
}

#[tokio::test]
async fn a_guard_of_what_others_can_cause_or_nobody_detects_is_a_mistake() {
    let detector = Detector::builder(AuditChannel::new(1).0).without(Detection::RefusedScopes).build();
    for detection in [
        Detection::FailuresOfCaller,
        Detection::FailuresOfKey,
        Detection::FailuresOfPeer,
        Detection::FirstUseOfScope,
        Detection::FirstUseOfTool,
        Detection::ManyKeysFromPeer,
        Detection::RefusedScopes,
    ] {
        let error = AbuseGuard::new(&detector).detections([detection]).unwrap_err();
        assert_eq!((error.kind(), error.refused_value()), (ConfigErrorKind::Detection, Some(detection.as_str())));
    }
    for detection in [Detection::KeyInManyNetworks, Detection::UnusualRate] {
        assert!(AbuseGuard::new(&detector).detections([detection]).is_ok());
    }
}

/// A stack whose callers act for a user with a token.
fn acting() -> (Guarded, TestIssuer) {
    let issuer = TestIssuer::new("https://issuer.test");
    let jwt = Jwt::new(Issuer::new(issuer.name(), AUDIENCE).unwrap(), issuer.clone());
    let user = CredentialSource::new(jwt).scheme(Bearer::from(Location::header("x-user-token")));
    let guarded = Guarded::with(|guard| guard, |auth| auth.acting_for(user).unwrap());
    let environment = Environment::default().with_clock(guarded.stack.clock.clone());
    let issuer = issuer.environment(&environment);
    (guarded, issuer)
}

#[tokio::test]
async fn a_caller_that_acts_for_a_subject_under_an_alert_is_refused() {
    let (guarded, issuer) = acting();
    let (_, one) = guarded.stack.mint(NewKey::new("agent-1")).await;
    let (_, two) = guarded.stack.mint(NewKey::new("agent-2")).await;
    let token = |user: &str| issuer.token(user).audience(AUDIENCE).sign();
    let call = async |key: &str, token: &str| {
        let answer = guarded.send(request().header("x-api-key", key).header("x-user-token", token)).await;
        answer.status.as_u16()
    };
    for _ in 0..2 {
        assert_eq!(call(one.expose(), &token("alice")).await, 200);
        guarded.stack.clock.advance(DAY);
    }
    let (alice, bob) = (token("alice"), token("bob"));
    for _ in 0..100 {
        assert_eq!(call(one.expose(), &alice).await, 200);
    }
    assert_eq!(call(two.expose(), &alice).await, 429, "the subject is under an alert");
    assert_eq!(call(two.expose(), &bob).await, 200);
    assert_eq!(call(one.expose(), &bob).await, 429, "the caller is under an alert");
}

#[tokio::test]
async fn the_key_of_a_caller_and_the_token_of_the_subject_are_both_watched() {
    let (mut guarded, issuer) = acting();
    let (record, key) = guarded.stack.mint(NewKey::new("agent-1")).await;
    let token = |id: &str| issuer.token("alice").audience(AUDIENCE).claim("jti", id);
    let mut found = async |token: &str, first: u8| {
        for network in first..first + 8 {
            let peer = Peer::new(([198, 51, network, 9], 4711).into());
            let request = request().header("x-api-key", key.expose()).header("x-user-token", token).extension(peer);
            guarded.send(request).await;
        }
        let alerts = guarded.alerts().into_iter();
        let names = alerts.map(|alert| {
            assert_eq!(alert.detection, Detection::KeyInManyNetworks);
            let id = alert.key_id.or(alert.token_id).unwrap().into_string();
            (alert.subject.unwrap().into_string(), id)
        });
        names.collect::<Vec<_>>()
    };
    let expected = [("agent-1".to_owned(), record.id.to_string()), ("alice".to_owned(), "token-1".to_owned())];
    assert_eq!(found(&token("token-1").sign(), 0).await, expected);
    // The key is under an alert already; a token without an id is no key.
    assert_eq!(found(&token("").without("jti").sign(), 100).await, []);
    assert_eq!(found(&token("token-2").sign(), 200).await, [("alice".to_owned(), "token-2".to_owned())]);
}
