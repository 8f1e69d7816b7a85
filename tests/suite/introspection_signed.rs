//! Introspection responses that are JWTs, RFC 9701.

use std::time::Duration;

use serde_json::{Value, json};
use tower_warden::{
    introspection::Introspection,
    jwt::{Algorithm, Issuer},
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    introspection_endpoint::{AUDIENCE, Asking, CLIENT, ISSUER, Reply, SECRET, URL, active, issuer},
    secrets::listen,
    support::START,
};

const TYPE: &str = "token-introspection+jwt";

struct Signed {
    asking: Asking,
    issuer: TestIssuer,
}

impl Signed {
    fn new() -> Self {
        let keys = TestIssuer::new(ISSUER);
        let asking = Asking::with(issuer(), |builder| builder.signed_responses(keys.clone()));
        Self { asking, issuer: keys }
    }

    fn header(&self) -> Value {
        json!({ "alg": "ES256", "kid": self.issuer.key().id(), "typ": TYPE })
    }

    fn payload() -> Value {
        json!({ "iss": ISSUER, "aud": CLIENT, "iat": START.as_secs(), "token_introspection": active() })
    }

    fn sign(&self, header: &Value, payload: &Value) -> String {
        TokenBuilder::sign_text(&header.to_string(), &payload.to_string(), &self.issuer.key())
    }
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member)
    } else {
        members.insert(member.to_owned(), value)
    };
    object
}

#[tokio::test]
async fn signed_response_is_requested_verified_and_read() {
    let signed = Signed::new();
    let accepted = signed.sign(&signed.header(), &Signed::payload());
    signed.asking.endpoint.say("good", &accepted);
    signed.asking.send("good").await.assert_subject("alice");
    assert_eq!(signed.asking.endpoint.last().headers()["accept"], "application/token-introspection+jwt");
    let several = with(Signed::payload(), "aud", json!(["other", CLIENT]));
    signed.asking.endpoint.say("several", &signed.sign(&signed.header(), &several));
    signed.asking.send("several").await.assert_subject("alice");
    let full = with(signed.header(), "typ", json!("application/Token-Introspection+JWT"));
    signed.asking.endpoint.say("full", &signed.sign(&full, &Signed::payload()));
    signed.asking.send("full").await.assert_subject("alice");
}

#[tokio::test]
async fn signed_response_that_the_token_is_not_active_is_a_refusal() {
    let signed = Signed::new();
    let inactive = with(Signed::payload(), "token_introspection", json!({ "active": false }));
    signed.asking.endpoint.say("old", &signed.sign(&signed.header(), &inactive));
    signed.asking.send("old").await.assert_invalid("token_inactive");
    let other = with(active(), "aud", json!("https://other.example"));
    let other = with(Signed::payload(), "token_introspection", other);
    signed.asking.endpoint.say("other", &signed.sign(&signed.header(), &other));
    signed.asking.send("other").await.assert_invalid("audience_mismatch");
}

#[tokio::test]
async fn response_that_is_not_signed_by_the_issuer_for_this_server_is_an_outage() {
    let signed = Signed::new();
    let (header, payload) = (signed.header(), Signed::payload());
    let good = signed.sign(&header, &payload);
    let (start, signature) = good.rsplit_once('.').unwrap();
    let stranger =
        TokenBuilder::sign_text(&header.to_string(), &payload.to_string(), &SigningKey::generate(Algorithm::ES256));
    let now = START.as_secs();
    let mut responses = vec![
        active().to_string(),
        stranger,
        start.to_owned(),
        format!("{start}."),
        format!("{start}.{}", signature.chars().rev().collect::<String>()),
        format!("{good}.a.b"),
        TokenBuilder::sign_text(&header.to_string(), "[]", &signed.issuer.key()),
        signed.issuer.token("alice").audience(CLIENT).sign(),
    ];
    for (member, value) in [
        ("typ", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!(format!("text/{TYPE}"))),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("kid", json!("unknown")),
        ("kid", json!(7)),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        responses.push(signed.sign(&with(header.clone(), member, value), &payload));
    }
    for (member, value) in [
        ("iss", Value::Null),
        ("iss", json!("https://other.example")),
        ("aud", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!([])),
        ("iat", Value::Null),
        ("iat", json!("now")),
        ("iat", json!(now + 61)),
        ("iat", json!(now - 361)),
        ("token_introspection", Value::Null),
    ] {
        responses.push(signed.sign(&header, &with(payload.clone(), member, value)));
    }
    for (number, response) in responses.iter().enumerate() {
        let token = format!("token-{number}");
        signed.asking.endpoint.say(&token, response);
        signed.asking.send(&token).await.assert_unavailable("introspection_signature");
    }
    let fraction: Value = serde_json::from_str(&format!("{now}.25")).unwrap();
    for iat in [json!(now + 60), json!(now - 360), fraction] {
        let token = format!("token-{iat}");
        signed.asking.endpoint.say(&token, &signed.sign(&header, &with(payload.clone(), "iat", iat)));
        signed.asking.send(&token).await.assert_subject("alice");
    }
    signed.issuer.fail();
    signed.asking.endpoint.say("down", &good);
    signed.asking.send("down").await.assert_unavailable("keys_unavailable");
}

#[tokio::test(start_paused = true)]
async fn signed_response_may_be_younger_than_the_request_without_a_tolerated_skew() {
    let keys = TestIssuer::new(ISSUER);
    let asking = Asking::with(issuer().skew(Duration::ZERO).unwrap(), |builder| builder.signed_responses(keys.clone()));
    let signed = Signed { asking, issuer: keys };
    let response = |iat: u64| signed.sign(&signed.header(), &with(Signed::payload(), "iat", json!(iat)));
    let now = START.as_secs();
    // The next second begins between the request and the response.
    signed.asking.endpoint.say("next", &response(now + 1));
    signed.asking.send("next").await.assert_subject("alice");
    signed.asking.endpoint.say("ahead", &response(now + 2));
    signed.asking.send("ahead").await.assert_unavailable("introspection_signature");
    // The response takes two seconds.
    signed.asking.endpoint.reply(Reply::Hold);
    signed.asking.endpoint.say("late", &response(now + 2));
    let (answer, ()) = tokio::join!(signed.asking.send("late"), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        signed.asking.endpoint.release(1);
    });
    answer.assert_subject("alice");
}

#[tokio::test]
async fn signed_response_without_the_option_is_an_outage_and_the_log_names_the_option() {
    let (log, _guard) = listen();
    let signed = Signed::new();
    let asking = Asking::new();
    asking.endpoint.say("good", &signed.sign(&signed.header(), &Signed::payload()));
    asking.send("good").await.assert_unavailable("introspection_syntax");
    assert!(log.text().contains("signed_responses"), "{}", log.text());
}

#[test]
fn signed_responses_need_a_client_id() {
    let keys = TestIssuer::new(ISSUER);
    assert!(Introspection::danger_without_credentials(issuer(), URL).signed_responses(keys.clone()).build().is_err());
    assert!(Introspection::builder(issuer(), URL, CLIENT, SECRET).signed_responses(keys).build().is_ok());
}

#[test]
fn signed_responses_need_an_issuer_with_one_name() {
    let template = || Issuer::template("https://{org}.test", AUDIENCE).unwrap();
    let builder = || Introspection::builder(template(), URL, CLIENT, SECRET);
    let error = builder().signed_responses(TestIssuer::new(ISSUER)).build().unwrap_err().to_string();
    assert!(error.contains("template"), "{error}");
    assert!(builder().build().is_ok());
}
