//! Web Bot Auth: keys by the pair of directory and thumbprint.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Builder};
use serde_json::{Value, json};
use tower_warden::{
    AuthMethod, Environment, Eventual, Identity, ManualClock, Unavailable,
    fetch::Fetch,
    jwt::{Algorithm, VerifyingKey},
    signature::{SignatureAgents, SignatureAlgorithm, SignatureKeyMap, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::{
    secrets::listen,
    signed::{App, Labelled, ORIGIN, app, assert_refused, pair, seconds, send, signed, signed_by_all},
    support::{Answer, START},
};

const ONE: &str = "https://one.test/jwks.json";
const TWO: &str = "https://two.test/.well-known/http-message-signatures-directory";

/// Directories by URL, and what was fetched.
#[derive(Clone, Default)]
pub struct Web {
    sets: Arc<Mutex<HashMap<String, (StatusCode, String)>>>,
    fetched: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn publish(&self, url: &str, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        self.set(url, 200, json!({ "keys": keys }).to_string());
    }

    pub fn set(&self, url: &str, status: u16, body: String) {
        self.sets.lock().unwrap().insert(url.to_owned(), (StatusCode::from_u16(status).unwrap(), body));
    }
}

impl Fetch for Web {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let url = request.uri().to_string();
        self.fetched.lock().unwrap().push(url.clone());
        let accepted = request.headers()["accept"].to_str().unwrap();
        assert!(accepted.starts_with("application/http-message-signatures-directory+json, "), "{accepted}");
        let Some((status, body)) = self.sets.lock().unwrap().get(&url).cloned() else {
            return Eventual::Now(Err(Unavailable::new("the network")));
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert("location", http::HeaderValue::from_static(TWO));
        Eventual::Now(Ok(response))
    }
}

struct Bots {
    app: App,
    clock: ManualClock,
    one: SigningKey,
    two: SigningKey,
    web: Web,
}

impl Bots {
    fn new() -> Self {
        let (web, clock) = (Web::default(), ManualClock::at(START));
        let (one, two) = (SigningKey::generate(Algorithm::EdDSA), SigningKey::generate(Algorithm::ES256));
        web.publish(ONE, &[&one]);
        web.publish(TWO, &[&two]);
        let bot = |name: &str| Identity::new(name, AuthMethod::Signature);
        let agents = SignatureAgents::builder()
            .agent(ONE, bot("one"))
            .agent("https://two.test", bot("two"))
            .environment(&Environment::default().with_clock(clock.clone()))
            .fetch(web.clone())
            .build()
            .unwrap();
        let policy = SignaturePolicy::web_bot_auth(ORIGIN).unwrap();
        Self { app: app(Signatures::new(policy, agents), &clock), clock, one, two, web }
    }
}

fn thumbprint(key: &SigningKey) -> String {
    key.verifying_key().thumbprint().unwrap().to_base64url()
}

fn parameters(key_id: &str) -> String {
    let now = START.as_secs();
    format!(";created={now};expires={};keyid=\"{key_id}\";tag=\"web-bot-auth\"", now + 60)
}

/// A request with the dictionary, whose member `sig1` is covered.
fn request(key: &SigningKey, directory: &str) -> Builder {
    let value = format!("\"{directory}\"");
    let member = ("\"signature-agent\";key=\"sig1\"".to_owned(), value.clone());
    let request = Request::get("/").header("signature-agent", format!("sig1={value}"));
    signed(request, key, &[pair("@authority", "api.test"), member], &parameters(&thumbprint(key)))
}

#[tokio::test]
async fn agent_is_identified_by_its_directory_and_key() {
    let bots = Bots::new();
    send(&bots.app, request(&bots.one, ONE), "").await.assert_subject("one:");
    send(&bots.app, request(&bots.two, TWO), "").await.assert_subject("two:");
    // The query is no part of the identifier.
    let answer = send(&bots.app, request(&bots.two, &format!("{TWO}?a=b")), "").await;
    answer.assert_subject("two:");
}

#[tokio::test]
async fn earlier_form_of_the_field_is_accepted() {
    let bots = Bots::new();
    let value = "\"https://two.test\"";
    let components = [pair("@authority", "api.test"), pair("signature-agent", value)];
    let request = Request::get("/").header("signature-agent", value);
    let request = signed(request, &bots.two, &components, &parameters(&thumbprint(&bots.two)));
    send(&bots.app, request, "").await.assert_subject("two:");
}

// (234)
#[tokio::test]
async fn key_of_another_directory_is_refused() {
    let bots = Bots::new();
    assert_refused(&send(&bots.app, request(&bots.two, ONE), "").await, "signature_key_unknown");
    assert_refused(&send(&bots.app, request(&bots.one, TWO), "").await, "signature_key_unknown");
}

// (234)
#[tokio::test]
async fn directory_that_is_not_declared_is_never_fetched() {
    let bots = Bots::new();
    bots.web.publish("https://three.test/jwks.json", &[&bots.one]);
    let request = request(&bots.one, "https://three.test/jwks.json");
    assert_refused(&send(&bots.app, request, "").await, "signature_key_unknown");
    assert!(bots.web.fetched.lock().unwrap().iter().all(|url| !url.contains("three")));
}

// (234)
#[tokio::test]
async fn directory_that_does_not_respond_or_redirects_is_503() {
    for (status, body) in [(500, ""), (302, ""), (404, ""), (200, "not json")] {
        let bots = Bots::new();
        bots.web.set(ONE, status, body.to_owned());
        let answer = send(&bots.app, request(&bots.one, ONE), "").await;
        answer.assert_unavailable("signature_keys_unavailable");
        assert!(!bots.web.fetched.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn directory_that_does_not_respond_is_logged_once_also_between_requests_of_other_agents() {
    let (log, _guard) = listen();
    let bots = Bots::new();
    bots.web.set(ONE, 500, String::new());
    for _ in 0..3 {
        let answer = send(&bots.app, request(&bots.one, ONE), "").await;
        answer.assert_unavailable("signature_keys_unavailable");
        assert_ne!(send(&bots.app, request(&bots.two, TWO), "").await.status, 503);
    }
    let text = log.text();
    assert_eq!(text.matches("the directory of an agent does not respond").count(), 1, "{text}");
    assert!(text.contains(ONE) && !text.contains(TWO), "{text}");
    assert!(!text.contains("responds again"), "{text}");
}

#[tokio::test]
async fn signature_without_the_directory_is_refused() {
    let bots = Bots::new();
    let id = thumbprint(&bots.one);
    let member = |value: &str| ("\"signature-agent\";key=\"sig1\"".to_owned(), value.to_owned());
    let uncovered = Request::get("/").header("signature-agent", format!("sig1=\"{ONE}\""));
    let uncovered = signed(uncovered, &bots.one, &[pair("@authority", "api.test")], &parameters(&id));
    assert_refused(&send(&bots.app, uncovered, "").await, "signature_agent");
    for (field, value) in [
        ("sig1=\"http://one.test/jwks.json\"", "\"http://one.test/jwks.json\""),
        ("sig1=\"https://user@one.test/jwks.json\"", "\"https://user@one.test/jwks.json\""),
        ("sig1=\"https://one.test/a/../jwks.json\"", "\"https://one.test/a/../jwks.json\""),
        ("sig1=\"https://one.test/jwks.json\";a=1", "\"https://one.test/jwks.json\";a=1"),
        ("sig1=token", "token"),
        ("sig1=(\"https://one.test/jwks.json\")", "(\"https://one.test/jwks.json\")"),
    ] {
        let components = [pair("@authority", "api.test"), member(value)];
        let request = Request::get("/").header("signature-agent", field);
        let request = signed(request, &bots.one, &components, &parameters(&id));
        assert_refused(&send(&bots.app, request, "").await, "signature_agent");
    }
}

#[tokio::test]
async fn signature_of_an_agent_expires_and_covers_the_authority() {
    let bots = Bots::new();
    let value = format!("\"{ONE}\"");
    let member = ("\"signature-agent\";key=\"sig1\"".to_owned(), value.clone());
    let request = |components: &[(String, String)], parameters: &str| {
        let request = Request::get("/").header("signature-agent", format!("sig1={value}"));
        signed(request, &bots.one, components, parameters)
    };
    let whole = [pair("@authority", "api.test"), member.clone()];
    let endless = format!(";created={START};keyid=\"{}\";tag=\"web-bot-auth\"", thumbprint(&bots.one));
    assert_refused(&send(&bots.app, request(&whole, &endless), "").await, "signature_expires_missing");
    let loose = request(&[pair("@path", "/"), member], &parameters(&thumbprint(&bots.one)));
    assert_refused(&send(&bots.app, loose, "").await, "signature_not_covered");
}

#[tokio::test]
async fn test_keys_of_rfc_9421_are_refused() {
    for name in ["test-key-rsa", "test-key-rsa-pss", "test-key-ecc-p256", "test-key-ed25519"] {
        test_key_is_refused(name).await;
    }
}

async fn test_key_is_refused(name: &str) {
    let keys: Value = serde_json::from_str(include_str!("../../vectors/rfc9421/keys.jwks.json")).unwrap();
    let mut jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == name).unwrap().clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(private);
    }
    let key_id = VerifyingKey::from_jwk(&jwk.to_string()).unwrap().thumbprint().unwrap().to_base64url();
    let bots = Bots::new();
    bots.web.set(ONE, 200, json!({ "keys": [jwk] }).to_string());
    let value = format!("\"{ONE}\"");
    let member = ("\"signature-agent\";key=\"sig1\"".to_owned(), value.clone());
    let request = Request::get("/").header("signature-agent", format!("sig1={value}"));
    let request = signed(request, &bots.one, &[pair("@authority", "api.test"), member], &parameters(&key_id));
    // Another key would be `signature_wrong`: this one is not looked up.
    assert_refused(&send(&bots.app, request, "").await, "signature_key_unknown");
}

/// The directory of the first agent has its key with these members.
async fn answer_to_key_with(members: Value, clock: u64) -> Answer {
    let bots = Bots::new();
    let mut jwk = bots.one.jwk();
    jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    bots.web.set(ONE, 200, json!({ "keys": [jwk] }).to_string());
    bots.clock.advance(seconds(clock));
    send(&bots.app, request(&bots.one, ONE), "").await
}

// (224)
#[tokio::test]
async fn key_of_a_directory_that_has_expired_is_refused_after_the_skew() {
    let now = START.as_secs();
    for (exp, clock, is_valid) in [
        (now + 1, 0, true),
        (now, 0, true),
        (now - 59, 0, true),
        (now - 60, 0, false),
        (now - 50, 10, false),
        (0, 0, false),
    ] {
        let answer = answer_to_key_with(json!({ "exp": exp }), clock).await;
        if is_valid {
            answer.assert_subject("one:");
        } else {
            assert_refused(&answer, "signature_key_expired");
        }
    }
}

// (224)
#[tokio::test]
async fn key_of_a_directory_that_is_not_valid_yet_is_refused_before_the_skew() {
    let now = START.as_secs();
    for (nbf, clock, is_valid) in [(now - 1, 0, true), (now + 60, 0, true), (now + 61, 0, false), (now + 61, 1, true)] {
        let answer = answer_to_key_with(json!({ "nbf": nbf }), clock).await;
        if is_valid {
            answer.assert_subject("one:");
        } else {
            assert_refused(&answer, "signature_key_not_yet_valid");
        }
    }
}

#[tokio::test]
async fn times_of_a_key_of_a_directory_are_also_read_in_milliseconds() {
    let now = START.as_secs() * 1_000;
    answer_to_key_with(json!({ "nbf": 1_743_465_600_000_u64, "exp": now + 1_000 }), 0).await.assert_subject("one:");
    let expired = answer_to_key_with(json!({ "exp": now - 60_000 }), 0).await;
    assert_refused(&expired, "signature_key_expired");
    let early = answer_to_key_with(json!({ "nbf": now + 61_000 }), 0).await;
    assert_refused(&early, "signature_key_not_yet_valid");
}

// (224)
#[tokio::test]
async fn key_of_a_directory_with_malformed_times_is_not_used() {
    for members in [json!({ "exp": "1800000300" }), json!({ "exp": -1 }), json!({ "nbf": 1.5 }), json!({ "nbf": [] })] {
        let answer = answer_to_key_with(members, 0).await;
        assert_eq!(answer.reason, Some("signature_keys_unavailable"), "{answer:?}");
    }
    answer_to_key_with(json!({ "exp": null, "nbf": null }), 0).await.assert_subject("one:");
}

// (216, 224)
#[tokio::test]
async fn request_with_a_second_signature_by_a_key_that_is_not_valid_yet_is_refused() {
    let (bots, next) = (Bots::new(), SigningKey::generate(Algorithm::EdDSA));
    let mut jwk = next.jwk();
    jwk["nbf"] = json!(START.as_secs() + 100);
    bots.web.set(ONE, 200, json!({ "keys": [bots.one.jwk(), jwk] }).to_string());
    let value = format!("\"{ONE}\"");
    let components = [pair("@authority", "api.test"), ("\"signature-agent\";key=\"sig1\"".to_owned(), value.clone())];
    let (first, second) = (parameters(&thumbprint(&bots.one)), parameters(&thumbprint(&next)));
    let signatures = [Labelled("a", &bots.one, &components, &first), Labelled("b", &next, &components, &second)];
    let agent = || Request::get("/").header("signature-agent", format!("sig1={value}"));
    // Otherwise it would be accepted again by the second one, which is not recorded.
    let answer = send(&bots.app, signed_by_all(agent(), &signatures), "").await;
    assert_refused(&answer, "signature_key_not_yet_valid");
    send(&bots.app, signed_by_all(agent(), &signatures[..1]), "").await.assert_subject("one:");
}

// (216, 225)
#[tokio::test]
async fn request_with_a_second_signature_by_an_unknown_key_of_an_agent_is_refused() {
    // An agent that is declared, and one that is not.
    for directory in [ONE, "https://three.test/jwks.json"] {
        let (bots, next) = (Bots::new(), SigningKey::generate(Algorithm::EdDSA));
        let agents = format!("one=\"{ONE}\", next=\"{directory}\"");
        let components = [("one", ONE), ("next", directory)].map(|(member, url)| {
            let member = (format!("\"signature-agent\";key=\"{member}\""), format!("\"{url}\""));
            [pair("@authority", "api.test"), member]
        });
        let (first, second) = (parameters(&thumbprint(&bots.one)), parameters(&thumbprint(&next)));
        let known = Labelled("a", &bots.one, &components[0], &first);
        let unknown = Labelled("b", &next, &components[1], &second);
        let request = |signatures: &[Labelled<'_>]| {
            signed_by_all(Request::get("/").header("signature-agent", &agents), signatures)
        };
        // Otherwise it would be accepted again once the directory has the other key.
        for signatures in [[known, unknown], [unknown, known]] {
            assert_refused(&send(&bots.app, request(&signatures), "").await, "signature_key_unknown");
        }
        // It has used nothing up.
        send(&bots.app, request(&[known]), "").await.assert_subject("one:");
    }
}

// (223)
#[tokio::test]
async fn secret_keys_of_agents_are_not_accepted_where_all_algorithms_are() {
    let key = SigningKey::generate(Algorithm::HS256);
    let known = SignatureKeyMap::default().with("k1", key.verifying_key(), Identity::new("bot", AuthMethod::Signature));
    let policy = SignaturePolicy::web_bot_auth(ORIGIN).unwrap();
    assert!(policy.clone().algorithms([SignatureAlgorithm::HmacSha256]).is_err());
    let app = app(Signatures::new(policy.algorithms(SignatureAlgorithm::ALL).unwrap(), known), &ManualClock::at(START));
    let (value, member) = (format!("\"{ONE}\""), "\"signature-agent\";key=\"sig1\"".to_owned());
    let request = Request::get("/").header("signature-agent", format!("sig1={value}"));
    let components = [pair("@authority", "api.test"), (member, value)];
    let request = signed(request, &key, &components, &parameters("k1"));
    assert_refused(&send(&app, request, "").await, "signature_algorithm");
}

#[tokio::test]
async fn challenge_asks_for_the_signature_of_an_agent() {
    let bots = Bots::new();
    let answer = send(&bots.app, Request::get("/"), "").await;
    answer.assert_reason(401, "credential_missing");
    let accepted =
        r#"sig1=("@authority" "signature-agent";key="sig1" "content-digest");created;expires;tag="web-bot-auth""#;
    assert_eq!(answer.header("accept-signature"), Some(accepted));
}

#[tokio::test]
async fn challenge_of_an_agent_that_covers_more_names_its_directory() {
    let policy = SignaturePolicy::web_bot_auth(ORIGIN).unwrap().components(["@method", "@target-uri"]).unwrap();
    let agents = SignatureAgents::builder().fetch(Web::default()).build().unwrap();
    let app = app(Signatures::new(policy, agents), &ManualClock::at(START));
    let answer = send(&app, Request::get("/"), "").await;
    let accepted =
        "sig1=(\"@method\" \"@target-uri\" \"signature-agent\";key=\"sig1\" \"content-digest\" \"content-type\")";
    let value = answer.header("accept-signature").unwrap();
    assert_eq!(value, format!("{accepted};created;expires;tag=\"web-bot-auth\""));
}
