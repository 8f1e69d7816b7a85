//! Signatures that are sent again.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{Request, request::Builder};
use tower_warden::{
    AuthMethod, Eventual, Identity, ManualClock, Unavailable,
    jwt::Algorithm,
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    signature::{DigestAlgorithm, SignatureKeyMap, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::{
    signed::{
        App, Labelled, ORIGIN, Stack, agents, app, assert_refused, covered, input, pair, parameters, seconds, send,
        signature, signed, signed_by_all,
    },
    support::{Answer, START},
};

// (216)
#[tokio::test]
async fn replayed_signature_is_refused_for_as_long_as_it_is_valid() {
    let stack = Stack::new();
    let request = || stack.get();
    stack.send(request()).await.assert_subject("agent:");
    assert_refused(&stack.send(request()).await, "signature_replay");
    stack.clock.advance(seconds(300));
    assert_refused(&stack.send(request()).await, "signature_replay");
    stack.clock.advance(seconds(1));
    assert_refused(&stack.send(request()).await, "signature_too_old");
}

/// A server that accepts signatures without `created`, and a request with `expires` so many seconds after the start.
fn expiring(seconds: u64) -> (Stack, impl Fn() -> Builder) {
    let stack = Stack::with(SignaturePolicy::danger_accept_without_created);
    let key = stack.key.clone();
    let request = move || {
        let parameters = format!(";expires={};keyid=\"k1\"", START.as_secs() + seconds);
        signed(Request::get("/"), &key, &covered("GET", "/"), &parameters)
    };
    (stack, request)
}

// (216)
#[tokio::test]
async fn replay_without_created_is_refused_until_the_signature_expires() {
    let (stack, request) = expiring(360);
    stack.send(request()).await.assert_subject("agent:");
    for _ in 0..2 {
        stack.clock.advance(seconds(180));
        assert_refused(&stack.send(request()).await, "signature_replay");
    }
    stack.clock.advance(seconds(1));
    assert_refused(&stack.send(request()).await, "signature_expired");
}

// (214)
#[tokio::test]
async fn signature_without_created_that_expires_too_late_is_refused() {
    let (stack, request) = expiring(3600);
    assert_refused(&stack.send(request()).await, "signature_in_future");
    stack.clock.advance(seconds(3239));
    assert_refused(&stack.send(request()).await, "signature_in_future");
    stack.clock.advance(seconds(1));
    stack.send(request()).await.assert_subject("agent:");
    stack.clock.advance(seconds(301));
    assert_refused(&stack.send(request()).await, "signature_replay");
}

// (216)
#[tokio::test]
async fn nonce_is_accepted_once_for_each_key() {
    let stack = Stack::new();
    let request = |path: &'static str, nonce: &str| {
        let parameters = format!("{};nonce=\"{nonce}\"", parameters(START.as_secs(), "k1"));
        signed(Request::get(path), &stack.key, &covered("GET", path), &parameters)
    };
    stack.send(request("/", "1")).await.assert_subject("agent:");
    stack.send(request("/", "2")).await.assert_subject("agent:");
    assert_refused(&stack.send(request("/other", "1")).await, "signature_replay");
}

/// `(r, n - s)` is a signature of the same message.
#[tokio::test]
async fn changed_form_of_an_ecdsa_signature_is_a_replay() {
    const N: &str = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    let stack = Stack::of(SigningKey::generate(Algorithm::ES256), |policy| policy);
    let (components, parameters) = (covered("GET", "/"), parameters(START.as_secs(), "k1"));
    let text = signature(&stack.key, &components, &parameters);
    let mut bytes = BASE64_STANDARD.decode(text.trim_matches(':')).unwrap();
    let request = |bytes: &[u8]| {
        Request::get("/")
            .header("signature-input", format!("a={}", input(&components, &parameters)))
            .header("signature", format!("a=:{}:", BASE64_STANDARD.encode(bytes)))
    };
    stack.send(request(&bytes)).await.assert_subject("agent:");
    let n: Vec<u8> = (0..32).map(|index| u8::from_str_radix(&N[2 * index..2 * index + 2], 16).unwrap()).collect();
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(n[index]) - i16::from(bytes[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        bytes[32 + index] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let jwk = stack.key.jwk();
    let coordinate = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let mut base: String = components.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    base.push_str(&format!("\"@signature-params\": {}", input(&components, &parameters)));
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(base.as_bytes(), &bytes).expect("it verifies");
    assert_refused(&stack.send(request(&bytes)).await, "signature_replay");
}

/// A server that knows two keys, and a request with a signature of each, of which some are sent, in an order.
async fn sent_with_both(sent: &[&[usize]]) -> Vec<Answer> {
    let (clock, keys) = (ManualClock::at(START), [0, 1].map(|_| SigningKey::generate(Algorithm::EdDSA)));
    let [one, other] = &keys;
    let gateway = Identity::new("gateway", AuthMethod::Signature);
    let known = agents(one).with("k2", other.verifying_key(), gateway);
    let app = app(Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), known), &clock);
    let (components, now) = (covered("GET", "/"), START.as_secs());
    let (first, second) = (parameters(now, "k1"), parameters(now, "k2"));
    let signatures = [Labelled("a", one, &components, &first), Labelled("b", other, &components, &second)];
    let mut answers = Vec::new();
    for places in sent {
        let chosen: Vec<_> = places.iter().map(|place| signatures[*place]).collect();
        answers.push(send(&app, signed_by_all(Request::get("/"), &chosen), "").await);
    }
    answers
}

// (216)
#[tokio::test]
async fn request_with_two_valid_signatures_is_not_accepted_again_without_the_first() {
    let answers = sent_with_both(&[&[0, 1], &[1]]).await;
    answers[0].assert_subject("agent:");
    assert_refused(&answers[1], "signature_replay");
}

// (216)
#[tokio::test]
async fn request_with_two_valid_signatures_is_not_accepted_again_in_another_order() {
    let answers = sent_with_both(&[&[0, 1], &[1, 0]]).await;
    answers[0].assert_subject("agent:");
    assert_refused(&answers[1], "signature_replay");
}

// (216)
#[tokio::test]
async fn signature_that_was_used_alone_is_a_replay_beside_another_one() {
    let answers = sent_with_both(&[&[1], &[0, 1]]).await;
    answers[0].assert_subject("gateway:");
    assert_refused(&answers[1], "signature_replay");
}

/// A server that knows a client and a gateway, and a `POST /orders` of the client to which the gateway adds a signature of its own
/// that covers these components.
struct Gateway {
    app: App,
    client: SigningKey,
    gateway: SigningKey,
    covered: Vec<(String, String)>,
}

impl Gateway {
    fn covering(fields: &[(&str, &str)]) -> Self {
        let (clock, keys) = (ManualClock::at(START), [0, 1].map(|_| SigningKey::generate(Algorithm::EdDSA)));
        let [client, gateway] = keys;
        let known = Identity::new("gateway", AuthMethod::Signature);
        let known = agents(&client).with("k2", gateway.verifying_key(), known);
        let app = app(Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), known), &clock);
        let fields = fields.iter().map(|(name, value)| pair(name, value));
        Self { app, client, gateway, covered: covered("POST", "/orders").into_iter().chain(fields).collect() }
    }

    /// The request with both signatures.
    fn signed_by_both(&self, key_of_client: &SigningKey) -> Builder {
        let components =
            [&covered("POST", "/orders")[..], &[pair("content-digest", &digest()), pair("content-type", "a/b")]];
        let (components, now) = (components.concat(), START.as_secs());
        let (first, second) = (parameters(now, "k1"), parameters(now, "k2"));
        let request = Request::post("/orders").header("content-digest", digest()).header("content-type", "a/b");
        let signatures = [
            Labelled("gateway", &self.gateway, &self.covered, &second),
            Labelled("client", key_of_client, &components, &first),
        ];
        signed_by_all(request, &signatures)
    }

    /// A part of it, with the signature of the gateway only.
    fn signed_by_gateway(&self, request: Builder) -> Builder {
        signed(request, &self.gateway, &self.covered, &parameters(START.as_secs(), "k2"))
    }
}

fn digest() -> String {
    DigestAlgorithm::Sha256.content_digest(b"{}").to_str().unwrap().to_owned()
}

// (216)
#[tokio::test]
async fn request_is_not_accepted_again_without_its_content_by_a_signature_that_does_not_cover_it() {
    let server = Gateway::covering(&[]);
    send(&server.app, server.signed_by_both(&server.client), "{}").await.assert_subject("agent:{}");
    let stripped = server.signed_by_gateway(Request::post("/orders"));
    assert_refused(&send(&server.app, stripped, "").await, "signature_replay");
}

// (216)
#[tokio::test]
async fn request_is_not_accepted_again_without_its_type_by_a_signature_that_does_not_cover_it() {
    let server = Gateway::covering(&[("content-digest", &digest())]);
    send(&server.app, server.signed_by_both(&server.client), "{}").await.assert_subject("agent:{}");
    let stripped = server.signed_by_gateway(Request::post("/orders").header("content-digest", digest()));
    assert_refused(&send(&server.app, stripped, "{}").await, "signature_replay");
}

// (212, 218)
#[tokio::test]
async fn valid_signature_that_does_not_cover_the_content_identifies_nobody() {
    // In both cases, the type of the content is not covered.
    for fields in [&[][..], &[("content-digest", &*digest())]] {
        let server = Gateway::covering(fields);
        // The signature of the client is forged; that of the gateway is valid, and first.
        let forged = server.signed_by_both(&SigningKey::generate(Algorithm::EdDSA));
        assert_refused(&send(&server.app, forged, "{}").await, "signature_not_covered");
    }
}

// (216)
#[tokio::test]
async fn signature_that_does_not_verify_uses_nothing_up() {
    let stack = Stack::new();
    let (components, now) = (covered("GET", "/"), START.as_secs());
    let nonce = format!("{};nonce=\"1\"", parameters(now, "k1"));
    let good = parameters(now, "k1");
    let other = SigningKey::generate(Algorithm::EdDSA);
    let forged = Labelled("a", &other, &components, &nonce);
    let request = signed_by_all(Request::get("/"), &[forged, Labelled("b", &stack.key, &components, &good)]);
    stack.send(request).await.assert_subject("agent:");
    // The nonce of the forged one is not used.
    stack.send(signed(Request::get("/"), &stack.key, &components, &nonce)).await.assert_subject("agent:");
}

#[tokio::test]
async fn signature_under_two_labels_is_one() {
    let stack = Stack::new();
    let (components, parameters) = (covered("GET", "/"), parameters(START.as_secs(), "k1"));
    let signatures = ["a", "b"].map(|label| Labelled(label, &stack.key, &components, &parameters));
    stack.send(signed_by_all(Request::get("/"), &signatures)).await.assert_subject("agent:");
    assert_refused(&stack.send(stack.get()).await, "signature_replay");
}

// (214, 216)
#[tokio::test]
async fn request_with_a_second_signature_of_the_future_is_refused() {
    let stack = Stack::new();
    let (components, now) = (covered("GET", "/"), START.as_secs());
    let (good, future) = (parameters(now, "k1"), parameters(now + 61, "k1"));
    let signatures = [Labelled("a", &stack.key, &components, &good), Labelled("b", &stack.key, &components, &future)];
    // Otherwise it would be accepted again a second later.
    assert_refused(&stack.send(signed_by_all(Request::get("/"), &signatures)).await, "signature_in_future");
}

#[tokio::test]
async fn guard_is_shared_by_the_layers_of_one_policy_and_by_guards() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let guard = Arc::new(MemoryReplayGuard::default());
    let policy = || SignaturePolicy::new(ORIGIN).unwrap().replay_guard(Arc::clone(&guard));
    let apps = [0, 1].map(|_| app(Signatures::new(policy(), agents(&key)), &clock));
    let request = || signed(Request::get("/"), &key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    send(&apps[0], request(), "").await.assert_subject("agent:");
    assert_refused(&send(&apps[1], request(), "").await, "signature_replay");
}

#[tokio::test]
async fn request_that_is_refused_for_another_reason_does_not_use_its_signature_up() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let guard = Arc::new(MemoryReplayGuard::default());
    let app_of = |subject: &str, networks: &[&str]| {
        let mut agent = Identity::new(subject, AuthMethod::Signature);
        agent.networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        let policy = SignaturePolicy::new(ORIGIN).unwrap().replay_guard(Arc::clone(&guard));
        app(Signatures::new(policy, SignatureKeyMap::default().with("k1", key.verifying_key(), agent)), &clock)
    };
    let request = || {
        let request = Request::get("/").extension(tower_warden::request::Peer::new(([192, 0, 2, 1], 80).into()));
        signed(request, &key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"))
    };
    let refused = send(&app_of("agent", &["10.0.0.0/8"]), request(), "").await;
    refused.assert_reason(401, "network_forbidden");
    send(&app_of("agent", &[]), request(), "").await.assert_subject("agent:");
}

#[tokio::test]
async fn secret_keys_with_the_same_id_use_nonces_of_their_own() {
    let (clock, guard) = (ManualClock::at(START), Arc::new(MemoryReplayGuard::default()));
    let keys = [0, 1].map(|_| SigningKey::named(Algorithm::HS256, "k1"));
    let parameters = format!("{};nonce=\"1\"", parameters(START.as_secs(), "k1"));
    for key in &keys {
        let policy = SignaturePolicy::new(ORIGIN).unwrap().replay_guard(Arc::clone(&guard));
        let app = app(Signatures::new(policy, agents(key)), &clock);
        let request = || signed(Request::get("/"), key, &covered("GET", "/"), &parameters);
        send(&app, request(), "").await.assert_subject("agent:");
        assert_refused(&send(&app, request(), "").await, "signature_replay");
    }
}

#[tokio::test]
async fn replays_are_accepted_only_by_a_danger() {
    let stack = Stack::with(SignaturePolicy::danger_accept_replays);
    stack.send(stack.get()).await.assert_subject("agent:");
    stack.send(stack.get()).await.assert_subject("agent:");
}

/// A guard with one verdict.
struct Fixed(Option<ReplayVerdict>);

impl ReplayGuard for Fixed {
    fn record(&self, _: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        Eventual::Now(self.0.ok_or_else(|| Unavailable::new("the guard")))
    }
}

#[tokio::test]
async fn guard_that_cannot_record_refuses() {
    for (verdict, status, reason) in [
        (None, 503, "signature_replay_unavailable"),
        (Some(ReplayVerdict::Full), 503, "signature_replay_full"),
        (Some(ReplayVerdict::KeyFull), 429, "signature_replay_key_full"),
    ] {
        let stack = Stack::with(|policy| policy.replay_guard(Fixed(verdict)));
        stack.send(stack.get()).await.assert_reason(status, reason);
    }
}
