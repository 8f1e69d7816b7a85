//! Webhooks with header fields, bodies and handlers that are not as they should be.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use serde::Deserialize;
use tower::ServiceExt;
use tower_warden::{
    Environment, ManualClock, Timestamp,
    body::BodyLimits,
    layer::WebhookLayer,
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner, TimestampUnit},
        webhook::{Delivery, Webhook, WebhookVerifier},
    },
};

use crate::{
    support::{Answer, START, seconds},
    webhooks::{BODY, Hooks, assert_refused, other_secret, secret, signed},
};

fn plain() -> PayloadKey {
    PayloadKey::secret(b"whsec_a secret that is used as it is").unwrap()
}

/// Hooks of a scheme, and the fields of a delivery that they accept.
fn hooks(scheme: PayloadScheme, key: PayloadKey) -> (Hooks, HeaderMap) {
    (Hooks::new(scheme.clone(), [key.clone()]), signed(scheme, key, START))
}

fn with(fields: &HeaderMap, name: &'static str, value: &str) -> HeaderMap {
    let mut fields = fields.clone();
    fields.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    fields
}

fn text(fields: &HeaderMap, name: &str) -> String {
    fields[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_missing_field_is_refused() {
    // (246)
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    for (name, reason) in [
        ("webhook-id", "payload_id_missing"),
        ("webhook-timestamp", "payload_timestamp_missing"),
        ("webhook-signature", "payload_signature_missing"),
    ] {
        let mut fields = fields.clone();
        fields.remove(name);
        hooks.refuses(&fields, BODY, reason).await;
    }
    hooks.refuses(&HeaderMap::new(), "", "payload_signature_missing").await;
}

#[tokio::test]
async fn a_field_that_occurs_twice_is_refused_even_with_one_value() {
    // (246)
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut fields = fields.clone();
        fields.append(HeaderName::from_static(name), fields[name].clone());
        hooks.refuses(&fields, BODY, "payload_field_repeated").await;
    }
    hooks.accepts(&fields).await;
}

#[tokio::test]
async fn the_timestamp_of_stripe_that_is_missing_or_occurs_twice_is_refused() {
    // (246)
    let (hooks, fields) = hooks(PayloadScheme::stripe(), plain());
    let list = text(&fields, "stripe-signature");
    let (time, signature) = list.split_once(',').unwrap();
    let send = async |list: &str, reason| hooks.refuses(&with(&fields, "stripe-signature", list), BODY, reason).await;
    send(signature, "payload_timestamp_missing").await;
    send(&format!("{time},{time},{signature}"), "payload_field_repeated").await;
    send(&format!("t=,{signature}"), "payload_timestamp_syntax").await;
}

#[tokio::test]
async fn an_empty_field_is_refused() {
    // (246)
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    for (name, reason) in [
        ("webhook-id", "payload_id_syntax"),
        ("webhook-timestamp", "payload_timestamp_syntax"),
        ("webhook-signature", "payload_signature_syntax"),
    ] {
        hooks.refuses(&with(&fields, name, ""), BODY, reason).await;
    }
    let (hooks, fields) = self::hooks(PayloadScheme::timestamped(), plain());
    hooks.refuses(&with(&fields, "x-signature", ""), BODY, "payload_signature_syntax").await;
}

#[tokio::test]
async fn an_id_with_the_separator_spaces_or_more_than_256_bytes_is_refused() {
    // (247): `a.1.` with the timestamp 2 would have the signature of `a` with the timestamp 1 and another body.
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    for id in ["msg_1.1800000000", "msg 1", "msg_é", &"m".repeat(257)] {
        hooks.refuses(&with(&fields, "webhook-id", id), BODY, "payload_id_syntax").await;
    }
}

#[tokio::test]
async fn a_timestamp_that_is_no_decimal_number_is_refused() {
    // (246)
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    for time in ["+1800000000", "-1", "1800000000.0", " 1800000000", "1.8e9", "0x6b49d200", "99999999999999999999999"] {
        hooks.refuses(&with(&fields, "webhook-timestamp", time), BODY, "payload_timestamp_syntax").await;
    }
}

#[tokio::test]
async fn milliseconds_read_as_seconds_are_in_the_future_and_seconds_read_as_milliseconds_stale() {
    // (241)
    let field = || HeaderName::from_static("x-timestamp");
    let scheme = |unit| {
        let custom = PayloadScheme::custom(HeaderName::from_static("x-signature"), "{timestamp}.{body}").unwrap();
        custom.timestamp(field(), unit)
    };
    let (seconds, milliseconds) = (scheme(TimestampUnit::Seconds), scheme(TimestampUnit::Milliseconds));
    let (in_seconds, by_seconds) = hooks(seconds, plain());
    let (in_milliseconds, by_milliseconds) = hooks(milliseconds, plain());
    assert_eq!(by_milliseconds["x-timestamp"], "1800000000000");
    in_seconds.refuses(&by_milliseconds, BODY, "payload_in_future").await;
    in_milliseconds.refuses(&by_seconds, BODY, "payload_stale").await;
    in_seconds.accepts(&by_seconds).await;
    in_milliseconds.accepts(&by_milliseconds).await;
}

#[tokio::test]
async fn a_signature_that_is_not_hexadecimal_or_of_another_length_is_refused() {
    // (248)
    let (hooks, fields) = hooks(PayloadScheme::timestamped(), plain());
    let signature = text(&fields, "x-signature");
    for wrong in [
        "zz".repeat(32),
        signature[..63].to_owned(),
        format!("{signature}0"),
        format!(" {signature}"),
        format!("{signature}\t"),
        format!("0x{signature}"),
        format!("{signature},{signature}"),
        format!("{}é", &signature[..62]),
    ] {
        hooks.refuses(&with(&fields, "x-signature", &wrong), BODY, "payload_signature_syntax").await;
    }
}

#[tokio::test]
async fn upper_case_digits_are_accepted_and_are_the_same_delivery() {
    // (248)
    let (hooks, fields) = hooks(PayloadScheme::timestamped(), plain());
    let upper = with(&fields, "x-signature", &text(&fields, "x-signature").to_uppercase());
    assert_ne!(upper, fields);
    hooks.accepts(&upper).await;
    hooks.refuses(&fields, BODY, "payload_replay").await;
}

#[tokio::test]
async fn base64_without_padding_of_the_other_alphabet_or_with_spare_bits_is_refused() {
    // (248)
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    let signature = text(&fields, "webhook-signature");
    let mut spare = signature.clone().into_bytes();
    let last = spare.len() - 2;
    spare[last] += 1;
    for wrong in [
        signature.trim_end_matches('=').to_owned(),
        String::from_utf8(spare).unwrap(),
        format!("v1,{}", "-_".repeat(21) + "8="),
        "v1,".to_owned(),
        "v1".to_owned(),
        ",".to_owned(),
        format!("{signature} "),
        format!("{signature}  {signature}"),
        format!("v1,AAAA {signature}"),
    ] {
        hooks.refuses(&with(&fields, "webhook-signature", &wrong), BODY, "payload_signature_syntax").await;
    }
}

#[tokio::test]
async fn an_unknown_version_alone_is_refused_and_beside_a_known_one_ignored() {
    // (249)
    let (hooks, fields) = hooks(PayloadScheme::stripe(), plain());
    let list = text(&fields, "stripe-signature");
    let send = async |list: &str, reason| hooks.refuses(&with(&fields, "stripe-signature", list), BODY, reason).await;
    // A test signature of Stripe is no signature.
    send(&list.replace("v1=", "v0="), "payload_signature_version").await;
    send("t=1800000000", "payload_signature_version").await;
    let both = with(&fields, "stripe-signature", &format!("{list},v0=zz,v2=anything"));
    hooks.accepts(&both).await;

    let (hooks, fields) = self::hooks(PayloadScheme::standard_webhooks(), secret());
    let list = text(&fields, "webhook-signature");
    let unknown = list.replace("v1,", "v2,");
    hooks.refuses(&with(&fields, "webhook-signature", &unknown), BODY, "payload_signature_version").await;
    hooks.accepts(&with(&fields, "webhook-signature", &format!("{unknown} {list}"))).await;

    for (scheme, name, wrong) in [
        (PayloadScheme::github(), "x-hub-signature-256", "sha1="),
        (PayloadScheme::slack(), "x-slack-signature", "v1="),
    ] {
        let (hooks, fields) = self::hooks(scheme, plain());
        let value = text(&fields, name);
        let value = format!("{wrong}{}", value.split_once('=').unwrap().1);
        hooks.refuses(&with(&fields, name, &value), BODY, "payload_signature_version").await;
        hooks.accepts(&fields).await;
    }
}

#[tokio::test]
async fn a_list_of_more_than_eight_signatures_or_4096_bytes_is_refused() {
    // (250)
    let (hooks, fields) = hooks(PayloadScheme::standard_webhooks(), secret());
    let valid = text(&fields, "webhook-signature");
    let other = text(&signed(PayloadScheme::standard_webhooks(), other_secret(), START), "webhook-signature");
    let list = |count: usize| [vec![other.clone(); count - 1], vec![valid.clone()]].concat().join(" ");
    let too_long = "payload_signature_too_long";
    hooks.refuses(&with(&fields, "webhook-signature", &list(9)), BODY, too_long).await;
    let unknown = format!("v9,{} {valid}", "A".repeat(4096));
    hooks.refuses(&with(&fields, "webhook-signature", &unknown), BODY, too_long).await;
    hooks.accepts(&with(&fields, "webhook-signature", &list(8))).await;
}

#[tokio::test]
async fn a_body_of_more_than_the_limit_is_413_and_one_at_the_limit_is_accepted() {
    // (251): 1 MiB by default.
    let (hooks, fields) = hooks(PayloadScheme::timestamped(), plain());
    let body = "x".repeat((1 << 20) + 1);
    hooks.send(&fields, &body).await.assert_reason(413, "body_too_large");
    hooks.refuses(&fields, &body[1..], "payload_signature_wrong").await;
    let limits = BodyLimits::new(BODY.len(), seconds(1)).unwrap();
    let small = Hooks::with(PayloadScheme::timestamped(), [plain()], |verifier| Ok(verifier.limits(limits)));
    small.send(&fields, &format!("{BODY} ")).await.assert_reason(413, "body_too_large");
    small.accepts(&fields).await;
}

#[derive(Debug, Deserialize)]
struct Paid {
    amount: u64,
}

/// An app with a handler of each extractor.
fn app() -> Router {
    Router::new()
        .route("/paid", post(async |paid: Webhook<Paid>| format!("{:?} {}", paid.delivery().id(), paid.amount)))
        .route("/raw", post(async |delivery: Delivery, body: Bytes| (delivery.body() == &body).to_string()))
}

fn layered() -> Router {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let verifier = WebhookVerifier::new(PayloadScheme::standard_webhooks(), [secret()]).unwrap();
    app().layer(WebhookLayer::new(verifier.environment(&environment)))
}

async fn call(app: Router, path: &str, fields: &HeaderMap, body: Body) -> Answer {
    let mut request = Request::post(path).body(body).unwrap();
    request.headers_mut().extend(fields.clone());
    Answer::read(app.oneshot(request).await.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_408() {
    // (251)
    let fields = signed(PayloadScheme::standard_webhooks(), secret(), START);
    let never = futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{")) })
        .chain(futures_util::stream::pending());
    let started = tokio::time::Instant::now();
    call(layered(), "/raw", &fields, Body::from_stream(never)).await.assert_reason(408, "body_timeout");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_request_whose_fields_are_refused_is_not_read() {
    // (251)
    let stale = signed(PayloadScheme::standard_webhooks(), secret(), START - seconds(301));
    for (fields, reason) in [(HeaderMap::new(), "payload_signature_missing"), (stale, "payload_stale")] {
        let never = Body::from_stream(futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> { panic!("the body is read") },
        ));
        let started = tokio::time::Instant::now();
        assert_refused(&call(layered(), "/raw", &fields, never).await, reason);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}

#[tokio::test]
async fn a_handler_extracts_the_typed_json_or_the_bytes_that_were_verified() {
    let fields = signed(PayloadScheme::standard_webhooks(), secret(), START);
    let answer = call(layered(), "/paid", &fields, BODY.into()).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, r#"Some("msg_1") 12"#));
    assert_eq!(call(layered(), "/raw", &fields, BODY.into()).await.body, "true");
}

#[tokio::test]
async fn an_extractor_without_the_layer_is_500() {
    // (252)
    let fields = signed(PayloadScheme::standard_webhooks(), secret(), START);
    for path in ["/paid", "/raw"] {
        call(app(), path, &fields, BODY.into()).await.assert_reason(500, "webhook_layer_missing");
    }
}

#[tokio::test]
async fn a_verified_body_that_does_not_fit_the_type_is_400() {
    // (252)
    let scheme = PayloadScheme::standard_webhooks;
    let signer = PayloadSigner::new(scheme(), secret()).unwrap();
    for body in [r#"{"amount": "12"}"#, "{", "", r#"{"amount": 1, "amount": 2}"#] {
        let time = Timestamp::from_millis(START.as_secs() * 1_000);
        let (method, uri) = (Method::POST, Uri::from_static("/paid"));
        let payload = Payload::new(&method, &uri, body.as_bytes(), time);
        let fields = signer.sign(&payload.id("msg_1")).unwrap();
        call(layered(), "/paid", &fields, body.into()).await.assert_reason(400, "webhook_json");
    }
}
