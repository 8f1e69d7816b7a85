//! Signed responses, and requests that are signed by this crate.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_warden::{
    Environment, ManualClock, Reason, UnixTime,
    body::BodyLimits,
    jwt::Algorithm,
    signature::{
        DigestAlgorithm, FieldType, HmacKey, MessageSigner, ResponseVerifier, SignResponseLayer, SignatureAlgorithm,
        SignaturePolicy,
    },
    testing::SigningKey,
};

use crate::{
    signed::{ORIGIN, Stack, assert_refused, seconds},
    support::{Answer, START},
};

/// A request that the signer of a client has signed, and a server receives.
fn sent(signer: &MessageSigner, uri: &str, body: &'static str) -> Request<Full<Bytes>> {
    let (mut parts, ()) = Request::post(uri).body(()).unwrap().into_parts();
    signer.sign_request(&mut parts, body.as_bytes(), START).unwrap();
    parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    Request::from_parts(parts, Full::from(body))
}

#[tokio::test]
async fn request_that_is_signed_by_each_algorithm_is_admitted() {
    for algorithm in
        [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::HS256, Algorithm::PS512, Algorithm::RS256]
    {
        let stack = Stack::of(SigningKey::named(algorithm, "k1"), |policy| policy.tag("t").unwrap());
        let signer = MessageSigner::new(stack.key.clone()).tag("t").unwrap().expires_after(seconds(60));
        for body in ["", "{}"] {
            let request = sent(&signer, "https://api.test/orders?a=b", body);
            let answer = Answer::read(stack.app.clone().oneshot(request).await.unwrap()).await;
            answer.assert_subject(&format!("agent:{body}"));
        }
        let wrong = sent(&signer, "https://other.test/orders", "");
        assert_refused(&Answer::read(stack.app.clone().oneshot(wrong).await.unwrap()).await, "signature_wrong");
    }
}

#[tokio::test]
async fn equal_requests_are_no_replays_because_of_their_nonces() {
    let stack = Stack::of(SigningKey::named(Algorithm::EdDSA, "k1"), |policy| policy);
    let signer = MessageSigner::new(stack.key.clone());
    for signer in [&signer, &signer] {
        let answer = Answer::read(stack.app.clone().oneshot(sent(signer, ORIGIN, "")).await.unwrap()).await;
        answer.assert_subject("agent:");
    }
    let signer = signer.without_nonce();
    let answers = [(); 2].map(|()| stack.app.clone().oneshot(sent(&signer, ORIGIN, "")));
    let [first, second] = answers;
    Answer::read(first.await.unwrap()).await.assert_subject("agent:");
    assert_refused(&Answer::read(second.await.unwrap()).await, "signature_replay");
}

#[tokio::test]
async fn list_of_components_on_both_sides_covers_the_fields_that_the_policy_requires() {
    let components = ["@method", "@target-uri", "x-tenant"];
    let policy = |policy: SignaturePolicy| policy.components(components).unwrap();
    let stack = Stack::of(SigningKey::named(Algorithm::EdDSA, "k1"), policy);
    let signer = MessageSigner::new(stack.key.clone()).components(components).unwrap();
    let request = Request::post("https://api.test/orders").header("x-tenant", "acme").header("authorization", "token");
    let request = request.header("content-type", "application/json").header("content-encoding", "gzip");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    signer.sign_request(&mut parts, b"{}", START).unwrap();
    parts.uri = "/orders".parse().unwrap();
    let request = Request::from_parts(parts, Full::from("{}"));
    Answer::read(stack.app.clone().oneshot(request).await.unwrap()).await.assert_subject("agent:{}");
}

#[test]
fn digest_that_matches_the_content_is_kept() {
    let signer = MessageSigner::new(HmacKey::new("k", &[7; 32]).unwrap());
    let signed = |digest: &HeaderValue| {
        let request = Request::post(ORIGIN).header("content-digest", digest);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        signer.sign_request(&mut parts, b"{}", START).unwrap();
        parts.headers.remove("content-digest").unwrap()
    };
    let [kept, other] = [&b"{}"[..], b"[]"].map(|content| DigestAlgorithm::Sha512.content_digest(content));
    assert_eq!(signed(&kept), kept);
    assert_eq!(signed(&other), DigestAlgorithm::Sha256.content_digest(b"{}"));
    assert_eq!(signed(&HeaderValue::from_static("?")), DigestAlgorithm::Sha256.content_digest(b"{}"));
}

#[test]
fn what_cannot_be_covered_is_an_error() {
    let signer = || MessageSigner::new(HmacKey::new("k", &[7; 32]).unwrap());
    let (mut parts, ()) = Request::get(ORIGIN).body(()).unwrap().into_parts();
    let absent = signer().components(["date"]).unwrap();
    assert!(absent.sign_request(&mut parts.clone(), b"", START).is_err());
    signer().sign_request(&mut parts, b"", START).unwrap();
    let before = parts.headers.clone();
    assert!(signer().sign_request(&mut parts, b"", START).is_err(), "the label is taken");
    assert_eq!(parts.headers, before);
    signer().label("other").unwrap().sign_request(&mut parts, b"", START).unwrap();
    assert_eq!(parts.headers.get_all("signature").iter().count(), 2);
    assert!(signer().label("Sig").is_err());
    assert!(signer().tag("ä").is_err());
    assert!(signer().components(["@method", "@target-uri", "@method"]).is_err(), "verifiers refuse it");
}

type Body = Full<Bytes>;

async fn call(
    limits: BodyLimits,
    handler: impl AsyncFn(Request<Body>) -> Response<Body> + Clone,
) -> (http::response::Parts, Bytes, ResponseVerifier, http::request::Parts) {
    let key = SigningKey::named(Algorithm::ES256, "s1");
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let layer = SignResponseLayer::new(ORIGIN, MessageSigner::new(key.clone())).unwrap();
    let service = service_fn(async |request| Ok::<_, Infallible>(handler(request).await));
    let mut service = layer.environment(&environment).limits(limits).layer(service);
    let request = Request::get("/balance?a=b").body(Body::default()).unwrap();
    let (response, body) = service.ready().await.unwrap().call(request).await.unwrap().into_parts();
    let content = body.collect().await.unwrap().to_bytes();
    let (seen, ()) = Request::get("https://api.test/balance?a=b").body(()).unwrap().into_parts();
    (response, content, ResponseVerifier::new([("s1", key.verifying_key())]), seen)
}

// (233)
#[tokio::test]
async fn signed_response_belongs_to_its_request_status_and_content() {
    let (response, content, verifier, request) =
        call(BodyLimits::default(), async |_| Response::new(Full::from("12 EUR"))).await;
    assert_eq!(verifier.verify(&response, &content, &request, START), Ok(()));
    assert_eq!(verifier.verify(&response, b"13 EUR", &request, START), Err(Reason::SIGNATURE_CONTENT_CHANGED));
    let mut other = response.clone();
    other.status = StatusCode::CREATED;
    assert_eq!(verifier.verify(&other, &content, &request, START), Err(Reason::SIGNATURE_WRONG));
    let mut other = request.clone();
    other.uri = "https://api.test/balance?a=c".parse().unwrap();
    assert_eq!(verifier.verify(&response, &content, &other, START), Err(Reason::SIGNATURE_WRONG));
    let mut unsigned = response.clone();
    unsigned.headers.remove(HeaderName::from_static("signature"));
    assert_eq!(verifier.verify(&unsigned, &content, &request, START), Err(Reason::SIGNATURE_LABELS));
    let later = START + seconds(301);
    assert_eq!(verifier.verify(&response, &content, &request, later), Err(Reason::SIGNATURE_TOO_OLD));
}

#[tokio::test]
async fn response_behind_a_proxy_that_removes_a_prefix_belongs_to_the_path_that_the_client_calls() {
    let (signer, verifier) = server();
    let layer = || SignResponseLayer::new(ORIGIN, signer.clone()).unwrap();
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let handler = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("12 EUR"))));
    let service = layer().removed_prefix("/api").unwrap().environment(&environment).layer(handler);
    let request = Request::get("/balance?a=b").body(Body::default()).unwrap();
    let (response, _) = service.oneshot(request).await.unwrap().into_parts();
    let seen = |uri: &str| Request::get(uri).body(()).unwrap().into_parts().0;
    let verify = |uri: &str| verifier.verify(&response, b"12 EUR", &seen(uri), START);
    assert_eq!(verify("https://api.test/api/balance?a=b"), Ok(()));
    assert_eq!(verify("https://api.test/balance?a=b"), Err(Reason::SIGNATURE_WRONG));
    assert!(layer().removed_prefix("api/").is_err());
}

#[tokio::test]
async fn response_without_content_is_signed() {
    let (response, content, verifier, request) =
        call(BodyLimits::default(), async |_| Response::new(Full::default())).await;
    assert_eq!(verifier.verify(&response, &content, &request, START), Ok(()));
    assert_eq!(verifier.verify(&response, b"x", &request, START), Err(Reason::SIGNATURE_CONTENT_NOT_COVERED));
}

// (233)
// (218)
#[test]
fn response_whose_content_may_have_been_removed_is_not_valid() {
    let (signer, verifier) = server();
    let (request, mut parts) = (signed_request("{}"), Response::new(()).into_parts().0);
    parts.headers.insert("content-digest", HeaderValue::from_static("md5=:mZFLkyvTelC5g8XnyQrpOw==:"));
    let signer = signer.components(["@status", "content-digest"]).unwrap();
    let verifier = verifier.components(["@status"]).unwrap();
    signer.sign_response(&mut parts, b"", &request, START).unwrap();
    parts.headers.insert("content-digest", HeaderValue::from_static("md5=:mZFLkyvTelC5g8XnyQrpOw==:"));
    let refused = verifier.verify(&parts, b"", &request, START).unwrap_err();
    assert_eq!(refused, Reason::SIGNATURE_CONTENT_NOT_COVERED);
}

#[tokio::test]
async fn response_that_cannot_be_signed_is_not_sent() {
    let limits = BodyLimits::new(3, seconds(1)).unwrap();
    let (response, content, verifier, request) = call(limits, async |_| Response::new(Full::from("secret"))).await;
    assert_eq!((response.status.as_u16(), content.len()), (500, 0));
    assert_eq!(verifier.verify(&response, &content, &request, START), Err(Reason::SIGNATURE_LABELS));
}

/// A request as a client sends it, with a signature.
fn signed_request(body: &str) -> http::request::Parts {
    let (mut parts, ()) = Request::post("https://api.test/orders").body(()).unwrap().into_parts();
    let signer = MessageSigner::new(SigningKey::named(Algorithm::EdDSA, "client"));
    signer.sign_request(&mut parts, body.as_bytes(), START).unwrap();
    parts
}

/// A server that signs, and a client that verifies.
fn server() -> (MessageSigner, ResponseVerifier) {
    let key = SigningKey::named(Algorithm::EdDSA, "s1");
    (MessageSigner::new(key.clone()), ResponseVerifier::new([("s1", key.verifying_key())]))
}

/// Signs a response to a request.
fn answered(signer: &MessageSigner, request: &http::request::Parts) -> http::response::Parts {
    let (mut response, ()) = Response::new(()).into_parts();
    signer.sign_response(&mut response, b"ok", request, START).unwrap();
    response
}

// (233)
#[test]
fn response_to_an_earlier_signed_request_with_the_same_target_is_not_valid() {
    let (signer, verifier) = server();
    let (first, second) = (signed_request("{}"), signed_request("{}"));
    let response = answered(&signer, &first);
    assert_eq!(verifier.verify(&response, b"ok", &first, START), Ok(()));
    assert_eq!(verifier.verify(&response, b"ok", &second, START), Err(Reason::SIGNATURE_WRONG));
}

// (233)
#[test]
fn response_to_an_unsigned_request_with_another_content_is_not_valid() {
    let (signer, verifier) = server();
    let request = |content: &[u8]| {
        let digest = DigestAlgorithm::Sha256.content_digest(content);
        let request = Request::post("https://api.test/orders").header("content-digest", digest);
        request.body(()).unwrap().into_parts().0
    };
    let response = answered(&signer, &request(b"a"));
    assert_eq!(verifier.verify(&response, b"ok", &request(b"a"), START), Ok(()));
    assert_eq!(verifier.verify(&response, b"ok", &request(b"b"), START), Err(Reason::SIGNATURE_WRONG));
}

// (233)
#[test]
fn response_whose_signature_does_not_cover_that_of_the_request_is_not_valid() {
    let (signer, verifier) = server();
    let signer = signer.components(["@status", "\"@method\";req", "\"@target-uri\";req"]).unwrap();
    let request = signed_request("{}");
    let response = answered(&signer, &request);
    assert_eq!(verifier.verify(&response, b"ok", &request, START), Err(Reason::SIGNATURE_NOT_COVERED));
}

#[test]
fn structured_field_that_both_sides_declare_may_be_serialized_again_on_the_way() {
    let (signer, verifier) = server();
    let (name, field_type) = (HeaderName::from_static("x-order"), FieldType::Dictionary);
    let components = ["@status", "\"x-order\";sf"];
    let signer = signer.components(components).unwrap();
    let (request, ()) = Request::get("https://api.test/").body(()).unwrap().into_parts();
    let response = || Response::builder().header("x-order", "id=7,  state=paid").body(()).unwrap().into_parts().0;
    assert!(signer.sign_response(&mut response(), b"", &request, START).is_err(), "its type is unknown");
    let mut signed = response();
    signer.structured_field(name.clone(), field_type).sign_response(&mut signed, b"", &request, START).unwrap();
    signed.headers.insert("x-order", HeaderValue::from_static("id=7, state=paid"));
    let verifier = verifier.components(components).unwrap().structured_field(name, field_type);
    assert_eq!(verifier.verify(&signed, b"", &request, START), Ok(()));
}

#[test]
fn skew_and_algorithms_of_responses_are_those_of_the_verifier() {
    let (signer, verifier) = server();
    let request = signed_request("{}");
    let response = answered(&signer, &request);
    let verify = |verifier: ResponseVerifier, now| verifier.verify(&response, b"ok", &request, now);
    let ahead = UnixTime::from_secs(START.as_secs() - 61);
    assert_eq!(verify(verifier.clone(), ahead), Err(Reason::SIGNATURE_IN_FUTURE));
    assert_eq!(verify(verifier.clone().skew(seconds(61)).unwrap(), ahead), Ok(()));
    let only = verifier.clone().algorithms([SignatureAlgorithm::EcdsaP256Sha256]).unwrap();
    assert_eq!(verify(only, START), Err(Reason::SIGNATURE_ALGORITHM));
    assert!(verifier.clone().skew(seconds(301)).is_err());
    assert!(verifier.algorithms([]).is_err());
}

// (233)
#[test]
fn response_that_covers_all_signatures_of_its_request_is_valid() {
    let (signer, verifier) = server();
    let components = ["@status", "\"@method\";req", "\"@target-uri\";req", "\"signature\";req"];
    let request = signed_request("{}");
    let response = answered(&signer.components(components).unwrap(), &request);
    assert_eq!(verifier.verify(&response, b"ok", &request, START), Ok(()));
}

#[test]
fn response_to_a_request_to_which_a_proxy_has_added_a_signature_is_valid() {
    let (signer, verifier) = server();
    let sent = signed_request("{}");
    let mut received = sent.clone();
    let proxy = MessageSigner::new(SigningKey::named(Algorithm::EdDSA, "proxy")).label("proxy").unwrap();
    proxy.sign_request(&mut received, b"{}", START).unwrap();
    assert_eq!(verifier.verify(&answered(&signer, &received), b"ok", &sent, START), Ok(()));
}

// (233)
#[tokio::test]
async fn response_that_another_server_has_signed_gets_a_further_signature() {
    let (response, content, verifier, request) = call(BodyLimits::default(), async |_| {
        let response = Response::builder().header("signature-input", "sig1=()").header("signature", "sig1=:AAAA:");
        response.body(Full::from("12 EUR")).unwrap()
    })
    .await;
    assert_eq!(verifier.verify(&response, &content, &request, START), Ok(()));
    let lines: Vec<_> = response.headers.get_all("signature").iter().collect();
    assert_eq!((lines.len(), lines[0].as_bytes()), (2, &b"sig1=:AAAA:"[..]));
    assert!(lines[1].as_bytes().starts_with(b"sig1-2=:"));
}

// (233)
#[tokio::test]
async fn malformed_signature_of_another_server_is_replaced() {
    for (input, signature) in [("(", "("), ("a=()", "b=:AAAA:"), ("sig1=(", "sig1=:AAAA:")] {
        let (response, content, verifier, request) = call(BodyLimits::default(), async |_| {
            let response = Response::builder().header("signature-input", input).header("signature", signature);
            response.body(Full::from("12 EUR")).unwrap()
        })
        .await;
        assert_eq!(verifier.verify(&response, &content, &request, START), Ok(()));
        assert_eq!(response.headers.get_all("signature").iter().count(), 1);
    }
}

/// Appendix B.2.4.
#[test]
fn signature_of_a_response_is_that_of_rfc_9421() {
    use tower_warden::{UnixTime, jwt::VerifyingKey};
    let rows: serde_json::Value = serde_json::from_str(include_str!("../../vectors/rfc9421/signatures.json")).unwrap();
    let row = rows["tests"].as_array().unwrap().iter().find(|row| row["name"].as_str().unwrap().starts_with("B.2.4"));
    let text = |name: &str| row.unwrap()[name].as_str().unwrap();
    let (head, content) = text("message").split_once("\n\n").unwrap();
    let mut response = Response::builder().status(200);
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        response = response.header(name, value);
    }
    let response = response.header("signature-input", text("signature_input")).header("signature", text("signature"));
    let (response, ()) = response.body(()).unwrap().into_parts();
    let keys: serde_json::Value = serde_json::from_str(include_str!("../../vectors/rfc9421/keys.jwks.json")).unwrap();
    let mut jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == text("keyid")).unwrap().clone();
    jwk.as_object_mut().unwrap().remove("d");
    let key = VerifyingKey::from_jwk(&jwk.to_string()).unwrap();
    let verifier = ResponseVerifier::new([(text("keyid"), key)]).components(["@status"]).unwrap();
    let (request, ()) = Request::get("https://example.com/").body(()).unwrap().into_parts();
    let then = UnixTime::from_secs(1_618_884_473);
    assert_eq!(verifier.verify(&response, content.as_bytes(), &request, then), Ok(()));
    assert!(verifier.verify(&response, b"", &request, then).is_err());
}
