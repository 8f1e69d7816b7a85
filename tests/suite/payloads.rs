//! Schemes of payload signatures, their keys, and their senders.

use http::{HeaderMap, HeaderName, Method, Uri};
use proptest::prelude::*;
use tower_warden::{
    ConfigErrorKind, Environment, Eventual, Head, ManualClock, Timestamp,
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner, SignatureEncoding, TimestampUnit},
        webhook::WebhookVerifier,
    },
};

use crate::{
    support::{START, cases},
    webhooks::{Hooks, other_secret, secret, signed},
};

fn field(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn plain() -> PayloadKey {
    PayloadKey::secret(b"whsec_0123456789abcdef").unwrap()
}

#[test]
fn a_template_whose_values_are_not_separated_is_an_error() {
    for template in [
        "",
        "{timestamp}",
        "{body}.{timestamp}",
        "{timestamp}{body}",
        "{timestamp}0{body}",
        "{id}{timestamp}.{body}",
        "{method}A{body}",
        "{method}.{body}",
        "{target}.{body}",
        "{timestamp}.{timestamp}.{body}",
        "{time}.{body}",
        "{timestamp}.}{body}",
        "{timestamp}.{",
    ] {
        let error = PayloadScheme::custom(field("x-signature"), template).unwrap_err();
        assert_eq!((error.kind(), error.refused_value()), (ConfigErrorKind::PayloadSignature, Some(template)));
    }
    for template in
        ["{body}", "{timestamp}.{body}", "{id}:{timestamp}:{body}", "{method}\n{target}\n{timestamp}\n{body}"]
    {
        assert!(PayloadScheme::custom(field("x-signature"), template).is_ok(), "{template}");
    }
}

#[test]
fn a_scheme_without_a_covered_timestamp_is_an_error_unless_it_is_accepted() {
    let custom = |template| PayloadScheme::custom(field("x-signature"), template).unwrap();
    let time = field("x-timestamp");
    for (scheme, message) in [
        (custom("{body}"), "danger_without_timestamp"),
        (custom("{timestamp}.{body}"), "needs a timestamp field"),
        (custom("{body}").timestamp(time.clone(), TimestampUnit::Seconds), "has `{timestamp}`"),
        (custom("{id}.{timestamp}.{body}").timestamp(time, TimestampUnit::Seconds), "needs an id field"),
    ] {
        let error = WebhookVerifier::new(scheme.clone(), [plain()]).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(PayloadSigner::new(scheme, plain()).is_err());
    }
    assert!(WebhookVerifier::new(custom("{body}").danger_without_timestamp(), [plain()]).is_ok());
}

#[test]
fn the_form_of_a_list_of_signatures_is_fixed() {
    for scheme in [PayloadScheme::standard_webhooks(), PayloadScheme::stripe()] {
        let error = scheme.clone().prefix("v1=").unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::PayloadSignature);
        scheme.encoding(SignatureEncoding::Base64).unwrap_err();
    }
    assert!(PayloadScheme::github().prefix("sha256:").is_ok());
}

#[test]
fn a_key_in_the_form_of_another_scheme_is_an_error() {
    let public = PayloadKey::standard_webhooks("whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").unwrap();
    let refused = |scheme, key| WebhookVerifier::new(scheme, [key]).unwrap_err().to_string();
    assert!(refused(PayloadScheme::standard_webhooks(), plain()).contains("is decoded"));
    assert!(refused(PayloadScheme::stripe(), secret()).contains("as it is written"));
    assert!(refused(PayloadScheme::stripe(), public.clone()).contains("with secrets"));
    assert!(PayloadSigner::new(PayloadScheme::standard_webhooks(), public).is_err());
    assert!(WebhookVerifier::new(PayloadScheme::stripe(), []).is_err());
    assert!(WebhookVerifier::new(PayloadScheme::stripe(), vec![plain(); 17]).is_err());
    assert!(WebhookVerifier::new(PayloadScheme::stripe(), vec![plain(); 16]).is_ok());
}

#[test]
fn a_key_that_is_short_private_or_malformed_is_an_error_that_does_not_quote_it() {
    for text in ["whsec_c2hvcnQ=", "whsec_!", "whsk_c2VjcmV0", "whpk_c2VjcmV0", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", ""]
    {
        let error = PayloadKey::standard_webhooks(text).unwrap_err();
        assert_eq!(error.refused_value(), None, "{text}");
    }
    assert_eq!(PayloadKey::secret(b"hunter2").unwrap_err().refused_value(), None);
}

#[tokio::test]
async fn a_custom_scheme_in_base64_with_a_prefix_and_milliseconds_is_accepted() {
    let scheme = PayloadScheme::custom(field("x-acme-signature"), "acme:{id}:{timestamp}:{body}").unwrap();
    let scheme = scheme.id(field("x-acme-id")).timestamp(field("x-acme-time"), TimestampUnit::Milliseconds);
    let scheme = scheme.encoding(SignatureEncoding::Base64).unwrap().prefix("v1=").unwrap();
    let fields = signed(scheme.clone(), plain(), START);
    assert_eq!(fields["x-acme-time"], "1800000000000");
    let signature = fields["x-acme-signature"].to_str().unwrap();
    assert!(signature.starts_with("v1=") && signature.ends_with('='), "{signature}");
    Hooks::new(scheme, [plain()]).accepts(&fields).await;
}

#[tokio::test]
async fn fields_of_standard_webhooks_with_another_word_are_accepted() {
    let scheme = PayloadScheme::standard_webhooks_of("svix").unwrap();
    let fields = signed(scheme.clone(), secret(), START);
    assert!(fields.contains_key("svix-id") && fields.contains_key("svix-signature"));
    Hooks::new(scheme, [secret()]).accepts(&fields).await;
    assert!(PayloadScheme::standard_webhooks_of("Svix").is_err());
    assert!(PayloadScheme::standard_webhooks_of("a b").is_err());
}

#[tokio::test]
async fn a_sender_that_rotates_signs_with_both_secrets_where_the_field_has_a_list() {
    let signer = PayloadSigner::new(PayloadScheme::standard_webhooks(), secret()).unwrap();
    let fields = crate::webhooks::sign(&signer.and(other_secret()).unwrap(), START);
    assert_eq!(fields["webhook-signature"].to_str().unwrap().split(' ').count(), 2);
    for key in [secret(), other_secret()] {
        Hooks::new(PayloadScheme::standard_webhooks(), [key]).accepts(&fields).await;
    }
    let single = PayloadSigner::new(PayloadScheme::slack(), plain()).unwrap();
    assert!(single.and(plain()).unwrap_err().to_string().contains("one signature"));
}

#[test]
fn an_id_that_receivers_refuse_is_not_signed() {
    let signer = PayloadSigner::new(PayloadScheme::standard_webhooks(), secret()).unwrap();
    assert!(signer.requires_id());
    let uri = Uri::from_static("/hooks");
    let payload = Payload::new(&Method::POST, &uri, b"{}", Timestamp::from_millis(0));
    for id in ["", "msg.1", "msg 1", "msg\n1", &"m".repeat(257)] {
        assert!(signer.sign(&payload.id(id)).is_err(), "{id}");
    }
    assert!(signer.sign(&payload).is_err());
    assert!(signer.sign(&payload.id("msg_1")).is_ok());
}

proptest! {
    #![proptest_config(cases(256))]

    /// What a signer makes is accepted, and with any bit of a covered part changed it is refused.
    #[test]
    fn any_changed_bit_of_what_is_covered_is_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        id in "[!-\\-/-~]{1,40}",
        which in 0_usize..4,
        place in any::<prop::sample::Index>(),
        bit in 0_u8..7,
    ) {
        let clock = ManualClock::at(START);
        let verifier = WebhookVerifier::new(PayloadScheme::standard_webhooks(), [secret()])
            .unwrap()
            .environment(&Environment::default().with_clock(clock));
        let signer = PayloadSigner::new(PayloadScheme::standard_webhooks(), secret()).unwrap();
        let uri = Uri::from_static("/hooks");
        let time = Timestamp::from_millis(START.as_secs() * 1_000);
        let fields = signer.sign(&Payload::new(&Method::POST, &uri, &body, time).id(&id)).unwrap();

        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
            }
            bytes
        };
        let (mut changed_fields, mut changed_body) = (fields.clone(), body.clone());
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        match names.get(which) {
            Some(name) => {
                // A bit that makes no field value is not a request.
                let changed = http::HeaderValue::from_bytes(&flip(fields[*name].as_bytes()));
                prop_assume!(changed.is_ok());
                changed_fields.insert(*name, changed.unwrap());
            }
            None => changed_body = flip(&body),
        }
        prop_assume!((&changed_fields, &changed_body) != (&fields, &body));
        prop_assert!(!is_accepted(&verifier, &changed_fields, &changed_body));
        prop_assert!(is_accepted(&verifier, &fields, &body));
        prop_assert!(!is_accepted(&verifier, &fields, &body), "a replay");
    }
}

fn is_accepted(verifier: &WebhookVerifier, fields: &HeaderMap, body: &[u8]) -> bool {
    let mut request = http::Request::post("/hooks").body(()).unwrap();
    request.headers_mut().extend(fields.clone());
    match verifier.verify(&Head::from(&request), &bytes::Bytes::copy_from_slice(body)) {
        Eventual::Now(verdict) => verdict.is_ok(),
        Eventual::Later(_) => panic!("the guard in memory has no I/O"),
    }
}
