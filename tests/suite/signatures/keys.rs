//! Keys, their algorithms, and sources that are down.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Request;
use tower_warden::{
    AuthMethod, Eventual, Identity, ManualClock, Unavailable,
    jwt::{Algorithm, VerifyingKey},
    signature::{
        KnownKey, SignatureAlgorithm, SignatureKeyMap, SignatureKeyRequest, SignatureKeys, SignaturePolicy, Signatures,
    },
    testing::SigningKey,
};

use crate::{
    signed::{
        Labelled, ORIGIN, Stack, agents, app_of, assert_refused, auth, covered, input, parameters, send, signed,
        signed_by_all, wrapped,
    },
    support::START,
};

const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::HS256, Algorithm::PS512, Algorithm::RS256];

#[tokio::test]
async fn each_algorithm_is_accepted_with_its_name_and_without() {
    for algorithm in ALGORITHMS {
        let stack = Stack::of(SigningKey::generate(algorithm), |policy| policy);
        stack.send(stack.get()).await.assert_subject("agent:");
        let name = SignatureAlgorithm::of(algorithm).unwrap();
        let parameters = format!("{};alg=\"{name}\"", parameters(START.as_secs(), "k1"));
        let request = signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters);
        stack.send(request).await.assert_subject("agent:");
    }
}

// (223)
#[tokio::test]
async fn algorithm_that_is_not_that_of_the_key_is_refused() {
    let stack = Stack::new();
    for name in ["hmac-sha256", "rsa-pss-sha512", "ED25519", "EdDSA", "none", ""] {
        let parameters = format!("{};alg=\"{name}\"", parameters(START.as_secs(), "k1"));
        let request = signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters);
        assert_refused(&stack.send(request).await, "signature_algorithm");
    }
}

// (223)
#[tokio::test]
async fn hmac_with_a_public_key_as_secret_is_refused() {
    use aws_lc_rs::hmac;
    use base64::{
        Engine as _,
        prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
    };
    let stack = Stack::new();
    let public = BASE64_URL_SAFE_NO_PAD.decode(stack.key.jwk()["x"].as_str().unwrap()).unwrap();
    for algorithm in ["", ";alg=\"hmac-sha256\""] {
        let (components, parameters) =
            (covered("GET", "/"), format!("{}{algorithm}", parameters(START.as_secs(), "k1")));
        let mut base: String = components.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        base.push_str(&format!("\"@signature-params\": {}", input(&components, &parameters)));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), base.as_bytes());
        let request = Request::get("/")
            .header("signature-input", format!("a={}", input(&components, &parameters)))
            .header("signature", format!("a=:{}:", BASE64_STANDARD.encode(tag)));
        let reason = if algorithm.is_empty() { "signature_wrong" } else { "signature_algorithm" };
        assert_refused(&stack.send(request).await, reason);
    }
}

#[tokio::test]
async fn algorithm_that_is_not_allowed_is_refused() {
    let stack = Stack::of(SigningKey::generate(Algorithm::ES256), |policy| {
        policy.algorithms([SignatureAlgorithm::Ed25519]).unwrap()
    });
    assert_refused(&stack.send(stack.get()).await, "signature_algorithm");
}

#[tokio::test]
async fn key_for_an_algorithm_without_a_name_is_refused() {
    let stack = Stack::of(SigningKey::generate(Algorithm::PS256), |policy| policy);
    assert_refused(&stack.send(stack.get()).await, "signature_algorithm");
}

// (224)
#[tokio::test]
async fn unknown_key_id_is_refused() {
    let stack = Stack::new();
    for id in ["k2", "", "K1", "k1 "] {
        let request = signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters(START.as_secs(), id));
        assert_refused(&stack.send(request).await, "signature_key_unknown");
    }
    let long =
        signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters(START.as_secs(), &"k".repeat(257)));
    assert_refused(&stack.send(long).await, "signature_parameter");
}

#[tokio::test]
async fn key_of_another_holder_is_refused() {
    let stack = Stack::new();
    let other = SigningKey::generate(Algorithm::EdDSA);
    let request = signed(Request::get("/"), &other, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    assert_refused(&stack.send(request).await, "signature_wrong");
}

// (224)
#[tokio::test]
async fn retired_key_is_refused() {
    let stack = Stack::new();
    stack.send(stack.get()).await.assert_subject("agent:");
    stack.key.verifying_key().retire();
    assert_refused(&stack.send(stack.get()).await, "signature_key_unknown");
}

/// Keys that are found later, if the source is up.
struct Remote {
    is_up: Arc<AtomicBool>,
    keys: SignatureKeyMap,
}

impl SignatureKeys for Remote {
    fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
        let is_up = self.is_up.load(Ordering::Relaxed) || request.key_id == "cached";
        let found = self.keys.find(request);
        Eventual::later(async move {
            tokio::task::yield_now().await;
            if is_up { found.wait().await } else { Err(Unavailable::new("the directory")) }
        })
    }
}

// (230)
#[tokio::test]
async fn key_source_that_is_down_is_503_and_never_401() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let is_up = Arc::new(AtomicBool::new(true));
    let known = Identity::new("cached agent", AuthMethod::Signature);
    let keys = agents(&key).with("cached", key.verifying_key(), known);
    let app = app_of(Remote { is_up: Arc::clone(&is_up), keys }, &clock);
    let request = |id: &str| signed(Request::get("/"), &key, &covered("GET", "/"), &parameters(START.as_secs(), id));
    send(&app, request("k1"), "").await.assert_subject("agent:");
    assert_refused(&send(&app, request("k2"), "").await, "signature_key_unknown");

    is_up.store(false, Ordering::Relaxed);
    send(&app, request("k1"), "").await.assert_unavailable("signature_keys_unavailable");
    send(&app, request("k2"), "").await.assert_unavailable("signature_keys_unavailable");
}

/// A source that never answers.
struct Hung;

impl SignatureKeys for Hung {
    fn find(&self, _: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
        Eventual::later(std::future::pending())
    }
}

// (286)
#[tokio::test(start_paused = true)]
async fn key_source_that_hangs_is_503() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let request = signed(Request::get("/"), &key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    send(&app_of(Hung, &clock), request, "").await.assert_unavailable("signature_keys_unavailable");
}

// (230)
#[tokio::test]
async fn valid_signature_beside_one_whose_key_is_unknown_for_an_outage_is_503() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let is_up = Arc::new(AtomicBool::new(false));
    let known = Identity::new("cached agent", AuthMethod::Signature);
    let keys = agents(&key).with("cached", key.verifying_key(), known);
    let app = app_of(Remote { is_up: Arc::clone(&is_up), keys }, &clock);
    let (components, now) = (covered("GET", "/"), START.as_secs());
    let (cached, down) = (parameters(now, "cached"), parameters(now, "k1"));
    let both = [Labelled("a", &key, &components, &cached), Labelled("b", &key, &components, &down)];
    // Otherwise the second one could not be recorded, and would be accepted alone later.
    let request = || signed_by_all(Request::get("/"), &both);
    send(&app, request(), "").await.assert_unavailable("signature_keys_unavailable");
    is_up.store(true, Ordering::Relaxed);
    send(&app, request(), "").await.assert_subject("cached agent:");
    assert_refused(&send(&app, signed_by_all(Request::get("/"), &both[1..]), "").await, "signature_replay");
}

#[tokio::test]
async fn holder_has_its_scopes_tenant_and_key_id() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let keys = SignatureKeyMap::default();
    let mut agent = Identity::new("agent", AuthMethod::Custom("replaced"));
    agent.tenant = Some("acme".into());
    let keys = keys.with("k1", VerifyingKey::from_jwk(&key.jwk().to_string()).unwrap(), agent);
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), keys);
    let auth = auth(signatures, &clock).principal_in_responses();
    let app_with_principal = wrapped(auth);
    let request = signed(Request::get("/"), &key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    let request = request.body(http_body_util::Full::default()).unwrap();
    let response = tower::ServiceExt::oneshot(app_with_principal, request).await.unwrap();
    let principal = response.extensions().get::<tower_warden::Principal>().unwrap();
    assert_eq!(principal.method(), AuthMethod::Signature);
    assert_eq!((principal.tenant(), principal.key_id()), (Some("acme"), Some("k1")));
}
