//! Tokens of AWS Application Load Balancers, and their keys.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_warden::{
    Clock, ConfigErrorKind, Environment, Eventual, ManualClock, Unavailable,
    audit::{AuditChannel, AuditLog, EventKind, Observation},
    fetch::Fetch,
    jwt::{Algorithm, AwsAlb, AwsAlbKeys, Issuer, Jwt},
    layer::{AuditLayer, AuthLayer},
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    endpoint::settle,
    secrets::listen,
    support::{Answer, App, START, bearer, request, seconds, send},
    tokens::{app, keys},
};

pub const LOAD_BALANCER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188";
const OTHER: &str = "arn:aws:elasticloadbalancing:eu-west-1:666666666666:loadbalancer/app/web/0000000000000000";
const ISSUER: &str = "https://idp.example.com";
const KID: &str = "7c0a3f5e-9b1d-4e2c-8f6a-0123456789ab";
const NOW: u64 = START.as_secs();

/// Signs a header and claims as a load balancer does, with padding.
pub fn sign_padded(header: &str, claims: &str, key: &SigningKey) -> String {
    let signed = format!("{}.{}", BASE64_URL_SAFE.encode(header), BASE64_URL_SAFE.encode(claims));
    format!("{signed}.{}", BASE64_URL_SAFE.encode(key.sign(signed.as_bytes())))
}

/// The public key of P-256 as PEM (RFC 5480 §2).
fn pem(key: &SigningKey) -> String {
    let jwk = key.jwk();
    let coordinate = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let prefix = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    let byte = |place: usize| u8::from_str_radix(&prefix[place..place + 2], 16).unwrap();
    let der: Vec<u8> = (0..prefix.len()).step_by(2).map(byte).chain(coordinate("x")).chain(coordinate("y")).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
}

/// The key endpoint of a region.
#[derive(Clone)]
struct Endpoint(Arc<Inner>);

struct Inner {
    paths: Mutex<Vec<String>>,
    /// The responses to the key and to anything else; `None` hangs.
    known: Mutex<Option<(u16, String)>>,
    is_failing: Mutex<bool>,
    fetches: AtomicUsize,
}

impl Endpoint {
    fn new(key: &SigningKey) -> Self {
        let known = Mutex::new(Some((200, pem(key))));
        let (paths, is_failing, fetches) = (Mutex::default(), Mutex::default(), AtomicUsize::new(0));
        Self(Arc::new(Inner { paths, known, is_failing, fetches }))
    }

    fn serve(&self, status: u16, body: impl Into<String>) {
        *self.0.known.lock().unwrap() = Some((status, body.into()));
    }

    fn fail(&self, is_failing: bool) {
        *self.0.is_failing.lock().unwrap() = is_failing;
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    fn paths(&self) -> Vec<String> {
        self.0.paths.lock().unwrap().clone()
    }
}

impl Fetch for Endpoint {
    fn fetch(&self, request: Request<Bytes>, most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        assert_eq!(most, 4096);
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        self.0.paths.lock().unwrap().push(request.uri().to_string());
        if *self.0.is_failing.lock().unwrap() {
            return Eventual::Now(Err(Unavailable::new("the test endpoint")));
        }
        let found = if request.uri().path() == format!("/{KID}") {
            self.0.known.lock().unwrap().clone()
        } else {
            Some((404, "not found".to_owned()))
        };
        let Some((status, body)) = found else { return Eventual::later(std::future::pending()) };
        Eventual::later(async move {
            tokio::task::yield_now().await;
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        })
    }
}

/// A service behind a load balancer.
struct Stack {
    app: App,
    clock: ManualClock,
    endpoint: Endpoint,
    key: SigningKey,
}

impl Stack {
    fn new() -> Self {
        let (clock, key) = (ManualClock::at(START), SigningKey::named(Algorithm::ES256, KID));
        let endpoint = Endpoint::new(&key);
        let keys = AwsAlbKeys::builder("https://public-keys.auth.elb.eu-west-1.amazonaws.com");
        let keys = keys.fetch(endpoint.clone()).build().unwrap();
        let issuer = Issuer::new(ISSUER, "client-1").unwrap();
        let alb = AwsAlb::new([LOAD_BALANCER], issuer, keys).unwrap();
        let app = app(&AuthLayer::new(alb).environment(&Environment::default().with_clock(clock.clone())));
        Self { app, clock, endpoint, key }
    }

    async fn send(&self, token: &str) -> Answer {
        send(self.app.clone(), request().header("x-amzn-oidc-data", token)).await
    }

    /// The response to a token with these members of header and claims changed; `null` removes one.
    async fn changed(&self, header: Value, claims: Value) -> Answer {
        self.send(&self.token(header, claims)).await
    }

    fn token(&self, header: Value, claims: Value) -> String {
        sign_padded(&with(good_header(), header), &with(good_claims(), claims), &self.key)
    }

    fn good(&self) -> String {
        self.token(json!({}), json!({}))
    }

    /// A good token that no other call returns, at the present time.
    fn fresh(&self) -> String {
        self.signed_by(&self.key)
    }

    fn signed_by(&self, key: &SigningKey) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let exp = self.clock.now().as_secs() + 120;
        let claims = with(good_claims(), json!({ "exp": exp, "number": NEXT.fetch_add(1, Ordering::SeqCst) }));
        sign_padded(&with(good_header(), json!({ "exp": exp })), &claims, key)
    }

    /// A good token is accepted, and what it causes in the background is done.
    async fn assert_accepted(&self) {
        self.send(&self.fresh()).await.assert_subject("alice");
        settle().await;
    }

    /// Requests keys that nobody has, until none is fetched any more.
    async fn exhaust(&self) {
        for number in 0..20 {
            let kid = format!("00000000-0000-0000-0001-{number:012}");
            let answer = self.changed(json!({ "kid": kid }), json!({})).await;
            assert!(matches!(answer.reason, Some("key_unknown" | "keys_unavailable")), "{answer:?}");
        }
    }
}

const DAY: u64 = 24 * 60 * 60;

fn good_header() -> Value {
    json!({
        "typ": "JWT", "kid": KID, "alg": "ES256", "iss": ISSUER, "client": "client-1", "signer": LOAD_BALANCER,
        "exp": NOW + 120,
    })
}

fn good_claims() -> Value {
    json!({ "sub": "alice", "email": "alice@example.com", "username": "alice", "exp": NOW + 120, "iss": ISSUER })
}

#[expect(clippy::needless_pass_by_value, reason = "literals are shorter without a reference")]
fn with(mut members: Value, changes: Value) -> String {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => members.as_object_mut().unwrap().remove(name),
            value => members.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    members.to_string()
}

#[tokio::test]
async fn token_of_the_load_balancer_is_accepted_and_its_key_is_fetched_once() {
    let stack = Stack::new();
    let tokens = [json!({}), json!({ "email": "a" }), json!({ "email": "ab" }), json!({ "email": "abc" })];
    let tokens = tokens.map(|claims| stack.token(json!({}), claims));
    assert!(tokens.iter().any(|token| token.contains("=.")), "some are padded");
    for token in &tokens {
        stack.send(token).await.assert_subject("alice");
    }
    assert_eq!(stack.endpoint.paths(), [format!("https://public-keys.auth.elb.eu-west-1.amazonaws.com/{KID}")]);
}

#[tokio::test]
async fn requests_for_one_key_share_a_fetch() {
    let stack = Stack::new();
    let (one, two) = (stack.good(), stack.token(json!({}), json!({ "email": "b" })));
    let (one, two) = tokio::join!(stack.send(&one), stack.send(&two));
    one.assert_subject("alice");
    two.assert_subject("alice");
    assert_eq!(stack.endpoint.fetches(), 1);
}

#[tokio::test]
async fn other_credentials_of_the_request_are_ignored() {
    let stack = Stack::new();
    let request = || request().header("authorization", "Basic YTpi").header("x-amzn-oidc-identity", "mallory");
    let both = request().header("x-amzn-oidc-data", stack.good());
    send(stack.app.clone(), both).await.assert_subject("alice");
    send(stack.app.clone(), request()).await.assert_missing("credential_missing");
}

// (159)
#[tokio::test]
async fn token_of_another_load_balancer_or_for_another_client_is_refused_without_a_fetch() {
    let stack = Stack::new();
    for (header, reason) in [
        (json!({ "signer": OTHER }), "load_balancer_mismatch"),
        (json!({ "signer": null }), "load_balancer_mismatch"),
        (json!({ "signer": [LOAD_BALANCER] }), "claim_type"),
        (json!({ "signer": "" }), "load_balancer_mismatch"),
        (json!({ "signer": format!("{LOAD_BALANCER}/") }), "load_balancer_mismatch"),
        (json!({ "client": "client-2" }), "audience_mismatch"),
        (json!({ "client": null }), "audience_mismatch"),
        (json!({ "client": ["client-1"] }), "claim_type"),
        (json!({ "iss": "https://evil.example" }), "issuer_unknown"),
        (json!({ "iss": null }), "issuer_missing"),
    ] {
        stack.changed(header, json!({})).await.assert_invalid(reason);
    }
    // These members are those of the header.
    let header = json!({ "signer": null, "client": null });
    let claims = json!({ "signer": LOAD_BALANCER, "client": "client-1", "aud": "client-1" });
    stack.changed(header, claims).await.assert_invalid("load_balancer_mismatch");
    assert_eq!(stack.endpoint.fetches(), 0);
    stack.changed(json!({}), json!({ "iss": "https://evil.example" })).await.assert_invalid("issuer_unknown");
}

// (160)
#[tokio::test]
async fn segment_with_other_padding_is_refused() {
    let stack = Stack::new();
    let token = stack.good();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    assert!(signature.ends_with("=="));
    let bare = signature.trim_end_matches('=');
    for signature in [bare.to_owned(), format!("{bare}="), format!("{bare}==="), format!("=={bare}")] {
        stack.send(&format!("{header}.{claims}.{signature}")).await.assert_invalid("token_encoding");
    }
    // The last character has four bits that are not part of the signature.
    let last = bare.chars().last().unwrap();
    let other = if last == 'B' { 'C' } else { 'B' };
    let trailing = format!("{}{other}==", &bare[..bare.len() - 1]);
    stack.send(&format!("{header}.{claims}.{trailing}")).await.assert_invalid("token_encoding");
    // Signed without padding.
    let claims = [json!({ "email": "a" }), json!({ "email": "ab" }), json!({ "email": "abc" })];
    for claims in claims.map(|changes| with(good_claims(), changes)) {
        let header = with(good_header(), json!({}));
        let bare = TokenBuilder::sign_text(&header, &claims, &stack.key);
        stack.send(&bare).await.assert_invalid("token_encoding");
    }
    for malformed in ["a b", "a,b", "a/b.c.d", "a+b.c.d"] {
        let answer = stack.send(malformed).await;
        assert_eq!(answer.status, 400, "{malformed}: {answer:?}");
    }
    stack.send("a.b").await.assert_invalid("token_segments");
    stack.send("====.====.====").await.assert_invalid("token_encoding");
    assert_eq!(stack.endpoint.fetches(), 0);
}

// (160)
#[tokio::test]
async fn padded_token_is_refused_by_a_layer_for_other_tokens() {
    let issuer = TestIssuer::new(ISSUER);
    let key = issuer.key();
    let layer = AuthLayer::new(Jwt::new(Issuer::new(ISSUER, "client-1").unwrap(), keys(&[&key])));
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let app = app(&layer.environment(&environment));
    for email in ["a", "ab", "abc"] {
        let header = json!({ "alg": "ES256", "kid": key.id() }).to_string();
        let claims = with(good_claims(), json!({ "aud": "client-1", "email": email }));
        let answer = send(app.clone(), bearer(&sign_padded(&header, &claims, &key))).await;
        assert!(matches!(answer.status.as_u16(), 400 | 401), "{answer:?}");
        send(app.clone(), bearer(&TokenBuilder::sign_text(&header, &claims, &key))).await.assert_subject("alice");
    }
}

// (161)
#[tokio::test]
async fn kid_that_is_not_a_uuid_becomes_no_url() {
    let stack = Stack::new();
    for kid in [
        "../7c0a3f5e-9b1d-4e2c-8f6a-0123456789ab",
        "../../../../latest/meta-data/iam/security-cr",
        "7c0a3f5e-9b1d-4e2c-8f6a-0123456789a/",
        "7c0a3f5e-9b1d-4e2c-8f6a-0123456789a?",
        "7c0a3f5e-9b1d-4e2c-8f6a-0123456789ag",
        "7c0a3f5e-9b1d-4e2c-8f6a-0123456789ab ",
        "7c0a3f5e-9b1d-4e2c-8f6a-0123456789\u{e4}b",
        "7c0a3f5e09b1d04e2c08f6a00123456789ab",
        "{7c0a3f5e-9b1d-4e2c-8f6a-0123456789}",
        "",
    ] {
        stack.changed(json!({ "kid": kid }), json!({})).await.assert_invalid("key_unknown");
    }
    stack.changed(json!({ "kid": null }), json!({})).await.assert_invalid("key_unknown");
    stack.changed(json!({ "kid": 7 }), json!({})).await.assert_invalid("header_type");
    assert_eq!(stack.endpoint.fetches(), 0);
}

// (163)
#[tokio::test]
async fn unknown_key_is_refused_and_cached_for_a_minute() {
    let stack = Stack::new();
    let made_up = json!({ "kid": "00000000-0000-0000-0000-000000000000" });
    for fetches in [1, 1] {
        stack.changed(made_up.clone(), json!({})).await.assert_invalid("key_unknown");
        assert_eq!(stack.endpoint.fetches(), fetches);
    }
    stack.clock.advance(seconds(60));
    stack.changed(made_up, json!({})).await.assert_invalid("key_unknown");
    assert_eq!(stack.endpoint.fetches(), 2);
}

// (163)
#[tokio::test]
async fn response_that_is_not_a_key_is_an_outage() {
    let stack = Stack::new();
    for (status, body) in [
        (200, String::new()),
        (200, "<html>hello</html>".to_owned()),
        (200, "x".repeat(5_000)),
        (200, pem(&stack.key) + &pem(&stack.key)),
        (302, pem(&stack.key)),
        (403, pem(&stack.key)),
        (500, pem(&stack.key)),
    ] {
        stack.endpoint.serve(status, body);
        stack.send(&stack.good()).await.assert_unavailable("keys_unavailable");
    }
    stack.endpoint.serve(200, pem(&stack.key));
    stack.send(&stack.good()).await.assert_subject("alice");
}

// (163)
#[tokio::test]
async fn outage_of_the_key_endpoint_is_logged_once_and_not_cached() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    stack.endpoint.fail(true);
    for _ in 0..3 {
        stack.send(&stack.good()).await.assert_unavailable("keys_unavailable");
    }
    stack.endpoint.fail(false);
    stack.send(&stack.good()).await.assert_subject("alice");
    let text = log.text();
    assert_eq!(text.matches("are refused with 503").count(), 1, "{text}");
    assert_eq!(text.matches("responds again").count(), 1, "{text}");
    assert!(!text.contains(KID), "a client sends the `kid`: {text}");
    // A key that is known needs no endpoint.
    stack.endpoint.fail(true);
    stack.changed(json!({}), json!({ "email": "new" })).await.assert_subject("alice");
}

// (163)
#[tokio::test(start_paused = true)]
async fn key_endpoint_that_hangs_is_an_outage_after_the_time_out() {
    let stack = Stack::new();
    *stack.endpoint.0.known.lock().unwrap() = None;
    let start = tokio::time::Instant::now();
    stack.send(&stack.good()).await.assert_unavailable("keys_unavailable");
    assert_eq!(start.elapsed().as_secs(), 5);
}

// (162)
#[tokio::test]
async fn flood_of_made_up_kids_causes_few_fetches_and_leaves_known_keys_alone() {
    let stack = Stack::new();
    stack.send(&stack.good()).await.assert_subject("alice");
    let flood = async |start: u64| {
        let mut unavailable = 0;
        for number in start..start + 100 {
            let kid = format!("00000000-0000-0000-0000-{number:012}");
            let answer = stack.changed(json!({ "kid": kid }), json!({})).await;
            match answer.reason {
                Some("key_unknown") => {}
                _ => {
                    answer.assert_unavailable("keys_unavailable");
                    unavailable += 1;
                }
            }
        }
        unavailable
    };
    assert_eq!(flood(0).await, 91, "one of ten fetches was for the known key");
    stack.clock.advance(seconds(6));
    assert_eq!(flood(1_000).await, 99);
    assert_eq!(stack.endpoint.fetches(), 11);
    stack.changed(json!({}), json!({ "email": "new" })).await.assert_subject("alice");
}

// (162)
#[tokio::test]
async fn key_that_has_signed_a_token_is_fetched_in_a_flood() {
    let stack = Stack::new();
    stack.assert_accepted().await;
    // It is not cached any more.
    stack.clock.advance(seconds(2 * DAY));
    stack.exhaust().await;
    stack.assert_accepted().await;
}

// (162)
#[tokio::test]
async fn key_that_only_forged_tokens_have_named_is_not_fetched_in_a_flood() {
    let stack = Stack::new();
    let forged = stack.signed_by(&SigningKey::named(Algorithm::ES256, KID));
    stack.send(&forged).await.assert_invalid("signature");
    stack.clock.advance(seconds(2 * DAY));
    stack.exhaust().await;
    stack.send(&stack.fresh()).await.assert_unavailable("keys_unavailable");
    // A forged token that came first changes nothing for the key that then signs one.
    stack.clock.advance(seconds(60));
    stack.send(&stack.signed_by(&SigningKey::named(Algorithm::ES256, KID))).await.assert_invalid("signature");
    stack.assert_accepted().await;
    stack.clock.advance(seconds(2 * DAY));
    stack.exhaust().await;
    stack.assert_accepted().await;
}

// (162)
#[tokio::test]
async fn flood_of_made_up_kids_is_no_outage_and_is_logged_once() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    stack.exhaust().await;
    stack.exhaust().await;
    let text = log.text();
    assert_eq!(text.matches("more keys of load balancers were requested").count(), 1, "{text}");
    assert!(!text.contains("keys of an issuer are unavailable") && !text.contains("responds again"), "{text}");
    assert!(!text.contains("00000000-0000-0000-0001"), "a client sends the `kid`: {text}");
}

// (163)
#[tokio::test]
async fn cached_key_ends_no_outage_of_the_endpoint() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    stack.assert_accepted().await;
    stack.endpoint.fail(true);
    let made_up = async |number: usize| {
        let kid = format!("00000000-0000-0000-0002-{number:012}");
        stack.changed(json!({ "kid": kid }), json!({})).await
    };
    for number in 0..3 {
        made_up(number).await.assert_unavailable("keys_unavailable");
        stack.assert_accepted().await;
    }
    let counts =
        |log: &str| ["keys of an issuer are unavailable", "responds again"].map(|text| log.matches(text).count());
    assert_eq!(counts(&log.text()), [1, 0], "{}", log.text());
    stack.endpoint.fail(false);
    made_up(3).await.assert_invalid("key_unknown");
    assert_eq!(counts(&log.text()), [1, 1], "{}", log.text());
}

// (165)
#[tokio::test]
async fn key_that_is_a_day_old_is_fetched_again_while_requests_go_on() {
    let stack = Stack::new();
    stack.assert_accepted().await;
    for (pass, fetches) in [(DAY - 1, 1), (1, 2), (60, 2), (DAY - 60, 3), (DAY, 4)] {
        stack.clock.advance(seconds(pass));
        stack.assert_accepted().await;
        assert_eq!(stack.endpoint.fetches(), fetches, "after {pass} seconds more");
    }
}

// (165)
#[tokio::test]
async fn key_that_was_replaced_under_its_kid_is_retired() {
    let stack = Stack::new();
    let other = SigningKey::named(Algorithm::ES256, KID);
    stack.assert_accepted().await;
    stack.clock.advance(seconds(DAY));
    stack.endpoint.serve(200, pem(&other));
    let cached = stack.fresh();
    stack.send(&cached).await.assert_subject("alice");
    settle().await;
    for refused in [&cached, &stack.fresh()] {
        stack.send(refused).await.assert_invalid("signature");
    }
    stack.send(&stack.signed_by(&other)).await.assert_subject("alice");
    assert_eq!(stack.endpoint.fetches(), 2);
}

// (165)
#[tokio::test]
async fn key_that_is_withdrawn_is_retired() {
    let stack = Stack::new();
    stack.assert_accepted().await;
    stack.clock.advance(seconds(DAY));
    stack.endpoint.serve(404, "not found");
    let cached = stack.fresh();
    stack.send(&cached).await.assert_subject("alice");
    settle().await;
    for refused in [&cached, &stack.fresh()] {
        stack.send(refused).await.assert_invalid("key_unknown");
    }
}

// (165)
#[tokio::test]
async fn key_that_cannot_be_renewed_is_used_for_a_day_more() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    stack.assert_accepted().await;
    stack.endpoint.fail(true);
    for (pass, fetches) in [(DAY, 2), (59, 2), (1, 3), (DAY - 61, 4)] {
        stack.clock.advance(seconds(pass));
        stack.assert_accepted().await;
        assert_eq!(stack.endpoint.fetches(), fetches, "after {pass} seconds more");
    }
    let text = log.text();
    assert_eq!(text.matches("could not be renewed").count(), 2, "once an hour: {text}");
    stack.clock.advance(seconds(1));
    stack.send(&stack.fresh()).await.assert_unavailable("keys_unavailable");
    stack.endpoint.fail(false);
    stack.assert_accepted().await;
}

#[tokio::test]
async fn warnings_of_headers_quote_nothing_and_suppress_none_of_signed_claims() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    stack.changed(json!({ "signer": "sent-by-a-client" }), json!({})).await.assert_invalid("load_balancer_mismatch");
    stack.changed(json!({ "iss": "sent-by-a-client" }), json!({})).await.assert_invalid("issuer_unknown");
    stack.changed(json!({}), json!({ "iss": "https://signed.example" })).await.assert_invalid("issuer_unknown");
    let text = log.text();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 3, "{text}");
    assert!(warnings.iter().all(|line| !line.contains("sent-by-a-client")), "{text}");
    assert!(warnings[0].contains("the load balancers of AwsAlb::new"), "{text}");
    assert!(warnings[2].contains("https://signed.example"), "{text}");
}

// (164)
#[tokio::test]
async fn other_algorithms_are_refused() {
    let stack = Stack::new();
    let secret = |secret: &str, header: Value| {
        let signed = format!(
            "{}.{}",
            BASE64_URL_SAFE.encode(with(good_header(), header)),
            BASE64_URL_SAFE.encode(good_claims().to_string())
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
    };
    let hmac = secret(&pem(&stack.key), json!({ "alg": "HS256" }));
    stack.send(&hmac).await.assert_invalid("algorithm_not_allowed");
    stack.send(&secret(&pem(&stack.key), json!({}))).await.assert_invalid("signature");
    for (algorithm, reason) in [
        ("none", "algorithm_unknown"),
        ("RS256", "algorithm_not_allowed"),
        ("ES384", "algorithm_not_allowed"),
        ("EdDSA", "algorithm_not_allowed"),
        ("es256", "algorithm_unknown"),
    ] {
        stack.changed(json!({ "alg": algorithm }), json!({})).await.assert_invalid(reason);
    }
    let unsigned = stack.token(json!({ "alg": "none" }), json!({}));
    let (unsigned, _) = unsigned.rsplit_once('.').unwrap();
    stack.send(&format!("{unsigned}.")).await.assert_invalid("algorithm_unknown");
    let rsa = SigningKey::named(Algorithm::RS256, KID);
    let header = with(good_header(), json!({ "alg": "RS256" }));
    stack.send(&sign_padded(&header, &good_claims().to_string(), &rsa)).await.assert_invalid("algorithm_not_allowed");
    let other = SigningKey::named(Algorithm::ES256, KID);
    let forged = sign_padded(&good_header().to_string(), &good_claims().to_string(), &other);
    stack.send(&forged).await.assert_invalid("signature");
}

// (29)
#[tokio::test]
async fn critical_extension_is_refused() {
    let stack = Stack::new();
    stack.changed(json!({ "crit": ["exp"] }), json!({})).await.assert_invalid("header_critical");
    stack.changed(json!({ "b64": true }), json!({})).await.assert_invalid("header_critical");
    let twice = good_header().to_string().replacen('{', r#"{"signer":"x","#, 1);
    stack.send(&sign_padded(&twice, &good_claims().to_string(), &stack.key)).await.assert_invalid("header_syntax");
}

// (40, 41)
#[tokio::test]
async fn token_expires_by_its_header_and_by_its_claims() {
    let stack = Stack::new();
    for (header, claims, reason) in [
        (json!({ "exp": NOW - 60 }), json!({}), "expired"),
        (json!({}), json!({ "exp": NOW - 60 }), "expired"),
        (json!({ "exp": null }), json!({ "exp": null }), "expiry_missing"),
        (json!({ "exp": "tomorrow" }), json!({}), "claim_type"),
        (json!({}), json!({ "exp": "tomorrow" }), "claim_type"),
        (json!({ "exp": NOW + 200_000 }), json!({ "exp": null }), "lifetime"),
    ] {
        stack.changed(header, claims).await.assert_invalid(reason);
    }
    stack.changed(json!({ "exp": null }), json!({})).await.assert_subject("alice");
    stack.changed(json!({}), json!({ "exp": null, "iss": null })).await.assert_subject("alice");
    let token = stack.token(json!({ "exp": NOW + 10 }), json!({}));
    stack.send(&token).await.assert_subject("alice");
    stack.clock.advance(seconds(70));
    stack.send(&token).await.assert_invalid("expired");
    assert_eq!(stack.endpoint.fetches(), 1);
}

#[tokio::test]
async fn principal_has_the_client_and_the_issuer_of_the_header() {
    let stack = Stack::new();
    let seen = Arc::new(Mutex::new(None));
    let keys = AwsAlbKeys::builder("https://keys.example/alb/").fetch(Anywhere(pem(&stack.key))).build().unwrap();
    let issuer = Issuer::new(ISSUER, "client-2").unwrap().accept_audience("client-1").unwrap();
    let alb = AwsAlb::new([OTHER, LOAD_BALANCER], issuer, keys).unwrap();
    let layer = AuthLayer::new(alb).environment(&Environment::default().with_clock(stack.clock.clone()));
    let kept = Arc::clone(&seen);
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let caller = request.extensions().get::<tower_warden::Principal>().unwrap();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        *kept.lock().unwrap() = Some([caller.client_id(), caller.audience(), caller.issuer()].map(text));
        std::future::ready(Ok(Response::new(Full::<Bytes>::default())))
    });
    let app: App = tower::util::BoxCloneSyncService::new(Layer::layer(&layer, service));
    let token = stack.token(json!({}), json!({ "iss": null, "client_id": "mallory", "azp": "mallory" }));
    assert_eq!(send(app, request().header("x-amzn-oidc-data", token)).await.status, 200);
    assert_eq!(seen.lock().unwrap().take(), Some(["client-1", "client-1", ISSUER].map(str::to_owned)));
}

#[tokio::test]
async fn a_token_that_names_keys_of_its_own_is_observed() {
    let stack = Stack::new();
    let (sink, mut events) = AuditChannel::new(10);
    let service = AuditLayer::new(AuditLog::new(sink)).layer(stack.app.clone());
    let token = stack.token(json!({ "jku": "https://evil.test/s3cret" }), json!({}));
    for sent in ["verified", "cached"] {
        let request = request().header("x-amzn-oidc-data", &token).body(Full::default()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
        settle().await;
        let EventKind::Request(event) = events.try_recv().unwrap().kind else { panic!("{sent}") };
        assert!(event.is_admitted(), "{sent}");
        assert_eq!(event.observations, [Observation::KeyInToken], "{sent}");
    }
}

/// The same key at each URL.
struct Anywhere(String);

impl Fetch for Anywhere {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        assert_eq!(request.uri().to_string(), format!("https://keys.example/alb/{KID}"));
        Eventual::Now(Ok(Response::new(Bytes::from(self.0.clone()))))
    }
}

#[test]
fn mistakes_in_the_configuration_are_errors() {
    let issuer = || Issuer::new(ISSUER, "client-1").unwrap();
    let key = SigningKey::generate(Algorithm::ES256);
    let alb = |arns: &[&str], issuer| AwsAlb::new(arns.iter().copied(), issuer, keys(&[&key])).map(drop);
    let china = LOAD_BALANCER.replace(":aws:", ":aws-cn:");
    assert!(alb(&[LOAD_BALANCER, OTHER, &china], issuer()).is_ok());
    for arn in [
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188/",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c918g",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app//50dc6c495c0c9188",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2",
        "arn:aws:elasticloadbalancing:eu-west-1:12345678901:loadbalancer/app/web/50dc6c495c0c9188",
        "arn:aws:elasticloadbalancing::123456789012:loadbalancer/app/web/50dc6c495c0c9188",
        "arn:evil:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188",
        " arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188",
        "",
        "*",
        "web",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/net/web/50dc6c495c0c9188",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/*",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/50dc6c495c0c9188",
    ] {
        assert_eq!(alb(&[LOAD_BALANCER, arn], issuer()).unwrap_err().kind(), ConfigErrorKind::Issuer, "{arn}");
    }
    assert_eq!(alb(&[], issuer()).unwrap_err().kind(), ConfigErrorKind::Issuer);
    let any = issuer().danger_any_audience();
    assert_eq!(alb(&[LOAD_BALANCER], any).unwrap_err().kind(), ConfigErrorKind::Audience);
    for issuer in [
        Issuer::template("https://{org}.example.com", "client-1").unwrap(),
        Issuer::jwt_svid("spiffe://example.com", "client-1").unwrap(),
        issuer().danger_without_iss().unwrap(),
    ] {
        assert_eq!(alb(&[LOAD_BALANCER], issuer).unwrap_err().kind(), ConfigErrorKind::Issuer);
    }
    for region in ["", "eu-west-1.evil.example/", "evil.example#", "EU-WEST-1", "a/b", "us-gov-west-1"] {
        assert_eq!(AwsAlbKeys::new(region).unwrap_err().kind(), ConfigErrorKind::KeySet, "{region}");
    }
    for url in
        ["http://keys.example", "https://user@keys.example", "https://keys.example/?x=", "https://k.example/#", ""]
    {
        let error = AwsAlbKeys::builder(url).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::KeySet, "{url}");
    }
    assert!(AwsAlbKeys::builder("https://169.254.169.254/keys").build().is_err());
}
