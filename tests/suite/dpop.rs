//! DPoP, RFC 9449: each bad proof by name, and no good one refused.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::Request as AxumRequest, routing::get};
use http::request::Builder;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_warden::{
    AuthMethod, Digest, Environment, Eventual, Identity, ManualClock, Presented, Rejection, Unavailable, UnixTime,
    api_key::NewKey,
    auth::CredentialSource,
    caller::{Confirmation, SenderConstraint},
    dpop::{Dpop, Nonces},
    jwt::{Algorithm, Jwt},
    layer::{AuthLayer, AuthorizeLayer, FailureLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    scheme::{Bearer, Location},
    scope::{Scope, Scopes},
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    support::{self, Answer, App, START, app, bearer, request, seconds, send},
    tokens::{AUDIENCE, rules},
};

pub const API: &str = "https://api.test";
pub const BEARER: &str = "Bearer realm=\"api\"";
pub const ALGS: &str = "algs=\"ES256 ES384 EdDSA Ed25519 PS256 RS256\"";

/// An app that takes DPoP, and a client with a key and a token that is bound to it.
pub struct Stack {
    pub app: App,
    pub clock: ManualClock,
    pub issuer: TestIssuer,
    pub key: SigningKey,
    pub token: String,
}

impl Stack {
    pub fn new() -> Self {
        Self::with(|dpop| dpop)
    }

    pub fn with(set_up: impl FnOnce(Dpop) -> Dpop) -> Self {
        Self::of(SigningKey::generate(Algorithm::ES256), set_up, |layer| layer)
    }

    pub fn of(key: SigningKey, set_up: impl FnOnce(Dpop) -> Dpop, layer: impl FnOnce(AuthLayer) -> AuthLayer) -> Self {
        let clock = ManualClock::at(START);
        let issuer =
            TestIssuer::new("https://issuer.test").environment(&Environment::default().with_clock(clock.clone()));
        let jwt = Jwt::new(rules(&issuer), issuer.clone());
        let dpop = set_up(Dpop::new(API).unwrap());
        let app =
            app(&layer(AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock.clone())).dpop(dpop)));
        let token = issuer.token("alice").audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        Self { app, clock, issuer, key, token }
    }

    /// A token that is bound to no key.
    pub fn loose(&self) -> String {
        self.issuer.token("alice").audience(AUDIENCE).sign()
    }

    /// A good proof for `GET /`.
    pub fn proof(&self) -> TokenBuilder {
        self.key.proof("GET", "https://api.test/", &self.token, UnixTime::from_secs(self.now()))
    }

    pub fn now(&self) -> u64 {
        tower_warden::Clock::now(&self.clock).as_secs()
    }

    pub async fn send(&self, request: Builder) -> Answer {
        send(self.app.clone(), request).await
    }

    /// Sends `GET /` with a proof.
    pub async fn prove(&self, proof: &str) -> Answer {
        self.send(dpop(&self.token).header("dpop", proof)).await
    }

    pub async fn refuses(&self, proof: &str, reason: &str) {
        assert_invalid_proof(&self.prove(proof).await, reason);
    }

    pub async fn accepts(&self, proof: &TokenBuilder) {
        self.prove(&proof.sign()).await.assert_subject("alice");
    }
}

pub fn dpop(token: &str) -> Builder {
    request().header("authorization", format!("DPoP {token}"))
}

pub fn dpop_request(token: &str, proof: &str) -> Builder {
    dpop(token).header("dpop", proof)
}

pub fn challenges(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().filter(|(name, _)| name == "www-authenticate").map(|(_, value)| &**value).collect()
}

/// R4: told under DPoP, and Bearer is named with what clients look for.
#[track_caller]
pub fn assert_invalid_proof(answer: &Answer, reason: &str) {
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some(reason)), "{answer:?}");
    let told = format!(
        "DPoP error=\"invalid_dpop_proof\", error_description=\"A proof that the sender holds the token's key is \
         missing or invalid.\", {ALGS}"
    );
    assert_eq!(challenges(answer), [BEARER, &told]);
    assert_eq!(answer.json()["code"], "invalid_dpop_proof");
    assert_eq!((answer.header("dpop-nonce"), answer.header("cache-control")), (None, Some("no-store")));
}

/// R6, under DPoP.
#[track_caller]
fn assert_invalid_token(answer: &Answer, reason: &str) {
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some(reason)), "{answer:?}");
    let told = format!(
        "DPoP error=\"invalid_token\", error_description=\"The credential is invalid, expired or revoked.\", {ALGS}"
    );
    assert_eq!(challenges(answer), [BEARER, &told]);
}

#[tokio::test]
async fn a_good_proof_of_every_algorithm_is_accepted_whatever_the_case_of_the_scheme() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256] {
        let stack = Stack::of(SigningKey::generate(algorithm), |dpop| dpop, |layer| layer);
        stack.accepts(&stack.proof()).await;
        let shouted = request().header("authorization", format!("DPOP  {}", stack.token));
        stack.send(shouted.header("dpop", stack.proof().sign())).await.assert_subject("alice");
        if algorithm == Algorithm::EdDSA {
            // RFC 9864.
            stack.accepts(&stack.proof().header("alg", "Ed25519")).await;
        }
    }
}

/// (82)
#[tokio::test]
async fn a_bound_token_is_refused_as_a_bearer_with_and_without_a_proof() {
    let stack = Stack::new();
    for request in [bearer(&stack.token), bearer(&stack.token).header("dpop", stack.proof().sign())] {
        let answer = stack.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (401, Some("key_proof_missing")));
        let told = "Bearer realm=\"api\", error=\"invalid_token\", \
                    error_description=\"The credential is invalid, expired or revoked.\"";
        assert_eq!(challenges(&answer), [told, &format!("DPoP {ALGS}")]);
    }
    // Nor does a layer that knows nothing of DPoP let it in.
    let jwt = Jwt::new(rules(&stack.issuer), stack.issuer.clone());
    let app = app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone())));
    send(app.clone(), bearer(&stack.token)).await.assert_invalid("key_proof_missing");
    send(app, dpop(&stack.token).header("dpop", stack.proof().sign())).await.assert_missing("unsupported_scheme");
}

/// (83)
#[tokio::test]
async fn a_token_without_a_proof_is_refused() {
    let stack = Stack::new();
    assert_invalid_proof(&stack.send(dpop(&stack.token)).await, "dpop_proof_missing");
    stack.refuses("", "dpop_syntax").await;
}

/// (84)
#[tokio::test]
async fn two_proofs_and_a_list_of_them_are_refused() {
    let stack = Stack::new();
    let (one, two) = (stack.proof().sign(), stack.proof().sign());
    for other in [&one, &two] {
        let twice = dpop(&stack.token).header("dpop", &one).header("dpop", other);
        assert_invalid_proof(&stack.send(twice).await, "several_dpop_proofs");
    }
    stack.refuses(&format!("{one},{two}"), "dpop_syntax").await;
    stack.refuses(&format!("{one}, {two}"), "dpop_syntax").await;
    stack.refuses(&format!("{one} "), "dpop_syntax").await;
    // Nothing of them was spent.
    stack.prove(&one).await.assert_subject("alice");
}

/// (85)
#[tokio::test]
async fn a_proof_counts_once() {
    let stack = Stack::new();
    let proof = stack.proof().sign();
    stack.prove(&proof).await.assert_subject("alice");
    stack.refuses(&proof, "dpop_replay").await;
    // For as long as it would be good, to the second, and after that it is too old.
    stack.clock.advance(seconds(300));
    stack.refuses(&proof, "dpop_replay").await;
    stack.clock.advance(seconds(1));
    let fresh = stack.issuer.token("alice").audience(AUDIENCE).confirmation(&stack.key.confirmation()).sign();
    let answer = stack.send(dpop(&fresh).header("dpop", &proof)).await;
    assert_invalid_proof(&answer, "dpop_too_old");
    // The same id in another proof with the same key.
    let again = stack.key.proof("GET", API, &fresh, UnixTime::from_secs(stack.now()));
    let id = again.clone().claim("jti", "an id");
    stack.send(dpop(&fresh).header("dpop", id.sign())).await.assert_subject("alice");
    assert_invalid_proof(
        &stack.send(dpop(&fresh).header("dpop", id.claim("iat", stack.now() - 1).sign())).await,
        "dpop_replay",
    );
    stack.send(dpop(&fresh).header("dpop", again.sign())).await.assert_subject("alice");
}

/// (85)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_replays_at_once_exactly_one_passes() {
    let stack = Arc::new(Stack::new());
    for _ in 0..5 {
        let proof: Arc<str> = stack.proof().sign().into();
        let barrier = Arc::new(tokio::sync::Barrier::new(100));
        let requests: Vec<_> = (0..100)
            .map(|_| {
                let (stack, proof, barrier) = (Arc::clone(&stack), Arc::clone(&proof), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    stack.prove(&proof).await
                })
            })
            .collect();
        let mut passed = 0;
        for request in requests {
            let answer = request.await.unwrap();
            match answer.status.as_u16() {
                200 => passed += 1,
                _ => assert_invalid_proof(&answer, "dpop_replay"),
            }
        }
        assert_eq!(passed, 1);
    }
}

#[tokio::test]
async fn one_key_under_two_algorithms_is_two_keys() {
    let key = SigningKey::generate(Algorithm::RS256);
    let stack = Stack::of(key, |dpop| dpop, |layer| layer);
    stack.accepts(&stack.proof()).await;
    // The signature is of RS256.
    stack.refuses(&stack.proof().header("alg", "PS256").sign(), "dpop_signature").await;
    stack.accepts(&stack.proof()).await;
}

/// (86)
#[tokio::test]
async fn ids_of_different_keys_have_nothing_to_do_with_each_other() {
    let stack = Stack::new();
    let other = SigningKey::generate(Algorithm::ES256);
    let token = stack.issuer.token("bob").audience(AUDIENCE).confirmation(&other.confirmation()).sign();
    stack.accepts(&stack.proof().claim("jti", "one")).await;
    let proof = other.proof("GET", "https://api.test/", &token, START).claim("jti", "one");
    stack.send(dpop(&token).header("dpop", proof.sign())).await.assert_subject("bob");
}

/// (87)
#[tokio::test]
async fn a_proof_for_another_token_is_refused() {
    let stack = Stack::new();
    let other = Digest::of(b"another").to_base64url();
    stack.refuses(&stack.proof().claim("ath", other).sign(), "dpop_ath").await;
    stack.refuses(&stack.proof().without("ath").sign(), "dpop_claim_missing").await;
    stack.refuses(&stack.proof().claim("ath", 7).sign(), "dpop_claim_type").await;
    stack.refuses(&stack.proof().claim("ath", Digest::of(stack.token.as_bytes()).to_hex()).sign(), "dpop_ath").await;
}

/// (88)
#[tokio::test]
async fn a_proof_with_another_key_than_the_tokens_is_the_tokens_fault() {
    let stack = Stack::new();
    let thief = SigningKey::generate(Algorithm::ES256);
    let proof = thief.proof("GET", "https://api.test/", &stack.token, START);
    assert_invalid_token(&stack.prove(&proof.sign()).await, "key_mismatch");
}

/// (89)
#[tokio::test]
async fn a_token_that_is_bound_to_no_key_is_refused_under_the_scheme() {
    let stack = Stack::new();
    let loose = stack.loose();
    let proof = stack.key.proof("GET", "https://api.test/", &loose, START).sign();
    assert_invalid_token(&stack.send(dpop(&loose).header("dpop", proof)).await, "key_not_bound");
    assert_invalid_token(&stack.send(dpop(&loose)).await, "key_not_bound");
    let certificate = Confirmation::certificate(Digest::of(b"certificate"));
    let bound = stack.issuer.token("alice").audience(AUDIENCE).confirmation(&certificate).sign();
    assert_invalid_token(&stack.send(dpop(&bound)).await, "key_not_bound");
    stack.send(bearer(&loose)).await.assert_subject("alice");
}

/// (57)
#[tokio::test]
async fn a_bad_token_is_told_before_a_bad_proof() {
    let stack = Stack::new();
    let expired = stack.issuer.token("alice").audience(AUDIENCE).confirmation(&stack.key.confirmation());
    let expired = expired.claim("iat", START.as_secs() - 500).claim("exp", START.as_secs() - 200).sign();
    assert_invalid_token(&stack.send(dpop(&expired).header("dpop", "garbage")).await, "expired");
    assert_invalid_token(&stack.send(dpop("a.b.c")).await, "token_encoding");
    assert_invalid_token(&stack.send(dpop("opaque")).await, "credential_not_accepted");
}

/// (90)
#[tokio::test]
async fn a_proof_for_another_method_is_refused() {
    let stack = Stack::new();
    for method in ["get", "HEAD", "POST", "GET ", ""] {
        stack.refuses(&stack.proof().claim("htm", method).sign(), "dpop_htm").await;
    }
    let head = dpop(&stack.token).method("HEAD");
    assert_invalid_proof(&stack.send(head.header("dpop", stack.proof().sign())).await, "dpop_htm");
    let head = dpop(&stack.token).method("HEAD").header("dpop", stack.proof().claim("htm", "HEAD").sign());
    stack.send(head).await.assert_subject("alice");
}

/// (91)
#[tokio::test]
async fn equivalent_urls_are_accepted_and_others_refused() {
    let stack = Stack::new();
    let ask = async |path: &str, url: &str| {
        let proof = stack.key.proof("GET", url, &stack.token, START).sign();
        stack.send(dpop(&stack.token).uri(path).header("dpop", proof)).await
    };
    for (path, url) in [
        ("/", "https://api.test"),
        ("/", "HTTPS://API.TEST:443/"),
        ("/a/b", "https://api.test/a/b"),
        ("/a/b?q=1", "https://api.test/a/b"),
        ("/a/b?q=1", "https://api.test/a/b?q=2#f"),
        ("/a/%62", "https://api.test/a/b"),
        ("/a/b", "https://api.test/a/%62"),
        ("/a/b", "https://api.test/a/x/%2e%2e/b"),
        ("/a%2fb", "https://api.test/a%2Fb"),
        ("http://evil.test/a/b", "https://api.test/a/b"),
        ("/a/../b", "https://api.test/b"),
    ] {
        ask(path, url).await.assert_subject("alice");
    }
    for (path, url) in [
        ("/a", "https://api.test/b"),
        ("/a", "https://api.test/a/"),
        ("/a/", "https://api.test/a"),
        ("/a", "https://api.test/A"),
        ("/a", "https://api.test//a"),
        ("/a/b", "https://api.test/a%2Fb"),
        ("/a", "http://api.test/a"),
        ("/a", "https://api.test:8443/a"),
        ("/a", "https://api.test.evil.test/a"),
        ("/a", "https://user@api.test/a"),
        ("/a", "https://evil.test/a"),
        ("/a", "//api.test/a"),
        ("/a", "/a"),
        ("/a", "https://api.test/a%"),
        ("/a", ""),
        ("http://evil.test/a", "http://evil.test/a"),
    ] {
        assert_invalid_proof(&ask(path, url).await, "dpop_htu");
    }
}

/// (92)
#[tokio::test]
async fn what_host_and_forwarded_fields_say_has_no_effect() {
    let stack = Stack::new();
    let spoof = |request: Builder| {
        request
            .header("host", "evil.test")
            .header("x-forwarded-host", "evil.test")
            .header("x-forwarded-proto", "http")
            .header("forwarded", "host=evil.test;proto=http")
    };
    let request = spoof(dpop(&stack.token)).header("dpop", stack.proof().sign());
    stack.send(request).await.assert_subject("alice");
    let evil = stack.proof().claim("htu", "http://evil.test/").sign();
    assert_invalid_proof(&stack.send(spoof(dpop(&stack.token)).header("dpop", evil)).await, "dpop_htu");
}

#[tokio::test]
async fn a_route_that_is_nested_and_a_prefix_that_a_proxy_takes_away_are_part_of_the_url() {
    let stack = Stack::new();
    let jwt = Jwt::new(rules(&stack.issuer), stack.issuer.clone());
    let dpop_at = Dpop::new("https://api.test/public/").unwrap();
    let layer = AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone())).dpop(dpop_at);
    let inner = Router::new().route("/balance", get(async || "ok")).layer(layer);
    let app = Router::new().nest("/v1", inner);
    let ask = async |url: &str| {
        let proof = stack.key.proof("GET", url, &stack.token, START).sign();
        let request = AxumRequest::get("/v1/balance").header("authorization", format!("DPoP {}", stack.token));
        let request = request.header("dpop", proof).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ask("https://api.test/public/v1/balance").await, 200);
    assert_eq!(ask("https://api.test/public/balance").await, 401);
    assert_eq!(ask("https://api.test/v1/balance").await, 401);
}

/// (93)
#[tokio::test]
async fn a_proof_is_good_for_five_minutes_and_thirty_seconds_ahead() {
    let stack = Stack::new();
    let now = START.as_secs();
    let at = |time: Value| stack.proof().claim("iat", time);
    stack.accepts(&at(json!(now - 300))).await;
    stack.accepts(&at(json!(now + 30))).await;
    stack.accepts(&at(json!(now as f64 - 0.5))).await;
    stack.refuses(&at(json!(now - 301)).sign(), "dpop_too_old").await;
    stack.refuses(&at(json!(now + 31)).sign(), "dpop_in_future").await;
    stack.refuses(&at(json!(0)).sign(), "dpop_too_old").await;
    stack.refuses(&at(json!(u64::MAX)).sign(), "dpop_in_future").await;
    for time in [json!(now.to_string()), json!(null), json!([now]), json!(-1), json!(1e300), json!(true)] {
        stack.refuses(&at(time).sign(), "dpop_claim_type").await;
    }
    stack.refuses(&stack.proof().without("iat").sign(), "dpop_claim_missing").await;
}

#[tokio::test]
async fn a_window_of_ones_own_is_kept_to() {
    let stack = Stack::with(|dpop| dpop.window(seconds(10), seconds(2)).unwrap());
    let now = START.as_secs();
    stack.accepts(&stack.proof().claim("iat", now - 10)).await;
    stack.accepts(&stack.proof().claim("iat", now + 2)).await;
    stack.refuses(&stack.proof().claim("iat", now - 11).sign(), "dpop_too_old").await;
    stack.refuses(&stack.proof().claim("iat", now + 3).sign(), "dpop_in_future").await;
}

/// (94)
#[tokio::test]
async fn what_else_a_proof_says_of_time_holds() {
    let stack = Stack::new();
    let now = START.as_secs();
    stack.accepts(&stack.proof().claim("exp", now + 1).claim("nbf", now)).await;
    stack.refuses(&stack.proof().claim("exp", now).sign(), "dpop_expired").await;
    stack.refuses(&stack.proof().claim("nbf", now + 31).sign(), "dpop_not_yet_valid").await;
    stack.refuses(&stack.proof().claim("exp", "soon").sign(), "dpop_claim_type").await;
}

/// (95)
#[tokio::test]
async fn a_header_that_is_no_proofs_is_refused() {
    let stack = Stack::new();
    let private = |name: &str| {
        let mut jwk = stack.key.jwk();
        jwk[name] = "AQAB".into();
        stack.proof().header("jwk", jwk)
    };
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        stack.refuses(&private(name).sign(), "dpop_key").await;
    }
    let with = |name: &str, value: Value| {
        let mut jwk = stack.key.jwk();
        jwk[name] = value;
        jwk
    };
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA" });
    for (proof, reason) in [
        (stack.proof().header("alg", "none"), "dpop_algorithm"),
        (stack.proof().header("alg", "HS256"), "dpop_algorithm"),
        (stack.proof().header("alg", "es256"), "dpop_algorithm"),
        (stack.proof().header("alg", "ES512"), "dpop_algorithm"),
        (stack.proof().header("alg", json!(["ES256"])), "dpop_algorithm"),
        (stack.proof().without_header("alg"), "dpop_algorithm"),
        (stack.proof().header("alg", "ES384"), "dpop_key"),
        (stack.proof().header("alg", "RS256"), "dpop_key"),
        (stack.proof().header("jwk", secret), "dpop_key"),
        (stack.proof().header("jwk", "{}"), "dpop_key"),
        (stack.proof().header("jwk", json!({})), "dpop_key"),
        (stack.proof().without_header("jwk"), "dpop_key"),
        (stack.proof().header("jwk", with("use", json!("enc"))), "dpop_key"),
        (stack.proof().header("jwk", with("use", json!(["sig"]))), "dpop_key"),
        (stack.proof().header("jwk", with("key_ops", json!(["sign"]))), "dpop_key"),
        (stack.proof().header("jwk", with("key_ops", json!(["verify", 7]))), "dpop_key"),
        (stack.proof().header("jwk", with("key_ops", json!("verify"))), "dpop_key"),
        (stack.proof().header("typ", "JWT"), "dpop_type"),
        (stack.proof().header("typ", "at+jwt"), "dpop_type"),
        (stack.proof().header("typ", 7), "dpop_type"),
        (stack.proof().without_header("typ"), "dpop_type"),
        (stack.proof().header("crit", json!(["exp"])), "dpop_critical"),
        (stack.proof().header("crit", json!([])), "dpop_critical"),
        (stack.proof().header("b64", false), "dpop_critical"),
    ] {
        stack.refuses(&proof.sign(), reason).await;
    }
    for purpose in [("use", json!("sig")), ("key_ops", json!(["verify"])), ("key_ops", json!([]))] {
        stack.accepts(&stack.proof().header("jwk", with(purpose.0, purpose.1))).await;
    }
    // What does not count: a name, and where to fetch a key.
    let noise = stack.proof().header("kid", "x").header("jku", "https://evil.test").header("x5c", json!(["x"]));
    stack.accepts(&noise).await;
}

/// (95)
#[tokio::test]
async fn a_key_that_is_off_its_curve_or_says_another_algorithm_is_refused() {
    let stack = Stack::new();
    let jwk = |change: &dyn Fn(&mut Value)| {
        let mut jwk = stack.key.jwk();
        change(&mut jwk);
        stack.proof().header("jwk", jwk).sign()
    };
    let changes: [&dyn Fn(&mut Value); 8] = [
        &|jwk| jwk["x"] = jwk["y"].clone(),
        &|jwk| jwk["crv"] = "P-384".into(),
        &|jwk| jwk["kty"] = "OKP".into(),
        &|jwk| jwk["alg"] = "ES384".into(),
        &|jwk| jwk["x"] = format!("{}=", jwk["x"].as_str().unwrap()).into(),
        &|jwk| jwk["x"] = format!("AA{}", jwk["x"].as_str().unwrap()).into(),
        &|jwk| jwk["x"] = "\",\"kty\":\"EC\"".into(),
        &|jwk| jwk["y"] = 7.into(),
    ];
    for change in changes {
        stack.refuses(&jwk(change), "dpop_key").await;
    }
}

#[tokio::test]
async fn a_signature_of_another_key_and_none_are_refused() {
    let stack = Stack::new();
    let other = SigningKey::generate(Algorithm::ES256);
    let forged = stack.proof().key(&other).header("jwk", stack.key.jwk()).sign();
    stack.refuses(&forged, "dpop_signature").await;
    let proof = stack.proof().sign();
    let (signed, signature) = proof.rsplit_once('.').unwrap();
    stack.refuses(&format!("{signed}."), "dpop_signature").await;
    stack.refuses(&format!("{signed}.{}", "A".repeat(signature.len() / 4 * 4)), "dpop_signature").await;
    // DER in the place of the two numbers.
    stack.refuses(&format!("{signed}.MEUCIQDx"), "dpop_signature").await;
}

/// (45)
#[tokio::test]
async fn a_member_that_stands_twice_and_what_is_no_object_are_refused() {
    let stack = Stack::new();
    let (now, jwk) = (START.as_secs(), stack.key.jwk());
    let hash = Digest::of(stack.token.as_bytes()).to_base64url();
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
    let claims = format!(r#"{{"jti":"1","htm":"GET","htu":"{API}","iat":{now},"ath":"{hash}"}}"#);
    let sign = |header: &str, claims: &str| TokenBuilder::sign_text(header, claims, &stack.key);
    for (header, claims, reason) in [
        (header.replace("\"typ\"", "\"typ\":\"dpop+jwt\",\"typ\""), claims.clone(), "dpop_header_syntax"),
        (header.replace("\"kty\"", "\"kty\":\"EC\",\"kty\""), claims.clone(), "dpop_header_syntax"),
        (header.clone(), claims.replace("\"htm\"", "\"htm\":\"GET\",\"htm\""), "dpop_claims_syntax"),
        (header.clone(), "[]".into(), "dpop_claims_syntax"),
        (header.clone(), "garbage".into(), "dpop_claims_syntax"),
        ("garbage".into(), claims.clone(), "dpop_header_syntax"),
        ("\"typ\"".into(), claims.clone(), "dpop_header_syntax"),
    ] {
        stack.refuses(&sign(&header, &claims), reason).await;
    }
    stack.prove(&sign(&header, &claims)).await.assert_subject("alice");
}

/// (96)
#[tokio::test]
async fn a_proof_that_is_too_long_and_a_huge_key_are_refused() {
    let stack = Stack::new();
    stack.refuses(&stack.proof().claim("x", "x".repeat(100_000)).sign(), "dpop_proof_too_long").await;
    stack.refuses(&"a".repeat(8 * 1024 + 1), "dpop_proof_too_long").await;
    let huge = json!({ "kty": "RSA", "e": "AQAB", "n": "A_".repeat(2_000) });
    let proof = stack.proof().header("alg", "RS256").header("jwk", huge);
    stack.refuses(&proof.sign(), "dpop_key").await;
    let raw = http::HeaderValue::from_bytes(b"\xff.a.b").unwrap();
    assert_invalid_proof(&stack.send(dpop(&stack.token).header("dpop", raw)).await, "dpop_proof_characters");
}

/// (97)
#[tokio::test]
async fn a_proof_without_a_nonce_of_ours_is_asked_for_one() {
    let stack = Stack::with(|dpop| dpop.nonces(Nonces::random().unwrap()));
    let elsewhere = Stack::with(|dpop| dpop.nonces(Nonces::random().unwrap()));
    let nonce = |answer: &Answer| answer.header("dpop-nonce").unwrap().to_owned();
    let asks = async |stack: &Stack, proof: &TokenBuilder, reason: &str| {
        let answer = stack.prove(&proof.sign()).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (401, Some(reason)), "{answer:?}");
        let told = format!(
            "DPoP error=\"use_dpop_nonce\", error_description=\"The proof needs the nonce of this response.\", {ALGS}"
        );
        assert_eq!(challenges(&answer), [BEARER, &told]);
        assert_eq!(answer.headers.iter().filter(|(name, _)| name == "dpop-nonce").count(), 1);
        assert_eq!(
            (&answer.json()["code"], answer.header("cache-control")),
            (&json!("use_dpop_nonce"), Some("no-store"))
        );
        nonce(&answer)
    };
    let first = asks(&stack, &stack.proof(), "dpop_nonce_missing").await;
    assert!(!first.is_empty() && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    let forged = asks(&elsewhere, &elsewhere.proof(), "dpop_nonce_missing").await;
    for bad in [forged, "x".into(), String::new(), first.to_lowercase() + "x", first[1..].to_owned()] {
        assert_eq!(asks(&stack, &stack.proof().claim("nonce", bad), "dpop_nonce_stale").await, first);
    }
    stack.refuses(&stack.proof().claim("nonce", 7).sign(), "dpop_claim_type").await;

    let answer = stack.prove(&stack.proof().claim("nonce", &*first).sign()).await;
    answer.assert_subject("alice");
    assert_eq!(answer.header("dpop-nonce"), None, "it has the newest");
    // It may be used again, in another proof.
    stack.accepts(&stack.proof().claim("nonce", &*first)).await;
}

/// (97)
#[tokio::test]
async fn the_nonce_of_the_window_before_is_good_and_brings_the_new_one() {
    let stack = Stack::with(|dpop| dpop.nonces(Nonces::random().unwrap().rotate_every(seconds(60)).unwrap()));
    let first = stack.prove(&stack.proof().sign()).await.header("dpop-nonce").unwrap().to_owned();
    stack.clock.advance(seconds(60));
    let answer = stack.prove(&stack.proof().claim("nonce", &*first).sign()).await;
    answer.assert_subject("alice");
    let second = answer.header("dpop-nonce").unwrap().to_owned();
    assert_ne!(second, first);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    stack.accepts(&stack.proof().claim("nonce", &*second)).await;
    stack.clock.advance(seconds(60));
    let answer = stack.prove(&stack.proof().claim("nonce", &*first).sign()).await;
    assert_eq!(answer.reason, Some("dpop_nonce_stale"));
}

#[tokio::test]
async fn nodes_with_one_secret_know_each_others_nonces() {
    let secret = [7; 32];
    let [here, there] = [(); 2].map(|()| Stack::with(|dpop| dpop.nonces(Nonces::shared(&secret).unwrap())));
    let nonce = here.prove(&here.proof().sign()).await.header("dpop-nonce").unwrap().to_owned();
    there.accepts(&there.proof().claim("nonce", nonce)).await;
}

/// (98)
#[tokio::test]
async fn a_guard_that_is_full_refuses_and_one_key_cannot_fill_it() {
    let bound = |bound, key_bound| {
        MemoryReplayGuard::new(NonZeroUsize::new(bound).unwrap(), NonZeroUsize::new(key_bound).unwrap())
    };
    let stack = Stack::with(|dpop| dpop.replay_guard(bound(3, 2)));
    stack.accepts(&stack.proof()).await;
    stack.accepts(&stack.proof()).await;
    let answer = stack.prove(&stack.proof().sign()).await;
    assert_eq!((answer.status.as_u16(), answer.reason), (429, Some("dpop_replay_key_full")));
    assert_eq!(answer.header("retry-after"), Some("301"));

    let ask = async |name: &str| {
        let key = SigningKey::generate(Algorithm::ES256);
        let token = stack.issuer.token(name).audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        let proof = key.proof("GET", API, &token, UnixTime::from_secs(stack.now())).sign();
        stack.send(dpop(&token).header("dpop", proof)).await
    };
    ask("bob").await.assert_subject("bob");
    let full = ask("carol").await;
    full.assert_reason(503, "dpop_replay_full");
    assert_eq!(full.header("retry-after"), Some("301"), "until there is room");
    // Nothing is forgotten before its time, and everything after it.
    stack.clock.advance(seconds(300));
    let full = ask("carol").await;
    full.assert_reason(503, "dpop_replay_full");
    assert_eq!(full.header("retry-after"), Some("1"));
    stack.clock.advance(seconds(1));
    ask("carol").await.assert_subject("carol");
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_spent_proof_good() {
    let stack = Stack::new();
    let proof = stack.proof().sign();
    stack.prove(&proof).await.assert_subject("alice");
    stack.clock.advance(seconds(301));
    let other = stack.issuer.token("alice").audience(AUDIENCE).confirmation(&stack.key.confirmation()).sign();
    let later = stack.key.proof("GET", API, &other, UnixTime::from_secs(stack.now())).sign();
    stack.send(dpop(&other).header("dpop", later)).await.assert_subject("alice");
    stack.clock.set(START);
    stack.refuses(&proof, "dpop_replay").await;
}

/// (99)
#[tokio::test]
async fn a_guard_that_is_down_is_503_now_and_later() {
    struct Down(bool);
    impl ReplayGuard for Down {
        fn record(&self, _: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
            let failed = || Err(Unavailable::new("the replay guard"));
            if self.0 { Eventual::later(async move { failed() }) } else { Eventual::Now(failed()) }
        }
    }
    for later in [false, true] {
        let stack = Stack::with(|dpop| dpop.replay_guard(Down(later)));
        stack.prove(&stack.proof().sign()).await.assert_unavailable("dpop_replay_unavailable");
    }
}

#[tokio::test]
async fn a_guard_is_asked_for_nothing_but_good_proofs_and_may_answer_later() {
    #[derive(Default)]
    struct Counting(Arc<AtomicUsize>);
    impl ReplayGuard for Counting {
        fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert_eq!((proof.now, proof.until), (START, START + seconds(300)));
            Eventual::later(async {
                tokio::task::yield_now().await;
                Ok(ReplayVerdict::New)
            })
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let stack = Stack::of(
        SigningKey::generate(Algorithm::ES256),
        |dpop| dpop.replay_guard(Counting(Arc::clone(&count))),
        |layer| layer,
    );
    stack.accepts(&stack.proof()).await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
    stack.refuses(&stack.proof().claim("htm", "PUT").sign(), "dpop_htm").await;
    let thief = SigningKey::generate(Algorithm::ES256).proof("GET", API, &stack.token, START).sign();
    assert_invalid_token(&stack.prove(&thief).await, "key_mismatch");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

/// (100)
#[tokio::test]
async fn an_id_that_is_empty_or_long_is_refused() {
    let stack = Stack::new();
    stack.accepts(&stack.proof().claim("jti", "x".repeat(1024))).await;
    stack.refuses(&stack.proof().claim("jti", "x".repeat(1025)).sign(), "dpop_jti").await;
    stack.refuses(&stack.proof().claim("jti", "x".repeat(10_000)).sign(), "dpop_proof_too_long").await;
    stack.refuses(&stack.proof().claim("jti", "").sign(), "dpop_jti").await;
    stack.refuses(&stack.proof().claim("jti", 7).sign(), "dpop_claim_type").await;
    stack.refuses(&stack.proof().without("jti").sign(), "dpop_claim_missing").await;
}

/// (109)
#[tokio::test]
async fn a_token_that_is_bound_to_key_and_certificate_needs_both() {
    let key = SigningKey::generate(Algorithm::ES256);
    let stack = Stack::of(key, |dpop| dpop, |layer| layer.proof(tower_warden::certificate::CertificateProof));
    let holder = crate::pki::Authority::new("clients").client("alice");
    let (certificate, key) = (holder.thumbprint().to_base64url(), stack.key.confirmation());
    let key_thumbprint = key.key_thumbprint().unwrap().to_base64url();
    let members = [("x5t#S256", Some(&*certificate)), ("jkt", Some(&*key_thumbprint))];
    let both = Confirmation::parse(members, &[]).unwrap();
    let token = stack.issuer.token("alice").audience(AUDIENCE).confirmation(&both).sign();
    let proved = || dpop(&token).header("dpop", stack.key.proof("GET", API, &token, START).sign());
    let peer = holder.peer(tower_warden::certificate::ChainStatus::Unverified);
    stack.send(proved().extension(peer.clone())).await.assert_subject("alice");
    assert_invalid_token(&stack.send(proved()).await, "certificate_missing");
    assert_eq!(stack.send(bearer(&token).extension(peer)).await.reason, Some("key_proof_missing"));
}

#[tokio::test]
async fn an_api_key_may_be_bound_to_a_key_as_well() {
    let keys = support::Stack::with(|keys| keys, |layer| layer.dpop(Dpop::new(API).unwrap()));
    let holder = SigningKey::generate(Algorithm::EdDSA);
    let (_, bound) = keys.mint(NewKey::new("alice").confirmation(holder.confirmation())).await;
    let (_, loose) = keys.mint(NewKey::new("bob")).await;
    let proved = |key: &str| dpop(key).header("dpop", holder.proof("GET", API, key, START).sign());
    keys.send(proved(bound.expose())).await.assert_subject("alice");
    assert_eq!(keys.send(bearer(bound.expose())).await.reason, Some("key_proof_missing"));
    assert_eq!(keys.send(request().header("x-api-key", bound.expose())).await.reason, Some("key_proof_missing"));
    assert_eq!(keys.send(proved(loose.expose())).await.reason, Some("key_not_bound"));
}

/// (53, 138)
#[tokio::test]
async fn challenges_stand_on_lines_of_their_own_with_errors_where_they_belong() {
    let challenge = tower_warden::Challenge::new("billing").unwrap();
    let challenge = challenge.resource_metadata("https://api.test/.well-known/oauth-protected-resource").unwrap();
    let challenge = challenge.scope(Scopes::parse("billing:read").unwrap());
    let bearer_line = "Bearer realm=\"billing\", \
        resource_metadata=\"https://api.test/.well-known/oauth-protected-resource\", scope=\"billing:read\"";
    let dpop_line = "DPoP algs=\"ES256\"";
    let es256 = |dpop: Dpop| dpop.algorithms([Algorithm::ES256]).unwrap();
    let key = SigningKey::generate(Algorithm::ES256);
    // Whichever is set first.
    let stack = Stack::of(key, es256, move |layer| layer.challenge(challenge));

    let none = stack.send(request()).await;
    assert_eq!((none.status.as_u16(), challenges(&none)), (401, vec![bearer_line, dpop_line]));
    let bad = stack.send(bearer("a.b.c")).await;
    let error = "error=\"invalid_token\", error_description=\"The credential is invalid, expired or revoked.\"";
    assert_eq!(challenges(&bad), [&*format!("{bearer_line}, {error}"), dpop_line]);
    let bad = stack.send(dpop("a.b.c")).await;
    assert_eq!(challenges(&bad), [bearer_line, &format!("DPoP {error}, algs=\"ES256\"")]);
    for two in [
        bearer("a").header("authorization", "DPoP b"),
        dpop("a").header("authorization", "DPoP a"),
        request().header("authorization", "DPoP a, Bearer b"),
    ] {
        let answer = stack.send(two).await;
        assert_eq!(answer.status, 400);
        let lines = challenges(&answer);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.contains("error=\"invalid_request\"")), "{lines:?}");
        assert!(lines[0].starts_with("Bearer ") && lines[1].starts_with("DPoP "));
    }
    stack.send(request().header("authorization", "DPoP")).await.assert_reason(401, "credential_empty");
    stack.send(request().header("authorization", "DPoP a b")).await.assert_reason(400, "credential_syntax");
}

#[tokio::test]
async fn a_scope_that_is_missing_is_told_under_the_scheme_that_was_used() {
    let stack = Stack::new();
    let jwt = Jwt::new(rules(&stack.issuer), stack.issuer.clone());
    let auth = AuthLayer::new(jwt)
        .environment(&Environment::default().with_clock(stack.clock.clone()))
        .dpop(Dpop::new(API).unwrap());
    let scoped = AuthorizeLayer::all_of([Scope::from_static("billing:write")]);
    let service = tower::ServiceBuilder::new().layer(auth).layer(scoped).service_fn(support::answer);
    let error = "error=\"insufficient_scope\", \
        error_description=\"The credential lacks a scope that the operation needs.\"";
    let scope = "scope=\"billing:write\"";

    let by_dpop = send(service.clone(), dpop(&stack.token).header("dpop", stack.proof().sign())).await;
    assert_eq!(by_dpop.status, 403);
    let told = format!("DPoP {scope}, {error}, {ALGS}");
    assert_eq!(challenges(&by_dpop), [&*format!("{BEARER}, {scope}"), &told]);
    let by_bearer = send(service, bearer(&stack.loose())).await;
    assert_eq!(challenges(&by_bearer), [&*format!("{BEARER}, {scope}, {error}"), &format!("DPoP {ALGS}")]);
}

#[tokio::test]
async fn a_layer_may_need_a_key_and_then_names_dpop() {
    let key = SigningKey::generate(Algorithm::ES256);
    let stack = Stack::of(key, |dpop| dpop, |layer| layer.sender_constrained(SenderConstraint::Key));
    stack.accepts(&stack.proof()).await;
    let answer = stack.send(bearer(&stack.loose())).await;
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some("not_sender_constrained")));
    let error = "error=\"invalid_token\", error_description=\"The credential is invalid, expired or revoked.\"";
    assert_eq!(challenges(&answer), [format!("DPoP {error}, {ALGS}")], "nothing else is accepted");
}

/// (121)
#[tokio::test]
async fn bad_proofs_count_as_failures_and_a_nonce_that_is_lacking_does_not() {
    let stack = Stack::new();
    let jwt = || Jwt::new(rules(&stack.issuer), stack.issuer.clone());
    let refused = |dpop: Dpop| {
        let limit =
            FailureLimitLayer::new("failures", LocalRateLimiter::default(), LimitBy::global(), Quota::per_day(1));
        let auth =
            AuthLayer::new(jwt()).environment(&Environment::default().with_clock(stack.clock.clone())).dpop(dpop);
        let service = tower::ServiceBuilder::new().layer(limit).layer(auth).service_fn(support::answer);
        let request = || dpop_request(&stack.token, &stack.proof().claim("htm", "PUT").sign());
        let lacking = || dpop_request(&stack.token, &stack.proof().sign());
        async move {
            let bad = [send(service.clone(), request()).await, send(service.clone(), request()).await];
            (bad.map(|answer| answer.status.as_u16()), send(service, lacking()).await.status.as_u16())
        }
    };
    assert_eq!(refused(Dpop::new(API).unwrap()).await, ([401, 429], 200));
    // There, both lack the nonce, or the method is wrong before that is looked at.
    let nonces = Nonces::random().unwrap();
    assert_eq!(refused(Dpop::new(API).unwrap().nonces(nonces)).await, ([401, 429], 401));
}

/// (23, 95)
#[test]
fn what_would_be_weak_is_refused_when_it_is_set_up() {
    let dpop = || Dpop::new(API).unwrap();
    assert!(dpop().algorithms([]).is_err());
    assert!(dpop().algorithms([Algorithm::ES256, Algorithm::HS256]).is_err());
    assert!(dpop().window(seconds(301), seconds(30)).is_err());
    for algorithm in [Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87] {
        assert!(dpop().algorithms([Algorithm::ES256, algorithm]).is_err());
    }
    assert!(dpop().window(seconds(300), seconds(301)).is_err());
    assert!(Nonces::shared(&[7; 31]).is_err());
    assert!(Nonces::random().unwrap().rotate_every(seconds(59)).is_err());
    assert!(Nonces::random().unwrap().rotate_every(seconds(301)).is_err());
    for url in [
        "",
        "api.test",
        "http://api.test",
        "ftp://api.test",
        "https://api.test/?a",
        "https://a@api.test",
        "https://api.test/#a",
    ] {
        assert!(Dpop::new(url).is_err(), "{url}");
    }
    assert!(Dpop::new("http://127.0.0.1:3000").is_ok());
}

#[test]
fn nothing_secret_is_printed() {
    let nonces = Nonces::shared(b"a secret of thirty-two bytes or more").unwrap();
    let printed = format!("{:?}", Dpop::new(API).unwrap().nonces(nonces));
    assert!(!printed.contains("secret") && !printed.contains("97, 32, 115"), "{printed}");
    assert_eq!(format!("{:?}", tower_warden::Credential::access_token("token")), "AccessToken(..)");
}

/// The proof for a resource, with the token of the figure.
#[tokio::test]
async fn the_proof_of_rfc_9449_is_good_and_those_for_a_token_endpoint_are_not() {
    struct Figure(Confirmation);
    impl tower_warden::Authenticator for Figure {
        fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
            vec![Arc::new(Bearer::default())]
        }

        fn accepts(&self, _: &tower_warden::Credential<'_>) -> bool {
            true
        }

        fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
            let mut identity = Identity::new("someone", AuthMethod::Custom("figure"));
            identity.confirmation = Some(self.0.clone());
            Eventual::Now(Ok(Arc::new(identity)))
        }
    }
    let figures: Value = serde_json::from_str(include_str!("../vectors/rfc9449/examples.json")).unwrap();
    let row = |name: &str| {
        let rows = figures["tests"].as_array().unwrap();
        rows.iter().find(|row| row["name"].as_str().unwrap().starts_with(name)).unwrap()
    };
    let good = row("proof GET");
    let thumbprint = Digest::from_base64url(good["jkt"].as_str().unwrap()).unwrap();
    let token = row("ath")["access_token"].as_str().unwrap();
    let time = UnixTime::from_secs(good["claims"]["iat"].as_u64().unwrap());
    let layer = AuthLayer::new(Figure(Confirmation::key(thumbprint)))
        .environment(&Environment::default().with_clock(ManualClock::at(time)))
        .dpop(Dpop::new("https://resource.example.org").unwrap());
    let ask = |proof: &Value| {
        let request = dpop(token).uri("/protectedresource").header("dpop", proof["proof"].as_str().unwrap());
        send(app(&layer), request)
    };
    ask(good).await.assert_subject("someone");
    assert_invalid_proof(&ask(good).await, "dpop_replay");
    assert_invalid_proof(&ask(row("proof POST")).await, "dpop_htm");
}

/// A member of a proof, and what may stand there instead.
fn mutation() -> impl Strategy<Value = (usize, Value)> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "[A-Za-z0-9_-]{43}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ];
    (0..MEMBERS.len(), value)
}

const MEMBERS: [&str; 12] = ["typ", "alg", "jwk", "crv", "kty", "x", "y", "jti", "htm", "htu", "iat", "ath"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proof_with_one_member_changed_never_passes((member, value) in mutation()) {
        let stack = Stack::new();
        let (good, name) = (stack.proof(), MEMBERS[member]);
        let mut jwk = stack.key.jwk();
        let (changed, was) = match name {
            "typ" | "alg" | "jwk" => (good.header(name, value.clone()), json!(null)),
            "crv" | "kty" | "x" | "y" => {
                jwk[name] = value.clone();
                (good.header("jwk", jwk), stack.key.jwk()[name].clone())
            }
            _ => (good.claim(name, value.clone()), json!(null)),
        };
        // Another id is as good as the first, and so is another time within the window.
        let is_id = name == "jti" && value.as_str().is_some_and(|id| !id.is_empty());
        let time = START.as_secs() as f64;
        let is_time = name == "iat" && value.as_f64().is_some_and(|at| (time - 300.0..=time + 30.0).contains(&at));
        prop_assume!(value != was && !is_id && !is_time);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(stack.prove(&changed.sign()));
        prop_assert_eq!(answer.status.as_u16(), 401, "{} {:?}", name, value);
    }

    #[test]
    fn a_proof_with_one_character_changed_never_passes(place in any::<Index>(), other in "[A-Za-z0-9_.-]") {
        let stack = Stack::new();
        let mut proof = stack.proof().sign();
        let place = place.index(proof.len());
        prop_assume!(proof[place..=place] != other);
        proof.replace_range(place..=place, &other);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(stack.prove(&proof));
        prop_assert_eq!(answer.status.as_u16(), 401);
    }

    #[test]
    fn what_is_sent_as_a_proof_is_answered_whatever_it_is(text in "[\\x20-\\x7e]{0,200}") {
        let stack = Stack::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert_eq!(runtime.block_on(stack.prove(&text)).status.as_u16(), 401);
    }
}

#[tokio::test]
async fn the_last_of_two_verifiers_applies_and_does_not_refuse_its_own_proof_as_a_replay() {
    let verifier = || Dpop::new(API).unwrap();
    let stack = Stack::of(
        SigningKey::generate(Algorithm::ES256),
        |dpop| dpop,
        |layer| layer.dpop(Dpop::new("https://elsewhere.test").unwrap()).dpop(verifier()),
    );
    stack.accepts(&stack.proof()).await;
}

#[tokio::test]
async fn the_proof_of_an_agent_is_not_used_up_by_a_request_whose_user_is_refused() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let jwt = || Jwt::new(rules(&stack.issuer), stack.issuer.clone());
    let user = CredentialSource::new(jwt()).scheme(Bearer::from(Location::header("x-user-token")));
    let dpop = Dpop::new(API).unwrap();
    let layer = AuthLayer::new(jwt()).environment(&environment).dpop(dpop).acting_for(user).unwrap();
    let app = app(&layer);
    let proof = stack.proof().sign();
    let call = |user: String| {
        let request = request().header("authorization", format!("DPoP {}", stack.token)).header("dpop", &proof);
        send(app.clone(), request.header("x-user-token", user))
    };
    let token = stack.issuer.token("bob").audience(AUDIENCE);
    call(token.clone().claim("exp", START.as_secs() - 61).sign()).await.assert_reason(401, "expired");
    assert_eq!(call(token.sign()).await.status, 200);
    call(token.sign()).await.assert_reason(401, "dpop_replay");
}
