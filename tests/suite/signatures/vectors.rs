//! The vectors of RFC 9421, through the public API.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use serde_json::Value;
use tower::ServiceExt;
use tower_warden::{
    AuthMethod, Identity, ManualClock, UnixTime,
    jwt::{Algorithm, VerifyingKey},
    signature::{FieldType, SignatureKeyMap, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::{
    signed::{App, agents, app},
    support::{Answer, START},
};

/// A request as text. Header fields of the `http` crate cannot be folded: servers replace a fold by a space.
fn parse(text: &str) -> (Request<()>, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or_else(|| (text.trim_end_matches('\n'), ""));
    let head = head.replace("\n    ", " ");
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut request = Request::builder().method(first.next().unwrap()).uri(first.next().unwrap()).body(()).unwrap();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    (request, body.to_owned())
}

async fn send(app: &App, request: &Request<()>, fields: [(&'static str, String); 2], body: String) -> Answer {
    let mut builder = Request::builder().method(request.method()).uri(request.uri());
    *builder.headers_mut().unwrap() = request.headers().clone();
    let builder = fields.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    Answer::read(app.clone().oneshot(builder.body(Full::<Bytes>::from(body)).unwrap()).await.unwrap()).await
}

/// The public part of a key of appendix B.1, for an algorithm.
fn key(id: &str, algorithm: Algorithm) -> VerifyingKey {
    let keys: Value = serde_json::from_str(include_str!("../../vectors/rfc9421/keys.jwks.json")).unwrap();
    let mut jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == id).unwrap().clone();
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(member);
    }
    jwk["alg"] = algorithm.as_str().into();
    VerifyingKey::from_jwk(&jwk.to_string()).unwrap()
}

#[tokio::test]
async fn signatures_of_appendix_b_are_those_of_rfc_9421() {
    let rows: Value = serde_json::from_str(include_str!("../../vectors/rfc9421/signatures.json")).unwrap();
    let mut checked = 0;
    for row in rows["tests"].as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap();
        // The response of B.2.4 is tested where responses are.
        if text("message").starts_with("HTTP/") {
            continue;
        }
        let algorithm = match text("alg") {
            "rsa-pss-sha512" => Algorithm::PS512,
            "ecdsa-p256-sha256" => Algorithm::ES256,
            "hmac-sha256" => Algorithm::HS256,
            _ => Algorithm::EdDSA,
        };
        let (request, body) = parse(text("message"));
        let host = request.headers()["host"].to_str().unwrap();
        let policy = SignaturePolicy::new(&format!("https://{host}")).unwrap();
        // The examples cover too little, on purpose.
        let policy = policy.danger_components([]).unwrap().danger_accept_unsigned_content();
        let policy =
            if text("signature_input").contains("tag=") { policy.tag("header-example").unwrap() } else { policy };
        let keys = SignatureKeyMap::default();
        let agent = Identity::new("agent", AuthMethod::Signature);
        let keys = keys.with(text("keyid"), key(text("keyid"), algorithm), agent);
        let app = app(Signatures::new(policy, keys), &ManualClock::at(UnixTime::from_secs(1_618_884_473)));
        let fields =
            [("signature-input", text("signature_input").to_owned()), ("signature", text("signature").to_owned())];
        let answer = send(&app, &request, fields, body).await;
        if text("result") == "valid" {
            assert_eq!(answer.status, 200, "{}: {answer:?}", text("name"));
        } else {
            assert_eq!(answer.reason, Some("signature_wrong"), "{}", text("name"));
        }
        checked += 1;
    }
    assert_eq!(checked, 13);
}

#[tokio::test]
async fn components_are_those_of_section_2() {
    let rows: Value = serde_json::from_str(include_str!("../../vectors/rfc9421/components.json")).unwrap();
    let signing = SigningKey::generate(Algorithm::EdDSA);
    let mut checked = (0, 0);
    for row in rows["tests"].as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap();
        let (request, _) = parse(text("message"));
        let host = request.headers().get("host").map_or("www.example.com", |host| host.to_str().unwrap());
        // The origin of the vector, which would be a loopback host for `http`.
        let (scheme, host) = match row["scheme"].as_str() {
            Some("http") => ("http", "localhost"),
            _ => ("https", host),
        };
        let policy = SignaturePolicy::new(&format!("{scheme}://{host}")).unwrap().danger_components([]).unwrap();
        let policy = policy.structured_field(HeaderName::from_static("example-dict"), FieldType::Dictionary);
        let keys = agents(&signing);
        let app = app(Signatures::new(policy, keys), &ManualClock::at(START));
        let input = format!("({});created={START};keyid=\"k1\"", text("identifier"));
        let line = row["line"].as_str().unwrap_or_default();
        let base = format!("{line}\n\"@signature-params\": {input}");
        let signature = format!("a=:{}:", BASE64_STANDARD.encode(signing.sign(base.as_bytes())));
        let fields = [("signature-input", format!("a={input}")), ("signature", signature)];
        let answer = send(&app, &request, fields, String::new()).await;
        let context = format!("{} in {}: {answer:?}", text("identifier"), text("message"));
        if text("result") == "ok" {
            assert_eq!(answer.status, 200, "{context}");
            checked.0 += 1;
        } else {
            let reason = answer.reason.unwrap();
            assert!(matches!(reason, "signature_component" | "signature_component_absent"), "{context}");
            checked.1 += 1;
        }
    }
    assert_eq!(checked, (36, 11));
}
