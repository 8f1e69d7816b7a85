//! Webhooks: signatures over bodies, their age, and their replay.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_warden::{
    Clock, ConfigError, Environment, Eventual, ManualClock, Timestamp, Unavailable, UnixTime,
    audit::{AuditChannel, AuditLog, End, EventKind},
    body::InspectedBody,
    layer::{AuditLayer, WebhookLayer},
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
        webhook::{Delivery, ReplayId, WebhookVerifier},
    },
};

use crate::support::{Answer, START, seconds};

pub const BODY: &str = r#"{"amount": 12}"#;

/// A verifier with a clock, in front of a handler that responds with the id and the body that it received.
#[derive(Clone)]
pub struct Hooks {
    pub clock: ManualClock,
    pub verifier: WebhookVerifier,
    app: BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>,
}

impl Hooks {
    pub fn new(scheme: PayloadScheme, keys: impl IntoIterator<Item = PayloadKey>) -> Self {
        Self::with(scheme, keys, Ok)
    }

    pub fn with(
        scheme: PayloadScheme,
        keys: impl IntoIterator<Item = PayloadKey>,
        set: impl FnOnce(WebhookVerifier) -> Result<WebhookVerifier, ConfigError>,
    ) -> Self {
        let clock = ManualClock::at(START);
        let environment = Environment::default().with_clock(clock.clone());
        let verifier = set(WebhookVerifier::new(scheme, keys).unwrap().environment(&environment)).unwrap();
        let app = ServiceBuilder::new().layer(WebhookLayer::new(verifier.clone())).service_fn(answer);
        Self { clock, verifier, app: BoxCloneSyncService::new(app) }
    }

    /// Sends a request with these fields.
    pub async fn send(&self, fields: &HeaderMap, body: &str) -> Answer {
        let mut request = Request::post("/hooks").body(Full::from(body.to_owned())).unwrap();
        request.headers_mut().extend(fields.clone());
        Answer::read(self.app.clone().oneshot(request).await.unwrap()).await
    }

    pub async fn accepts(&self, fields: &HeaderMap) {
        let answer = self.send(fields, BODY).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, BODY), "{answer:?}");
    }

    pub async fn refuses(&self, fields: &HeaderMap, body: &str, reason: &str) {
        assert_refused(&self.send(fields, body).await, reason);
    }
}

/// Every refusal of a webhook that is not authentic looks the same.
#[track_caller]
pub fn assert_refused(answer: &Answer, reason: &str) {
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some(reason)), "{answer:?}");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Webhook realm=\"api\", error=\"invalid_signature\", \
             error_description=\"The signature of the request is missing or invalid.\""
        )
    );
    assert_eq!(answer.json()["code"], "invalid_signature");
}

async fn answer(request: Request<InspectedBody<Full<Bytes>>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let delivery = Delivery::of(request.extensions()).cloned();
    let body = request.into_body().collect().await?.to_bytes();
    let delivery = delivery.expect("the layer admits no other request");
    assert_eq!(delivery.body(), &body, "the handler reads what was verified");
    Ok(Response::new(Full::new(body)))
}

pub fn secret() -> PayloadKey {
    PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

pub fn other_secret() -> PayloadKey {
    PayloadKey::standard_webhooks("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap()
}

/// The fields of a delivery of `BODY` with the id `msg_1`, signed at this time.
pub fn signed(scheme: PayloadScheme, key: PayloadKey, time: UnixTime) -> HeaderMap {
    sign(&PayloadSigner::new(scheme, key).unwrap(), time)
}

pub fn sign(signer: &PayloadSigner, time: UnixTime) -> HeaderMap {
    let (uri, time) = (Uri::from_static("/hooks"), Timestamp::from_millis(time.as_secs() * 1_000));
    signer.sign(&Payload::new(&Method::POST, &uri, BODY.as_bytes(), time).id("msg_1")).unwrap()
}

fn standard(key: PayloadKey, time: UnixTime) -> HeaderMap {
    signed(PayloadScheme::standard_webhooks(), key, time)
}

fn standard_hooks(keys: impl IntoIterator<Item = PayloadKey>) -> Hooks {
    Hooks::new(PayloadScheme::standard_webhooks(), keys)
}

#[derive(Deserialize)]
struct Vector {
    scheme: String,
    key: String,
    time: u64,
    fields: BTreeMap<String, String>,
    body: String,
}

#[tokio::test]
async fn published_deliveries_are_accepted_once_and_refused_with_another_body() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/webhooks/deliveries.json")).unwrap();
    for vector in vectors {
        let plain = || PayloadKey::secret(vector.key.as_bytes()).unwrap();
        let (scheme, key) = match &*vector.scheme {
            "github" => (PayloadScheme::github(), plain()),
            "slack" => (PayloadScheme::slack(), plain()),
            "standard_webhooks" => {
                (PayloadScheme::standard_webhooks(), PayloadKey::standard_webhooks(&vector.key).unwrap())
            }
            "stripe" => (PayloadScheme::stripe(), plain()),
            "timestamped" => (PayloadScheme::timestamped(), plain()),
            other => panic!("unknown: {other}"),
        };
        let hooks = Hooks::new(scheme, [key]);
        hooks.clock.set(UnixTime::from_secs(vector.time));
        let mut fields = HeaderMap::new();
        for (name, value) in &vector.fields {
            fields.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        hooks.refuses(&fields, &format!("{} ", vector.body), "payload_signature_wrong").await;
        let answer = hooks.send(&fields, &vector.body).await;
        assert_eq!((answer.status.as_u16(), answer.body), (200, vector.body.clone()), "{}", vector.scheme);
        hooks.refuses(&fields, &vector.body, "payload_replay").await;
    }
}

#[tokio::test]
async fn a_changed_body_id_or_timestamp_is_refused() {
    // (240)
    let (hooks, fields) = (standard_hooks([secret()]), standard(secret(), START));
    hooks.refuses(&fields, r#"{"amount": 13}"#, "payload_signature_wrong").await;
    hooks.refuses(&fields, "", "payload_signature_wrong").await;
    for (name, value) in [("webhook-id", "msg_2"), ("webhook-timestamp", "1800000001")] {
        let mut fields = fields.clone();
        fields.insert(name, value.parse().unwrap());
        hooks.refuses(&fields, BODY, "payload_signature_wrong").await;
    }
    hooks.accepts(&fields).await;
}

#[tokio::test]
async fn a_signature_with_each_bit_flipped_is_refused() {
    // (240)
    let (hooks, fields) = (standard_hooks([secret()]), standard(secret(), START));
    let signature = fields["webhook-signature"].to_str().unwrap().strip_prefix("v1,").unwrap().to_owned();
    let signature = BASE64_STANDARD.decode(signature).unwrap();
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut fields = fields.clone();
        fields.insert("webhook-signature", format!("v1,{}", BASE64_STANDARD.encode(flipped)).parse().unwrap());
        hooks.refuses(&fields, BODY, "payload_signature_wrong").await;
    }
}

#[tokio::test]
async fn a_stale_and_a_future_timestamp_are_refused_and_those_at_the_limit_accepted() {
    // (241)
    let hooks = standard_hooks([secret()]);
    hooks.refuses(&standard(secret(), START - seconds(301)), BODY, "payload_stale").await;
    hooks.refuses(&standard(secret(), START + seconds(61)), BODY, "payload_in_future").await;
    hooks.accepts(&standard(secret(), START - seconds(300))).await;
    hooks.accepts(&standard(secret(), START + seconds(60))).await;

    let hooks = Hooks::with(PayloadScheme::stripe(), [PayloadKey::secret(b"whsec_0123456789").unwrap()], |verifier| {
        verifier.tolerance(seconds(10), seconds(0))
    });
    let stripe = |time| signed(PayloadScheme::stripe(), PayloadKey::secret(b"whsec_0123456789").unwrap(), time);
    hooks.refuses(&stripe(START - seconds(11)), BODY, "payload_stale").await;
    hooks.refuses(&stripe(START + seconds(1)), BODY, "payload_in_future").await;
    hooks.accepts(&stripe(START - seconds(10))).await;
}

#[tokio::test]
async fn a_replay_is_refused_for_as_long_as_its_timestamp_is_valid_and_then_as_stale() {
    // (242)
    let (hooks, fields) = (standard_hooks([secret()]), standard(secret(), START));
    hooks.accepts(&fields).await;
    hooks.refuses(&fields, BODY, "payload_replay").await;
    hooks.clock.advance(seconds(300));
    hooks.refuses(&fields, BODY, "payload_replay").await;
    hooks.clock.advance(seconds(1));
    hooks.refuses(&fields, BODY, "payload_stale").await;
    // A clock that is set back makes nothing new.
    hooks.clock.set(START);
    hooks.refuses(&fields, BODY, "payload_replay").await;
}

#[tokio::test]
async fn a_replay_with_another_of_its_signatures_is_refused() {
    // (242): the sender signs with both secrets, and one signature is removed from the list.
    let signer =
        PayloadSigner::new(PayloadScheme::stripe(), PayloadKey::secret(b"whsec_the old one").unwrap()).unwrap();
    let signer = signer.and(PayloadKey::secret(b"whsec_the new one").unwrap()).unwrap();
    let hooks = Hooks::new(
        PayloadScheme::stripe(),
        [b"whsec_the old one", b"whsec_the new one"].map(|secret| PayloadKey::secret(secret).unwrap()),
    );
    let fields = sign(&signer, START);
    hooks.accepts(&fields).await;
    let list = fields["stripe-signature"].to_str().unwrap().to_owned();
    let [time, old, new] = *list.split(',').collect::<Vec<_>>() else { panic!("unexpected: {list}") };
    for list in [format!("{time},{old}"), format!("{time},{new}"), format!("{time},{new},{old}")] {
        let mut fields = fields.clone();
        fields.insert("stripe-signature", list.parse().unwrap());
        hooks.refuses(&fields, BODY, "payload_replay").await;
    }
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_accepted_by_delivery_and_refused_by_message() {
    // (242)
    let hooks = standard_hooks([secret()]);
    hooks.accepts(&standard(secret(), START)).await;
    hooks.accepts(&standard(secret(), START + seconds(1))).await;

    let by_message = |verifier: WebhookVerifier| verifier.replay_id(ReplayId::Message);
    let hooks = Hooks::with(PayloadScheme::standard_webhooks(), [secret()], by_message);
    hooks.accepts(&standard(secret(), START)).await;
    hooks.refuses(&standard(secret(), START + seconds(1)), BODY, "payload_replay").await;

    let github = WebhookVerifier::new(PayloadScheme::github(), [PayloadKey::secret(&[7; 16]).unwrap()]).unwrap();
    let error = github.replay_id(ReplayId::Message).unwrap_err();
    assert!(error.to_string().contains("the signature covers the id"), "{error}");
}

#[tokio::test]
async fn a_delivery_of_github_is_refused_again_with_another_id_until_its_window_ends() {
    // (242): the signature does not cover the id.
    let key = || PayloadKey::secret(b"It's a Secret to Everybody").unwrap();
    let hooks = Hooks::with(PayloadScheme::github(), [key()], |verifier| verifier.replay_window(seconds(120)));
    let mut fields = signed(PayloadScheme::github(), key(), START);
    assert_eq!(fields["x-github-delivery"], "msg_1");
    hooks.accepts(&fields).await;
    fields.insert("x-github-delivery", "msg_2".parse().unwrap());
    hooks.refuses(&fields, BODY, "payload_replay").await;
    hooks.clock.advance(seconds(120));
    hooks.refuses(&fields, BODY, "payload_replay").await;
    hooks.clock.advance(seconds(1));
    hooks.accepts(&fields).await;
}

#[tokio::test]
async fn of_secrets_in_rotation_old_and_new_are_accepted_and_a_removed_or_foreign_one_is_refused() {
    // (243)
    let hooks = standard_hooks([secret()]);
    hooks.refuses(&standard(other_secret(), START), BODY, "payload_signature_wrong").await;
    hooks.verifier.set_keys([secret(), other_secret()]).unwrap();
    hooks.accepts(&standard(secret(), START)).await;
    hooks.accepts(&standard(other_secret(), START + seconds(1))).await;
    hooks.verifier.set_keys([other_secret()]).unwrap();
    hooks.refuses(&standard(secret(), START + seconds(2)), BODY, "payload_signature_wrong").await;
    hooks.accepts(&standard(other_secret(), START + seconds(2))).await;
    // Of no keys, none would be checked.
    assert!(hooks.verifier.set_keys([]).is_err());
    hooks.refuses(&standard(secret(), START + seconds(3)), BODY, "payload_signature_wrong").await;
}

fn stripe(secret: &[u8]) -> PayloadKey {
    PayloadKey::secret(secret).unwrap()
}

#[tokio::test]
async fn a_request_that_was_received_during_a_rotation_is_a_replay_after_it() {
    // (242): the signature covers no id, and is by the secret that remains.
    let [old, new] = [b"whsec_the old one", b"whsec_the new one"].map(|secret| stripe(secret));
    let hooks = Hooks::new(PayloadScheme::stripe(), [old.clone(), new.clone()]);
    let fields = signed(PayloadScheme::stripe(), new.clone(), START);
    hooks.accepts(&fields).await;
    hooks.verifier.set_keys([new.clone()]).unwrap();
    hooks.refuses(&fields, BODY, "payload_replay").await;

    // By the old one, before the new one is added in front of it.
    let hooks = Hooks::new(PayloadScheme::stripe(), [old.clone()]);
    let fields = signed(PayloadScheme::stripe(), old.clone(), START);
    hooks.accepts(&fields).await;
    hooks.verifier.set_keys([new, old]).unwrap();
    hooks.refuses(&fields, BODY, "payload_replay").await;
}

#[tokio::test]
async fn a_request_that_was_received_before_a_restart_is_a_replay_in_a_shared_guard() {
    // (242): the restart ends the rotation of the secret, with and without a covered id.
    let keys = |texts: [&str; 2]| texts.map(|text| PayloadKey::standard_webhooks(text).unwrap());
    for (scheme, [old, new]) in [
        (PayloadScheme::stripe(), [b"whsec_the old one", b"whsec_the new one"].map(|secret| stripe(secret))),
        (
            PayloadScheme::standard_webhooks(),
            keys(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]),
        ),
    ] {
        let guard = Arc::new(MemoryReplayGuard::default());
        let hooks = |keys: Vec<PayloadKey>| {
            Hooks::with(scheme.clone(), keys, |verifier| Ok(verifier.replay_guard(Arc::clone(&guard))))
        };
        let fields = signed(scheme.clone(), new.clone(), START);
        hooks(vec![old, new.clone()]).accepts(&fields).await;
        hooks(vec![new]).refuses(&fields, BODY, "payload_replay").await;
    }
}

#[tokio::test]
async fn an_ed25519_signature_is_verified_with_the_public_key_of_the_sender() {
    // (244)
    let pair = Arc::new(Ed25519KeyPair::generate().unwrap());
    let public = format!("whpk_{}", BASE64_STANDARD.encode(pair.public_key().as_ref()));
    let signing = Arc::clone(&pair);
    let sign_with = move |message: &[u8]| {
        signing.sign(message).as_ref().try_into().map_err(|_| Unavailable::new("the private key"))
    };
    let signer = PayloadSigner::ed25519(PayloadScheme::standard_webhooks(), sign_with).unwrap();
    let fields = sign(&signer, START);
    assert!(fields["webhook-signature"].to_str().unwrap().starts_with("v1a,"));

    let hooks = standard_hooks([PayloadKey::standard_webhooks(&public).unwrap()]);
    hooks.refuses(&fields, "{}", "payload_signature_wrong").await;
    hooks.accepts(&fields).await;
    hooks.refuses(&fields, BODY, "payload_replay").await;

    // Another key; a secret in the place of the key; and an HMAC, for which the public key might serve as the secret.
    let stranger = Ed25519KeyPair::generate().unwrap();
    let stranger = format!("whpk_{}", BASE64_STANDARD.encode(stranger.public_key().as_ref()));
    standard_hooks([PayloadKey::standard_webhooks(&stranger).unwrap()])
        .refuses(&fields, BODY, "payload_signature_wrong")
        .await;
    standard_hooks([secret()]).refuses(&fields, BODY, "payload_signature_wrong").await;
    let as_secret = PayloadKey::secret(pair.public_key().as_ref()).unwrap();
    hooks.refuses(&standard(as_secret, START), BODY, "payload_signature_wrong").await;
}

/// A guard whose store can be switched off.
#[derive(Clone, Default)]
pub struct Switched {
    guard: MemoryReplayGuard,
    pub is_down: Arc<AtomicBool>,
}

impl ReplayGuard for Switched {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        if self.is_down.load(Ordering::Relaxed) {
            return Eventual::later(async { Err(Unavailable::new("the guard")) });
        }
        self.guard.record(proof)
    }
}

#[tokio::test]
async fn a_guard_that_is_down_is_503_and_the_delivery_is_accepted_afterwards() {
    // (245)
    let guard = Switched::default();
    let set = |verifier: WebhookVerifier| Ok(verifier.replay_guard(guard.clone()));
    let hooks = Hooks::with(PayloadScheme::standard_webhooks(), [secret()], set);
    let fields = standard(secret(), START);
    guard.is_down.store(true, Ordering::Relaxed);
    hooks.send(&fields, BODY).await.assert_unavailable("payload_replay_unavailable");
    // What is wrong without the guard is not 503.
    hooks.refuses(&fields, "{}", "payload_signature_wrong").await;
    guard.is_down.store(false, Ordering::Relaxed);
    hooks.accepts(&fields).await;
}

/// A guard that never answers.
struct Hanging;

impl ReplayGuard for Hanging {
    fn record(&self, _: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        Eventual::later(std::future::pending())
    }
}

#[tokio::test]
async fn a_request_that_was_not_verified_to_the_end_is_not_admitted_in_the_audit_log() {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let verifier = WebhookVerifier::new(PayloadScheme::standard_webhooks(), [secret()]).unwrap();
    let verifier = verifier.environment(&environment).replay_guard(Hanging);
    let (sink, mut events) = AuditChannel::new(1);
    let layers = ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(sink))).layer(WebhookLayer::new(verifier));
    let mut request = Request::post("/hooks").body(Full::from(BODY)).unwrap();
    request.headers_mut().extend(standard(secret(), START));
    assert!(layers.service_fn(answer).oneshot(request).now_or_never().is_none());
    let EventKind::Request(event) = events.try_recv().unwrap().kind else { panic!("a request") };
    assert_eq!((event.decision.as_str(), event.end), ("undecided", End::Disconnected));
}

#[tokio::test]
async fn a_sender_with_more_requests_than_there_is_room_for_is_429_and_a_full_guard_503() {
    // (245)
    let rate = |rate| NonZeroU32::new(rate).unwrap();
    let scheme = PayloadScheme::standard_webhooks;
    let with = |guard: MemoryReplayGuard| {
        Hooks::with(scheme(), [secret()], |verifier| {
            Ok(verifier.tolerance(Duration::ZERO, Duration::ZERO)?.replay_guard(guard))
        })
    };
    let limited = with(MemoryReplayGuard::for_rates(rate(10), rate(1)));
    let signer = PayloadSigner::new(scheme(), secret()).unwrap();
    let fields = |id: &str| {
        let (uri, now) = (Uri::from_static("/hooks"), Timestamp::from_millis(limited.clock.now().as_secs() * 1_000));
        signer.sign(&Payload::new(&Method::POST, &uri, BODY.as_bytes(), now).id(id)).unwrap()
    };
    limited.accepts(&fields("msg_1")).await;
    limited.send(&fields("msg_2"), BODY).await.assert_reason(429, "payload_replay_key_full");
    let guard = MemoryReplayGuard::new(1.try_into().unwrap(), 1.try_into().unwrap());
    let first = Hooks::with(scheme(), [secret()], |verifier| Ok(verifier.replay_guard(guard.clone())));
    let second = Hooks::with(scheme(), [other_secret()], |verifier| Ok(verifier.replay_guard(guard.clone())));
    first.accepts(&standard(secret(), START)).await;
    second.send(&standard(other_secret(), START), BODY).await.assert_reason(503, "payload_replay_full");
}

#[tokio::test]
async fn without_replay_protection_a_delivery_is_accepted_again() {
    let set = |verifier: WebhookVerifier| Ok(verifier.danger_without_replay_protection());
    let hooks = Hooks::with(PayloadScheme::standard_webhooks(), [secret()], set);
    let fields = standard(secret(), START);
    hooks.accepts(&fields).await;
    hooks.accepts(&fields).await;
}
