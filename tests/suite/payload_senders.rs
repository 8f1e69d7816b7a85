//! The schemes of senders with forms of their own.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tower_warden::{
    ConfigErrorKind, Timestamp,
    jwt::Algorithm,
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
        webhook::WebhookVerifier,
    },
    testing::SigningKey,
};

use crate::{
    support::START,
    webhooks::{BODY, Hooks, signed},
};

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("visible ASCII"))
    };
    pairs.iter().map(field).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hooks of an application of Discord, and the key that signs for it.
fn discord() -> (Hooks, SigningKey) {
    let key = SigningKey::generate(Algorithm::EdDSA);
    let public = BASE64_URL_SAFE_NO_PAD.decode(key.jwk()["x"].as_str().unwrap()).unwrap();
    let public = PayloadKey::discord(&hex(&public)).unwrap();
    (Hooks::new(PayloadScheme::discord(), [public]), key)
}

/// The fields of a request of Discord whose signature covers these bytes.
fn of_discord(key: &SigningKey, timestamp: &str, covered: &str) -> HeaderMap {
    let signature = hex(&key.sign(covered.as_bytes()));
    fields(&[("x-signature-timestamp", timestamp), ("x-signature-ed25519", &signature)])
}

#[tokio::test]
async fn a_request_of_discord_is_accepted_once() {
    let (hooks, key) = discord();
    let fields = of_discord(&key, "1800000000", &format!("1800000000{BODY}"));
    hooks.refuses(&fields, r#"{"amount": 13}"#, "payload_signature_wrong").await;
    hooks.accepts(&fields).await;
    hooks.refuses(&fields, BODY, "payload_replay").await;
}

// (247)
#[tokio::test]
async fn a_body_that_a_digit_of_the_timestamp_could_belong_to_is_refused() {
    let (hooks, key) = discord();
    for body in ["", "0", "1{}"] {
        let fields = of_discord(&key, "1800000000", &format!("1800000000{body}"));
        hooks.refuses(&fields, body, "payload_signature_wrong").await;
    }
    for timestamp in ["1800000000 ", "+1800000000", "18000000.00"] {
        let fields = of_discord(&key, timestamp, &format!("{timestamp}{BODY}"));
        hooks.refuses(&fields, BODY, "payload_timestamp_syntax").await;
    }
}

#[test]
fn a_secret_and_a_malformed_key_of_discord_are_configuration_errors() {
    let secret = PayloadKey::secret(b"the public key in hexadecimal digits").unwrap();
    let error = WebhookVerifier::new(PayloadScheme::discord(), [secret.clone()]).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::PayloadSignature);
    assert!(PayloadSigner::new(PayloadScheme::discord(), secret).is_err());
    for text in ["", "00", &"zz".repeat(32)] {
        assert!(PayloadKey::discord(text).is_err(), "{text}");
    }
}

#[test]
fn a_payload_of_discord_without_a_separated_body_is_not_signed() {
    let key = SigningKey::generate(Algorithm::EdDSA);
    let sign = move |message: &[u8]| Ok(key.sign(message).try_into().expect("64 bytes"));
    let signer = PayloadSigner::ed25519(PayloadScheme::discord(), sign).unwrap();
    let uri = Uri::from_static("https://bot.test/interactions");
    let time = Timestamp::from_millis(START.as_secs() * 1_000);
    let sign = |body| signer.sign(&Payload::new(&Method::POST, &uri, body, time));
    assert!(sign(b"{}").is_ok());
    assert!(sign(b"").is_err());
    assert!(sign(b"1").is_err());
}

fn paddle() -> PayloadKey {
    PayloadKey::secret(b"pdl_ntfset_01h0000000000000000000").unwrap()
}

/// `printf '1800000000:{"amount": 12}' | openssl dgst -sha256 -hmac pdl_ntfset_01h0000000000000000000`
const MAC: &str = "1b65fbe8f5473daa1c4ecb8f3a3f7e3f88c8747d506b8286269aa5eee206fc23";

#[tokio::test]
async fn a_delivery_of_paddle_is_accepted_with_one_of_its_signatures() {
    let of = |value: &str| fields(&[("paddle-signature", value)]);
    let hooks = Hooks::new(PayloadScheme::paddle(), [paddle()]);
    let (other, wrong) = ("0".repeat(64), "payload_signature_wrong");
    hooks.refuses(&of(&format!("ts=1800000000;h1={other}")), BODY, wrong).await;
    hooks.refuses(&of(&format!("ts=1800000001;h1={MAC}")), BODY, wrong).await;
    hooks.refuses(&of(&format!("ts=1800000000;h2={MAC}")), BODY, "payload_signature_version").await;
    hooks.refuses(&of(&format!("ts=1800000000;ts=1800000000;h1={MAC}")), BODY, "payload_field_repeated").await;
    hooks.refuses(&of(&format!("h1={MAC}")), BODY, "payload_timestamp_missing").await;
    hooks.refuses(&of(&format!("t=1800000000,v1={MAC}")), BODY, "payload_signature_version").await;
    hooks.accepts(&of(&format!("ts=1800000000;h1={other};h1={MAC}"))).await;
    let written = signed(PayloadScheme::paddle(), paddle(), START);
    assert_eq!(written["paddle-signature"], format!("ts=1800000000;h1={MAC}"));
}
