//! Content, and its digest.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request::Builder};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment,
    body::BodyLimits,
    layer::{AuthLayer, BodyCheckLayer},
    signature::{ContentDigestCheck, DigestAlgorithm, SignaturePolicy, Signatures},
};

use crate::{
    signed::{ORIGIN, Stack, agents, assert_refused, auth, covered, pair, parameters, post, seconds, send, signed},
    support::{self, Answer, START},
};

#[tokio::test]
async fn signed_content_reaches_the_handler_unchanged() {
    let stack = Stack::new();
    stack.send_with(post(&stack, "{}"), "{}").await.assert_subject("agent:{}");
}

// (217)
#[tokio::test]
async fn changed_body_is_refused_and_does_not_use_the_signature_up() {
    let stack = Stack::new();
    for body in ["{ }", "", "{}\n"] {
        assert_refused(&stack.send_with(post(&stack, "{}"), body).await, "signature_content_changed");
    }
    stack.send_with(post(&stack, "{}"), "{}").await.assert_subject("agent:{}");
}

// (218)
#[tokio::test]
async fn body_without_a_covered_digest_is_refused() {
    let stack = Stack::new();
    let request = |field: Option<&str>| {
        let request = Request::post("/orders");
        let request = field.into_iter().fold(request, |request, value| request.header("content-digest", value));
        signed(request, &stack.key, &covered("POST", "/orders"), &parameters(START.as_secs(), "k1"))
    };
    assert_refused(&stack.send_with(request(None), "{}").await, "signature_content_not_covered");
    let right = DigestAlgorithm::Sha256.content_digest(b"{}");
    let right = request(Some(right.to_str().unwrap()));
    assert_refused(&stack.send_with(right, "{}").await, "signature_content_not_covered");
    stack.send_with(request(None), "").await.assert_subject("agent:");
}

#[tokio::test]
async fn body_of_any_method_needs_a_digest() {
    let stack = Stack::new();
    for method in ["GET", "DELETE", "PATCH", "QUERY"] {
        let request = Request::builder().method(method).uri("/");
        let request = signed(request, &stack.key, &covered(method, "/"), &parameters(START.as_secs(), "k1"));
        assert_refused(&stack.send_with(request, "{}").await, "signature_content_not_covered");
    }
}

// (218)
#[tokio::test]
async fn covered_member_of_a_weak_algorithm_is_no_digest() {
    let stack = Stack::new();
    let both =
        format!("md5=:mZFLkyvTelC5g8XnyQrpOw==:, {}", DigestAlgorithm::Sha256.content_digest(b"{}").to_str().unwrap());
    let request = |name: &str, value: &str| {
        let components = [&covered("POST", "/")[..], &[(name.to_owned(), value.to_owned())]].concat();
        let request = Request::post("/").header("content-digest", &both);
        signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"))
    };
    let md5 = request("\"content-digest\";key=\"md5\"", ":mZFLkyvTelC5g8XnyQrpOw==:");
    assert_refused(&stack.send_with(md5, "{}").await, "signature_content_not_covered");
    let digest = both.split_once("sha-256=").unwrap().1;
    let sha256 = request("\"content-digest\";key=\"sha-256\"", digest);
    stack.send_with(sha256, "{}").await.assert_subject("agent:{}");
}

// (217, 218)
#[tokio::test]
async fn body_that_was_removed_is_refused_also_with_a_covered_digest_of_a_weak_algorithm_only() {
    let stack = Stack::new();
    let field = ("content-digest", "md5=:mZFLkyvTelC5g8XnyQrpOw==:");
    let components = [&covered("POST", "/")[..], &[pair(field.0, field.1)]].concat();
    let request = Request::post("/").header(field.0, field.1);
    let request = signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"));
    assert_refused(&stack.send_with(request, "").await, "signature_content_not_covered");
}

#[tokio::test]
async fn unsigned_content_is_accepted_only_by_a_danger() {
    let stack = Stack::with(SignaturePolicy::danger_accept_unsigned_content);
    let request = signed(Request::post("/"), &stack.key, &covered("POST", "/"), &parameters(START.as_secs(), "k1"));
    stack.send_with(request, "{}").await.assert_subject("agent:{}");
    // What is covered is compared all the same.
    assert_refused(&stack.send_with(post(&stack, "{}"), "[]").await, "signature_content_changed");
}

// (232)
#[tokio::test]
async fn missing_content_layer_is_a_mistake_of_the_server() {
    let stack = Stack::new();
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let layer = AuthLayer::new(signatures).environment(&Environment::default().with_clock(stack.clock.clone()));
    let app = support::app(&layer);
    send(&app, stack.get(), "").await.assert_reason(500, "signature_content_unchecked");
    send(&app, post(&stack, "{}"), "{}").await.assert_reason(500, "signature_content_unchecked");
}

#[tokio::test]
async fn content_is_read_within_the_limits() {
    let stack = Stack::new();
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let check = ContentDigestCheck::new(BodyLimits::new(4, seconds(1)).unwrap());
    let layers = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(check))
        .layer(AuthLayer::new(signatures).environment(&Environment::default().with_clock(stack.clock.clone())));
    let app = layers.service(service_fn(async |_| Ok(Response::new(Full::<Bytes>::default()))));
    send(&app, post(&stack, "12345"), "12345").await.assert_reason(413, "body_too_large");
    send(&app, post(&stack, "1234"), "1234").await.assert_subject("");
    // What is not signed is not read.
    send(&app, Request::post("/"), "12345").await.assert_reason(401, "credential_missing");
}

#[tokio::test]
async fn digests_are_those_of_rfc_9530() {
    let rows: Value = serde_json::from_str(include_str!("../../vectors/rfc9530/content_digest.json")).unwrap();
    let rows = rows["tests"].as_array().unwrap();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap();
        let stack = Stack::new();
        let components = [&covered("POST", "/")[..], &[pair("content-digest", text("content_digest"))]].concat();
        let request = Request::post("/").header("content-digest", text("content_digest"));
        let request = signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"));
        let content: &'static str = Box::leak(text("content").into());
        let answer = stack.send_with(request, content).await;
        assert_eq!(answer.status == 200, text("result") == "valid", "{}: {answer:?}", text("name"));
    }
    assert_eq!(rows.len(), 14);
}

/// A signed `POST /orders`, whose signature covers these fields as well as its content.
fn with_fields(stack: &Stack, fields: &[(&str, &str)], covered_fields: &[(&str, &str)]) -> Builder {
    let digest = DigestAlgorithm::Sha256.content_digest(b"{}");
    let mut components = covered("POST", "/orders");
    components.push(pair("content-digest", digest.to_str().unwrap()));
    components.extend(covered_fields.iter().map(|(name, value)| pair(name, value)));
    let request = Request::post("/orders").header("content-digest", digest);
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"))
}

// (237)
#[tokio::test]
async fn content_type_that_is_not_covered_is_refused() {
    let (stack, json) = (Stack::new(), [("content-type", "application/json")]);
    let request = with_fields(&stack, &json, &[]);
    assert_refused(&stack.send_with(request, "{}").await, "signature_not_covered");
    stack.send_with(with_fields(&stack, &json, &json), "{}").await.assert_subject("agent:{}");
}

// (237)
#[tokio::test]
async fn fields_of_the_content_are_covered_whatever_else_is_required() {
    let stack = Stack::with(|policy| policy.components(["@method", "@target-uri", "x-tenant"]).unwrap());
    for (name, value) in [("content-type", "application/json"), ("content-encoding", "gzip")] {
        let (tenant, field) = (("x-tenant", "acme"), (name, value));
        let less = stack.send_with(with_fields(&stack, &[tenant, field], &[tenant]), "{}").await;
        assert_refused(&less, "signature_not_covered");
        assert!(less.header("accept-signature").unwrap().contains(&format!("\"{name}\"")), "{less:?}");
        stack.send_with(with_fields(&stack, &[tenant, field], &[tenant, field]), "{}").await.assert_subject("agent:{}");
    }
}

#[tokio::test]
async fn fields_of_the_content_need_not_be_covered_only_by_a_danger() {
    let stack = Stack::with(|policy| policy.danger_components(["@method", "@target-uri"]).unwrap());
    let request = with_fields(&stack, &[("content-type", "application/json")], &[]);
    stack.send_with(request, "{}").await.assert_subject("agent:{}");
}

// (237)
#[tokio::test]
async fn content_type_that_was_changed_is_refused() {
    let stack = Stack::new();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let request = with_fields(&stack, &form, &[("content-type", "application/json")]);
    assert_refused(&stack.send_with(request, "{}").await, "signature_wrong");
}

// (237)
#[tokio::test]
async fn content_encoding_that_was_added_is_refused() {
    let stack = Stack::new();
    let request = with_fields(&stack, &[("content-encoding", "gzip")], &[]);
    assert_refused(&stack.send_with(request, "{}").await, "signature_not_covered");
}

#[tokio::test]
async fn content_type_without_content_need_not_be_covered() {
    let stack = Stack::new();
    let request = Request::get("/").header("content-type", "text/plain");
    let request = signed(request, &stack.key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    stack.send(request).await.assert_subject("agent:");
}

// (238)
#[tokio::test]
async fn trailers_of_a_signed_request_are_refused() {
    let stack = Stack::new();
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let handler = service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let service = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(ContentDigestCheck::default()))
        .layer(auth(signatures, &stack.clock))
        .service(handler);
    let send = async |trailers: HeaderMap| {
        let body = Full::<Bytes>::from("{}").with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync();
        let request = post(&stack, "{}").body(body).unwrap();
        Answer::read(service.clone().oneshot(request).await.unwrap()).await
    };
    let role = HeaderMap::from_iter([(HeaderName::from_static("x-role"), HeaderValue::from_static("admin"))]);
    assert_refused(&send(role).await, "signature_content_changed");
    assert_eq!(send(HeaderMap::new()).await.status, 200);
}

// (239)
#[tokio::test]
async fn content_of_a_request_with_malformed_signatures_is_not_read() {
    let stack = Stack::new();
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let handler = service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let limits = BodyLimits::new(3, seconds(1)).unwrap();
    let service = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(ContentDigestCheck::new(limits)))
        .layer(auth(signatures, &stack.clock))
        .service(handler);
    let send = async |input: &str| {
        let request = Request::post("/").header("signature-input", input).header("signature", "a=:AAAA:");
        let request = request.body(Full::<Bytes>::from("12345")).unwrap();
        Answer::read(service.clone().oneshot(request).await.unwrap()).await
    };
    send("a=(").await.assert_reason(400, "signature_syntax");
    send("b=()").await.assert_reason(400, "signature_labels");
    assert_eq!(send("a=(\"@unknown\")").await.reason, Some("signature_component"));
    assert_eq!(send("a=()").await.status, 413);
}
