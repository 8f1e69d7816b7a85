//! JWT access tokens: what is accepted, and every bad input of the list, 22 to 64.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_warden::{
    Environment, Eventual, Unavailable,
    jwt::{Algorithm, Issuer, Jwt, KeyRequest, KeySource, StaticKeys, VerifyingKey},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    support::{self, START, bearer, send},
    tokens::{AUDIENCE, Stack, app, keys, principal, rules, seconds, verifying},
};

/// All that this build can verify.
const ALL: &[Algorithm] = &[
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    #[cfg(feature = "aws-lc-rs")]
    Algorithm::MlDsa44,
    #[cfg(feature = "aws-lc-rs")]
    Algorithm::MlDsa65,
    #[cfg(feature = "aws-lc-rs")]
    Algorithm::MlDsa87,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];

fn text(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The token with another signature.
fn resigned(token: &str, signature: &[u8]) -> String {
    format!("{}.{}", token.rsplit_once('.').unwrap().0, text(signature))
}

fn signature(token: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(token.rsplit_once('.').unwrap().1).unwrap()
}

// What is accepted.

#[tokio::test]
async fn a_valid_token_is_accepted_repeatedly() {
    let stack = Stack::new();
    let token = stack.token().sign();
    for _ in 0..3 {
        stack.send(&token).await.assert_subject("alice");
    }
    assert_eq!(stack.issuer.fetches(), 1, "it was verified once");
}

#[tokio::test]
async fn every_algorithm_verifies_with_its_own_key_and_with_no_other() {
    let signing: Vec<_> = ALL.iter().map(|algorithm| SigningKey::generate(*algorithm)).collect();
    let stack = verifying(&signing.iter().collect::<Vec<_>>(), ALL);
    for key in &signing {
        let token = stack.token().key(key).sign();
        stack.send(&token).await.assert_subject("alice");
        for other in signing.iter().filter(|other| other.id() != key.id()) {
            let token = stack.token().key(key).header("kid", other.id()).sign();
            assert_eq!(stack.send(&token).await.status, 401, "{key:?} as {other:?}");
        }
        let mut bad = signature(&token);
        *bad.last_mut().unwrap() ^= 1;
        stack.send(&resigned(&token, &bad)).await.assert_invalid("signature");
    }
}

#[tokio::test]
async fn ed25519_is_accepted_under_both_of_its_names() {
    let key = SigningKey::generate(Algorithm::EdDSA);
    let stack = verifying(&[&key], &Algorithm::DEFAULT);
    for name in ["EdDSA", "Ed25519"] {
        stack.sign(&stack.token().key(&key).header("alg", name)).await.assert_subject("alice");
    }
    let mut jwk = key.jwk();
    jwk["alg"] = "Ed25519".into();
    assert_eq!(VerifyingKey::from_jwk(&jwk.to_string()).unwrap().algorithm(), Algorithm::EdDSA);
}

#[tokio::test]
async fn keys_are_read_from_pem_and_der_too() {
    // openssl genpkey -algorithm ed25519, and prime256v1: public keys that nobody has the other half of.
    let ed25519 = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let der = BASE64_URL_SAFE_NO_PAD.decode("MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    assert!(VerifyingKey::from_pem(Algorithm::EdDSA, ed25519).is_ok());
    assert!(VerifyingKey::from_der(Algorithm::EdDSA, &der).is_ok());
    for (algorithm, pem) in [
        (Algorithm::ES256, ed25519),
        (Algorithm::RS256, ed25519),
        (Algorithm::HS256, ed25519),
        (Algorithm::EdDSA, "no PEM"),
    ] {
        assert!(VerifyingKey::from_pem(algorithm, pem).is_err(), "{algorithm}");
    }
    assert!(VerifyingKey::from_der(Algorithm::EdDSA, &der[1..]).is_err());
}

#[tokio::test]
async fn the_principal_has_the_claims_of_the_token() {
    let caller = principal(
        |issuer| issuer.tenant_claim("org").roles_claim("/realm_access/roles").tier_claim("plan"),
        |token| {
            token
                .claim("org", "acme")
                .claim("plan", "pro")
                .claim("realm_access", json!({ "roles": ["admin", "auditor"] }))
                .claim("sid", "session-1")
                .claim("acr", "urn:example:mfa")
                .claim("auth_time", START.as_secs() - 5)
        },
    )
    .await;
    assert_eq!(caller.subject(), "alice");
    assert_eq!((caller.issuer(), caller.client_id()), (Some("https://issuer.test"), Some("app-1")));
    assert_eq!((caller.tenant(), caller.tier()), (Some("acme"), Some("pro")));
    assert_eq!(caller.roles().collect::<Vec<_>>(), ["admin", "auditor"]);
    assert_eq!((caller.session_id(), caller.acr()), (Some("session-1"), Some("urn:example:mfa")));
    assert_eq!(caller.auth_time().unwrap().as_secs(), START.as_secs() - 5);
    assert_eq!(caller.expires_at().unwrap().as_secs(), START.as_secs() + 300);
    assert_eq!((caller.issued_at(), caller.admitted_at()), (Some(START), START));
    assert!(caller.token_id().is_some());
    assert_eq!(caller.scopes().to_string(), "billing:read");
    assert_eq!(caller.method().as_str(), "jwt");
    assert!(!format!("{caller:?}").contains("realm_access"), "claims are not printed");
}

#[tokio::test]
async fn the_client_is_the_subject_only_where_the_rules_say_so() {
    let caller = principal(Issuer::client_as_subject, |token| token.without("sub")).await;
    assert_eq!(caller.subject(), "app-1");
    for name in ["azp", "appid", "cid"] {
        let caller = principal(|issuer| issuer, |token| token.without("client_id").claim(name, "app-2")).await;
        assert_eq!(caller.client_id(), Some("app-2"));
    }
    let stack = Stack::new();
    stack.sign(&stack.token().without("sub")).await.assert_invalid("subject_missing");
    stack.sign(&stack.token().claim("sub", Value::Null)).await.assert_invalid("subject_missing");
    let of_client = Stack::with(Issuer::client_as_subject);
    let nobody = of_client.token().without("sub").without("client_id");
    of_client.sign(&nobody).await.assert_invalid("subject_missing");
    of_client.sign(&of_client.token().claim("sub", 7)).await.assert_invalid("claim_type");
    stack.sign(&stack.token().claim("sub", "")).await.assert_invalid("subject_missing");
}

#[tokio::test]
async fn an_actor_is_distinguished_from_the_subject() {
    let act = json!({ "sub": "agent-1", "iss": "https://agents.test", "act": { "sub": "agent-0" } });
    let caller = principal(|issuer| issuer.require_actor(), |token| token.claim("act", act)).await;
    assert_eq!(caller.subject(), "alice");
    let actor = caller.actor().unwrap();
    assert_eq!((&*actor.subject, actor.issuer.as_deref()), ("agent-1", Some("https://agents.test")));
    assert_eq!(caller.actors().iter().map(|actor| &*actor.subject).collect::<Vec<_>>(), ["agent-1", "agent-0"]);
}

#[tokio::test]
async fn actors_may_be_required_and_denied() {
    let stack = Stack::with(Issuer::require_actor);
    stack.sign(&stack.token()).await.assert_invalid("actor_required");
    stack.sign(&stack.token().actor("agent-1")).await.assert_subject("alice");
    let stack = Stack::with(Issuer::deny_actors);
    stack.sign(&stack.token()).await.assert_subject("alice");
    stack.sign(&stack.token().actor("agent-1")).await.assert_invalid("actor_denied");
}

#[tokio::test]
async fn a_malformed_actor_refuses_the_token() {
    let stack = Stack::new();
    for (act, reason) in [
        (json!("agent-1"), "claim_type"),
        (json!([]), "claim_type"),
        (json!({}), "actor_subject"),
        (json!({ "sub": "" }), "actor_subject"),
        (json!({ "sub": 1 }), "claim_type"),
        (json!({ "sub": "agent-1", "act": null }), "claim_type"),
        (Value::Null, "claim_type"),
    ] {
        stack.sign(&stack.token().claim("act", act)).await.assert_invalid(reason);
    }
}

#[tokio::test]
async fn the_tenant_is_fixed_or_a_required_claim() {
    let caller = principal(|issuer| issuer.tenant("acme"), |token| token.claim("org", "other")).await;
    assert_eq!(caller.tenant(), Some("acme"));
    let stack = Stack::with(|issuer| issuer.tenant_claim("org"));
    stack.sign(&stack.token().claim("org", "acme")).await.assert_subject("alice");
    stack.sign(&stack.token()).await.assert_invalid("tenant_missing");
    stack.sign(&stack.token().claim("org", Value::Null)).await.assert_invalid("tenant_missing");
    for bad in [json!(7), json!(["acme"]), json!("")] {
        stack.sign(&stack.token().claim("org", bad)).await.assert_invalid("claim_type");
    }
}

#[tokio::test]
async fn roles_of_a_wrong_type_refuse_the_token() {
    let stack = Stack::with(|issuer| issuer.roles_claim("roles"));
    stack.sign(&stack.token()).await.assert_subject("alice");
    stack.sign(&stack.token().claim("roles", "admin")).await.assert_subject("alice");
    stack.sign(&stack.token().claim("roles", Value::Null)).await.assert_subject("alice");
    for bad in [json!(7), json!({ "admin": true }), json!({ "admin": {}, "root": false }), json!(["admin", 1])] {
        stack.sign(&stack.token().claim("roles", bad)).await.assert_invalid("claim_type");
    }
}

#[tokio::test]
async fn a_required_claim_is_present_with_its_value() {
    let stack = Stack::with(|issuer| issuer.require_claim("token_use", "access"));
    stack.sign(&stack.token().claim("token_use", "access")).await.assert_subject("alice");
    for bad in [json!("id"), json!("Access"), json!(["access"]), json!(1)] {
        stack.sign(&stack.token().claim("token_use", bad)).await.assert_invalid("claim_required");
    }
    stack.sign(&stack.token()).await.assert_invalid("claim_required");
}

#[tokio::test]
async fn the_audience_may_be_located_in_another_claim() {
    let stack = Stack::of(|issuer| {
        let cognito = Issuer::new(issuer.name(), "app-1").unwrap().audience_claim("client_id");
        Jwt::new(cognito.require_claim("token_use", "access"), issuer.clone())
    });
    let token = stack.token().without("aud").claim("token_use", "access");
    stack.sign(&token).await.assert_subject("alice");
    stack.sign(&token.client_id("app-2")).await.assert_invalid("audience_mismatch");
}

// Algorithms and keys.

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    // (22)
    let stack = Stack::new();
    for name in ["none", "nOnE", "NONE", ""] {
        let token = stack.token().header("alg", name).sign();
        stack.send(&token).await.assert_invalid("algorithm_unknown");
        let bare = format!("{}.", token.rsplit_once('.').unwrap().0);
        stack.send(&bare).await.assert_invalid("algorithm_unknown");
    }
    stack.send(&resigned(&stack.token().sign(), b"")).await.assert_invalid("signature");
}

#[tokio::test]
async fn a_public_key_is_not_accepted_as_an_hmac_secret() {
    // (23) HS256 under the text of the issuer's public key, where HS256 is not even accepted, and where it is.
    let key = SigningKey::generate(Algorithm::RS256);
    for algorithms in [&Algorithm::DEFAULT[..], ALL] {
        let stack = verifying(&[&key], algorithms);
        let forged = stack.token().key(&key).header("alg", "HS256").sign();
        let public = key.jwk().to_string();
        let mac = hmac_sha256(public.as_bytes(), forged.rsplit_once('.').unwrap().0.as_bytes());
        let reason = if algorithms.len() == ALL.len() { "key_algorithm" } else { "algorithm_not_allowed" };
        stack.send(&resigned(&forged, &mac)).await.assert_invalid(reason);
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
}

#[test]
fn a_public_key_in_pem_is_not_accepted_as_a_secret_even_after_other_text() {
    // (24)
    let body = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    for lead in ["", " ", "\n\t", "\u{feff}", "# my key\n"] {
        let pem = format!("{lead}-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        assert!(VerifyingKey::hmac(Algorithm::HS256, pem.as_bytes()).is_err(), "{lead:?}");
    }
    assert!(VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).is_ok());
    assert!(VerifyingKey::hmac(Algorithm::HS256, &[7; 31]).is_err());
    assert!(VerifyingKey::hmac(Algorithm::HS512, &[7; 63]).is_err());
    assert!(VerifyingKey::hmac(Algorithm::RS256, &[7; 64]).is_err());
}

#[tokio::test]
async fn a_key_is_used_with_its_own_algorithm_only() {
    // (25)
    let key = SigningKey::generate(Algorithm::PS256);
    let stack = verifying(&[&key], &Algorithm::DEFAULT);
    stack.sign(&stack.token().key(&key)).await.assert_subject("alice");
    stack.sign(&stack.token().key(&key).header("alg", "RS256")).await.assert_invalid("key_algorithm");
    // A key that names no algorithm is for RS256.
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    assert_eq!(VerifyingKey::from_jwk(&jwk.to_string()).unwrap().algorithm(), Algorithm::RS256);
}

#[tokio::test]
async fn an_algorithm_that_was_not_allowed_is_refused() {
    let key = SigningKey::generate(Algorithm::ES384);
    let stack = verifying(&[&key], &Algorithm::DEFAULT);
    stack.sign(&stack.token().key(&key)).await.assert_invalid("algorithm_not_allowed");
    stack.sign(&stack.token().header("alg", "es256")).await.assert_invalid("algorithm_unknown");
}

#[tokio::test]
async fn an_ecdsa_signature_out_of_range_is_refused() {
    // (26)
    let stack = Stack::new();
    let token = stack.token().sign();
    // The order of P-256.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|index| u8::from_str_radix(&order[2 * index..][..2], 16).unwrap()).collect();
    let good = signature(&token);
    for bad in [
        vec![0; 64],
        [vec![0; 32], good[32..].to_vec()].concat(),
        [good[..32].to_vec(), vec![0; 32]].concat(),
        [order.clone(), good[32..].to_vec()].concat(),
        [good[..32].to_vec(), order].concat(),
        vec![0xff; 64],
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
    ] {
        stack.send(&resigned(&token, &bad)).await.assert_invalid("signature");
    }
}

#[tokio::test]
async fn an_ecdsa_signature_in_der_is_refused() {
    // (27)
    let stack = Stack::new();
    let token = stack.token().sign();
    let integer = |bytes: &[u8]| {
        let lead: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
        [&[2, (bytes.len() + lead.len()) as u8], lead, bytes].concat()
    };
    let good = signature(&token);
    let content = [integer(&good[..32]), integer(&good[32..])].concat();
    let der = [&[0x30, content.len() as u8], &content[..]].concat();
    stack.send(&resigned(&token, &der)).await.assert_invalid("signature");
}

#[tokio::test]
async fn an_ed25519_key_of_small_order_and_a_scalar_that_is_not_canonical_are_refused() {
    // (28)
    let mut small = vec![[0; 32]];
    small[0][0] = 1;
    small.push([0; 32]);
    let mut p_minus_one = [0xff; 32];
    (p_minus_one[0], p_minus_one[31]) = (0xec, 0x7f);
    small.push(p_minus_one);
    for mut point in small {
        for sign in [0, 0x80] {
            point[31] |= sign;
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": text(point) });
            assert!(VerifyingKey::from_jwk(&jwk.to_string()).is_err(), "{point:?}");
        }
    }
    let key = SigningKey::generate(Algorithm::EdDSA);
    let stack = verifying(&[&key], &Algorithm::DEFAULT);
    let token = stack.token().key(&key).sign();
    // S + L is the same number to those who do not look.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bad = signature(&token);
    let mut carry = 0;
    for (byte, order) in bad[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + order + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    stack.send(&resigned(&token, &bad)).await.assert_invalid("signature");
}

#[tokio::test]
async fn a_critical_header_extension_is_refused() {
    // (29), (30)
    let stack = Stack::new();
    for header in [
        json!({ "crit": ["foo"], "foo": 1 }),
        json!({ "crit": [] }),
        json!({ "crit": null }),
        json!({ "crit": ["exp"], "exp": 1 }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "b64": false }),
        json!({ "b64": true }),
    ] {
        let members = header.as_object().unwrap().iter();
        let token = members.fold(stack.token(), |token, (name, value)| token.header(name, value.clone()));
        stack.sign(&token).await.assert_invalid("header_critical");
    }
    // In the payload it is a claim as any other.
    stack.sign(&stack.token().claim("crit", json!(["foo"]))).await.assert_subject("alice");
}

#[tokio::test]
async fn keys_in_the_header_of_a_token_are_ignored() {
    // (31)
    let stack = Stack::new();
    let own = SigningKey::generate(Algorithm::ES256);
    let urls = ["jku", "x5u"].map(|name| (name, json!("https://attacker.test/keys")));
    let keys = [("jwk", own.jwk()), ("x5c", json!(["MIIB"])), ("x5t", json!("AA"))];
    for (name, value) in urls.into_iter().chain(keys) {
        stack.sign(&stack.token().header(name, value.clone())).await.assert_subject("alice");
        let forged = stack.token().key(&own).header(name, value);
        stack.sign(&forged.clone()).await.assert_invalid("key_unknown");
        stack.sign(&forged.header("kid", stack.issuer.key().id())).await.assert_invalid("signature");
    }
}

#[tokio::test]
async fn a_kid_is_only_compared() {
    // (32)
    let stack = Stack::new();
    for kid in ["../../dev/null", "' OR 1=1 --", "\0", "\r\nx", "", "\u{202e}", &"k".repeat(256)] {
        stack.sign(&stack.token().header("kid", kid)).await.assert_invalid("key_unknown");
    }
    stack.sign(&stack.token().header("kid", "k".repeat(257))).await.assert_invalid("kid_too_long");
    stack.sign(&stack.token().header("kid", "k".repeat(10_000))).await.assert_invalid("kid_too_long");
}

#[tokio::test]
async fn a_header_of_wrong_types_is_refused() {
    // (33)
    let stack = Stack::new();
    for (name, value) in [
        ("kid", json!(1)),
        ("kid", json!(["a"])),
        ("kid", Value::Null),
        ("typ", json!(1)),
        ("typ", Value::Null),
        ("alg", json!(["ES256"])),
        ("alg", Value::Null),
    ] {
        stack.sign(&stack.token().header(name, value)).await.assert_invalid("header_type");
    }
    stack.sign(&stack.token().without_header("alg")).await.assert_invalid("algorithm_unknown");
}

#[tokio::test]
async fn a_token_without_kid_is_for_keys_without_a_name() {
    // (34)
    let (one, other) = (SigningKey::generate(Algorithm::ES256), SigningKey::generate(Algorithm::EdDSA));
    let third = SigningKey::generate(Algorithm::EdDSA);
    let stack = |source: StaticKeys| Stack::of(|issuer| Jwt::new(rules(issuer), source));
    let nameless = |token: TokenBuilder| token.key(&one).without_header("kid");

    let strict = stack(keys(&[&one, &other]));
    strict.sign(&nameless(strict.token())).await.assert_invalid("key_unknown");

    // One key fits the algorithm; two do.
    let lenient = stack(keys(&[&one, &other]).accept_missing_kid());
    lenient.sign(&nameless(lenient.token())).await.assert_subject("alice");
    let doubtful = stack(keys(&[&one, &other, &third]).accept_missing_kid());
    doubtful.sign(&doubtful.token().key(&other).without_header("kid")).await.assert_invalid("key_unknown");

    let mut jwk = one.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    let only = stack(StaticKeys::new([VerifyingKey::from_jwk(&jwk.to_string()).unwrap()]).unwrap());
    only.sign(&nameless(only.token())).await.assert_subject("alice");
    only.sign(&only.token().key(&one)).await.assert_subject("alice");
}

/// Two issuers in one layer, whose keys have the same name.
fn two_issuers() -> (TestIssuer, TestIssuer, support::App) {
    let clock = tower_warden::ManualClock::at(START);
    let of = |name: &str| {
        let issuer = TestIssuer::new(name).environment(&Environment::default().with_clock(clock.clone()));
        let (old, new) = (issuer.key(), SigningKey::named(Algorithm::ES256, "same"));
        issuer.publish(new);
        issuer.withdraw(&old);
        issuer
    };
    let (one, other) = (of("https://one.test"), of("https://other.test"));
    let builder =
        Jwt::builder(rules(&one).tenant("one"), one.clone()).issuer(rules(&other).tenant("other"), other.clone());
    let layer = AuthLayer::new(builder.build().unwrap()).environment(&Environment::default().with_clock(clock));
    (one, other, app(&layer))
}

#[tokio::test]
async fn the_same_kid_in_two_issuers_is_two_keys() {
    // (35), (36)
    let (one, other, app) = two_issuers();
    for issuer in [&one, &other] {
        let token = issuer.token("alice").audience(AUDIENCE);
        send(app.clone(), bearer(&token.sign())).await.assert_subject("alice");
    }
    let token = one.token("alice").audience(AUDIENCE);
    send(app.clone(), bearer(&token.clone().key(&other.key()).sign())).await.assert_invalid("signature");
    send(app, bearer(&token.claim("iss", other.name()).sign())).await.assert_invalid("signature");
}

// Issuer, audience, times.

#[tokio::test]
async fn an_issuer_is_compared_byte_for_byte() {
    // (37)
    let stack = Stack::new();
    for name in ["https://issuer.test/", "https://ISSUER.test", "HTTPS://issuer.test", "issuer.test", "", " "] {
        stack.sign(&stack.token().claim("iss", name)).await.assert_invalid("issuer_unknown");
    }
    for bad in [json!(["https://issuer.test"]), json!(7), json!({})] {
        stack.sign(&stack.token().claim("iss", bad)).await.assert_invalid("claim_type");
    }
    stack.sign(&stack.token().claim("iss", Value::Null)).await.assert_invalid("issuer_missing");
    stack.sign(&stack.token().without("iss")).await.assert_invalid("issuer_missing");
}

#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    // (38)
    let stack = Stack::new();
    stack.sign(&stack.token().without("aud")).await.assert_invalid("audience_missing");
    for other in
        [json!("https://other.test"), json!("https://api.test/"), json!("HTTPS://api.test"), json!([]), json!("")]
    {
        stack.sign(&stack.token().claim("aud", other)).await.assert_invalid("audience_mismatch");
    }
    stack.sign(&stack.token().claim("aud", Value::Null)).await.assert_invalid("audience_missing");
    for bad in [json!({}), json!([AUDIENCE, 1]), json!(1), json!([[AUDIENCE]]), json!(true)] {
        stack.sign(&stack.token().claim("aud", bad)).await.assert_invalid("claim_type");
    }
    let any = Stack::with(Issuer::danger_any_audience);
    any.sign(&any.token().without("aud")).await.assert_subject("alice");
}

#[tokio::test]
async fn a_token_with_several_audiences_is_accepted_unless_configured_otherwise() {
    // (39)
    let both = json!(["https://other.test", AUDIENCE]);
    let stack = Stack::new();
    stack.sign(&stack.token().claim("aud", both.clone())).await.assert_subject("alice");
    let stack = Stack::with(Issuer::refuse_other_audiences);
    stack.sign(&stack.token().claim("aud", both)).await.assert_invalid("audience_mismatch");
    stack.sign(&stack.token().claim("aud", json!([AUDIENCE]))).await.assert_subject("alice");
    stack.sign(&stack.token().claim("aud", json!([AUDIENCE, AUDIENCE]))).await.assert_subject("alice");
    stack.sign(&stack.token().claim("aud", json!([]))).await.assert_invalid("audience_mismatch");
    stack.sign(&stack.token()).await.assert_subject("alice");
    let two = Stack::with(|issuer| issuer.accept_audience("https://second.test").unwrap().refuse_other_audiences());
    let own = json!(["https://second.test", AUDIENCE]);
    two.sign(&two.token().claim("aud", own)).await.assert_subject("alice");
    let other = json!(["https://second.test", "https://other.test"]);
    two.sign(&two.token().claim("aud", other)).await.assert_invalid("audience_mismatch");
    let stack = Stack::with(|issuer| issuer.accept_audience("https://second.test").unwrap());
    stack.sign(&stack.token().audience("https://second.test")).await.assert_subject("alice");
    stack.sign(&stack.token()).await.assert_subject("alice");
}

#[tokio::test]
async fn the_expiry_is_required_and_checked() {
    // (40)
    let stack = Stack::new();
    stack.sign(&stack.token().without("exp")).await.assert_invalid("expiry_missing");
    stack.sign(&stack.token().claim("exp", 0)).await.assert_invalid("expired");
    stack.sign(&stack.token().claim("exp", Value::Null)).await.assert_invalid("expiry_missing");
    for bad in [json!("1800000300"), json!(-1), json!(-1.5), json!(1e300), json!([1]), json!(true)] {
        stack.sign(&stack.token().claim("exp", bad)).await.assert_invalid("claim_type");
    }
    for far in [json!(u64::MAX), json!(1u64 << 63), json!(1e15)] {
        stack.sign(&stack.token().claim("exp", far)).await.assert_invalid("lifetime");
    }
    for (number, reason) in [("1e400", "claims_syntax"), ("NaN", "claims_syntax"), ("0x10", "claims_syntax")] {
        let payload = Stack::good_payload().replace(&format!("{}", START.as_secs() + 300), number);
        stack.payload(&payload).await.assert_invalid(reason);
    }
}

#[tokio::test]
async fn a_token_expires_in_the_documented_second() {
    // (41) 60 seconds of skew: good for 59 seconds after `exp`, bad from 60 on. Cached and not.
    for (past, good) in [(0, true), (59, true), (60, false), (61, false)] {
        let stack = Stack::new();
        let token = stack.token().expires_in(seconds(100)).sign();
        let early = stack.token().expires_in(seconds(100)).sign();
        stack.send(&early).await.assert_subject("alice");
        stack.clock.advance(seconds(100 + past));
        for token in [&token, &early] {
            let answer = stack.send(token).await;
            if good { answer.assert_subject("alice") } else { answer.assert_invalid("expired") }
        }
    }
    // A fraction is rounded up.
    let stack = Stack::with(|issuer| issuer.skew(seconds(0)).unwrap());
    let token = stack.token().claim("exp", START.as_secs() as f64 + 0.5).sign();
    stack.send(&token).await.assert_subject("alice");
    stack.clock.advance(seconds(1));
    stack.send(&token).await.assert_invalid("expired");
}

#[tokio::test]
async fn strict_halves_the_skew_unless_it_is_set() {
    // (41)
    for (set_up, skew) in [
        ((|issuer| issuer.strict()) as fn(Issuer) -> Issuer, 30),
        (|issuer| issuer.strict().skew(seconds(60)).unwrap(), 60),
        (|issuer| issuer.skew(seconds(60)).unwrap().strict(), 60),
    ] {
        let stack = Stack::with(set_up);
        let token = stack.token().expires_in(seconds(100)).sign();
        stack.clock.advance(seconds(100 + skew - 1));
        stack.send(&token).await.assert_subject("alice");
        stack.clock.advance(seconds(1));
        stack.send(&token).await.assert_invalid("expired");
    }
}

#[test]
fn a_skew_of_more_than_five_minutes_is_refused() {
    let issuer = || Issuer::new("https://issuer.test", AUDIENCE).unwrap();
    assert!(issuer().skew(seconds(300)).is_ok());
    assert!(issuer().skew(seconds(301)).is_err());
}

#[tokio::test]
async fn a_token_before_its_time_is_refused() {
    // (42)
    let stack = Stack::new();
    let at = |seconds: u64| stack.token().claim("nbf", START.as_secs() + seconds);
    stack.sign(&at(0)).await.assert_subject("alice");
    stack.sign(&at(60)).await.assert_subject("alice");
    stack.sign(&at(61)).await.assert_invalid("not_yet_valid");
    for bad in [json!("0"), json!([]), json!(-1)] {
        stack.sign(&stack.token().claim("nbf", bad)).await.assert_invalid("claim_type");
    }
}

#[tokio::test]
async fn a_token_of_the_future_is_refused() {
    // (43)
    let stack = Stack::new();
    stack.sign(&stack.token().claim("iat", START.as_secs() + 60)).await.assert_subject("alice");
    stack.sign(&stack.token().claim("iat", START.as_secs() + 61)).await.assert_invalid("issued_in_future");
    stack.sign(&stack.token().claim("iat", "now")).await.assert_invalid("claim_type");
}

#[tokio::test]
async fn a_token_that_lives_too_long_is_refused() {
    // (44)
    let longest = 28 * 60 * 60;
    let stack = Stack::new();
    // A managed identity of Azure: 24 hours and 5 minutes.
    for lifetime in [86_700, longest] {
        stack.sign(&stack.token().expires_in(seconds(lifetime))).await.assert_subject("alice");
    }
    stack.sign(&stack.token().expires_in(seconds(longest + 1))).await.assert_invalid("lifetime");
    // Without `iat`, what is left of it counts.
    stack.sign(&stack.token().expires_in(seconds(longest + 1)).without("iat")).await.assert_invalid("lifetime");
    let stack = Stack::with(|issuer| issuer.max_lifetime(seconds(60)));
    stack.sign(&stack.token().expires_in(seconds(60))).await.assert_subject("alice");
    stack.sign(&stack.token()).await.assert_invalid("lifetime");
}

// Syntax and kinds.

#[tokio::test]
async fn a_duplicate_member_is_refused() {
    // (45)
    let stack = Stack::new();
    let payload = Stack::good_payload();
    stack.payload(&payload).await.assert_subject("alice");
    for twice in
        [r#""scope":"a","scope":"b""#, r#""aud":"https://api.test""#, r#""x":{"y":1,"y":2}"#, r#""s\u0075b":"root""#]
    {
        stack.payload(&payload.replacen('{', &format!("{{{twice},"), 1)).await.assert_invalid("claims_syntax");
    }
    stack.header(r#"{"alg":"ES256","kid":"KID"}"#).await.assert_subject("alice");
    for twice in [r#""alg":"ES256""#, r#""kid":"KID""#, r#""\u0061lg":"none""#] {
        let header = format!(r#"{{{twice},"alg":"ES256","kid":"KID"}}"#);
        stack.header(&header).await.assert_invalid("header_syntax");
    }
}

#[tokio::test]
async fn an_id_token_is_refused() {
    // (46)
    let stack = Stack::new();
    for typ in [Some("JWT"), None] {
        let token = |token: TokenBuilder| match typ {
            Some(typ) => token.header("typ", typ),
            None => token.without_header("typ"),
        };
        stack.sign(&token(stack.token())).await.assert_subject("alice");
        for mark in ["nonce", "at_hash", "c_hash"] {
            stack.sign(&token(stack.token().claim(mark, "n"))).await.assert_invalid("id_token");
        }
        let lenient = Stack::with(Issuer::danger_accept_id_tokens);
        lenient.sign(&token(lenient.token().claim("nonce", "n"))).await.assert_subject("alice");
    }
    // What says that it is an access token may have a nonce.
    stack.sign(&stack.token().claim("nonce", "n")).await.assert_subject("alice");
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    // (47)
    let stack = Stack::new();
    for typ in
        ["dpop+jwt", "logout+jwt", "secevent+jwt", "vc+sd-jwt", "application/logout+jwt", "at+jwt;x", "", "at jwt"]
    {
        stack.sign(&stack.token().header("typ", typ)).await.assert_invalid("token_type");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt", "JWT", "jwt", "application/jwt"] {
        stack.sign(&stack.token().header("typ", typ)).await.assert_subject("alice");
    }
    // Not cut within a letter.
    stack.sign(&stack.token().header("typ", "applicatioñ/at+jwt")).await.assert_invalid("token_type");
}

#[tokio::test]
async fn strict_is_rfc_9068() {
    let stack = Stack::with(Issuer::strict);
    stack.sign(&stack.token()).await.assert_subject("alice");
    for typ in ["JWT", "application/jwt"] {
        stack.sign(&stack.token().header("typ", typ)).await.assert_invalid("token_type");
    }
    stack.sign(&stack.token().without_header("typ")).await.assert_invalid("token_type");
    for claim in ["sub", "client_id", "iat", "jti", "exp", "aud"] {
        stack.sign(&stack.token().without(claim)).await.assert_invalid("claim_required");
    }
}

#[tokio::test]
async fn a_token_that_is_not_a_compact_jws_is_refused() {
    // (48)
    let stack = Stack::new();
    let token = stack.token().sign();
    for bad in [
        "abc".to_owned(),
        format!("{token}.AA.AA"),
        format!("{token}."),
        format!(".{token}"),
        token.replace('.', "-"),
        token.rsplit_once('.').unwrap().0.to_owned(),
    ] {
        stack.send(&bad).await.assert_invalid("credential_not_accepted");
    }
    for bad in ["..", "e30..", "..e30", ".e30."] {
        assert_eq!(stack.send(bad).await.status, 401, "{bad}");
    }
    // JSON serialization has braces and quotes.
    stack.send(r#"{"payload":"e30"}"#).await.assert_malformed("credential_syntax");
}

#[tokio::test]
async fn base64url_is_canonical() {
    // (49)
    let stack = Stack::new();
    let token = stack.token().sign();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    stack.send(&format!("{header}.{payload}.{signature}==")).await.assert_invalid("token_encoding");
    // 64 bytes leave two bits in the last letter that stand for nothing.
    let last = signature.chars().last().unwrap();
    let loose = |letter: char| char::from_u32(letter as u32 + 1).unwrap();
    let bits = format!("{header}.{payload}.{}{}", &signature[..85], loose(last));
    stack.send(&bits).await.assert_invalid("token_encoding");
    stack.send(&format!("{header}.{payload}.{}+", &signature[..85])).await.assert_invalid("token_encoding");
    stack.send(&format!("{header}.{payload}.{}/", &signature[..85])).await.assert_invalid("token_encoding");
    for bad in [format!("{header}=.{payload}.{signature}"), format!("{header}.{payload}=.{signature}")] {
        assert_eq!(stack.send(&bad).await.status, 400, "no b64token of RFC 6750");
    }
    for bad in [format!("{header}. {payload}.{signature}"), format!("{header}.{payload}.{signature} ")] {
        assert_eq!(stack.send(&bad).await.status, 400);
    }
}

#[tokio::test]
async fn a_token_that_is_too_long_or_nested_too_deep_is_refused_before_its_signature() {
    // (50)
    let stack = Stack::new();
    let nested = format!(r#"{{"x":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
    stack.payload(&nested).await.assert_invalid("claims_syntax");
    let long = stack.token().claim("x", "x".repeat(64 * 1024)).sign();
    stack.send(&long).await.assert_malformed("credential_too_long");
    let short = Stack::of(|issuer| Jwt::builder(rules(issuer), issuer.clone()).max_token_bytes(1000).build().unwrap());
    short.sign(&short.token()).await.assert_subject("alice");
    short.sign(&short.token().claim("x", "x".repeat(1000))).await.assert_invalid("token_too_long");
    assert_eq!(short.issuer.fetches(), 1);
}

#[tokio::test]
async fn a_payload_that_is_not_an_object_is_refused() {
    let stack = Stack::new();
    for payload in ["", "[]", "null", "\"eyJ\"", "{", "{}x", "\u{feff}{}", "1"] {
        stack.payload(payload).await.assert_invalid("claims_syntax");
    }
    stack.payload("{}").await.assert_invalid("issuer_missing");
    for header in ["", "[]", "null", "{", "1"] {
        stack.header(header).await.assert_invalid("header_syntax");
    }
}

// Scopes, binding, order.

#[tokio::test]
async fn an_expired_token_without_the_scope_is_401() {
    // (57)
    use tower::ServiceBuilder;
    use tower_warden::{layer::AuthorizeLayer, scope::Scope};
    let stack = Stack::new();
    let jwt = Jwt::new(rules(&stack.issuer), stack.issuer.clone());
    let layers = ServiceBuilder::new()
        .layer(AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone())))
        .layer(AuthorizeLayer::all_of([Scope::from_static("billing:write")]));
    let app = layers.service(tower::service_fn(support::answer));
    let token = stack.token().sign();
    assert_eq!(send(app.clone(), bearer(&token)).await.status, 403);
    stack.clock.advance(seconds(1_000));
    send(app, bearer(&token)).await.assert_invalid("expired");
}

#[tokio::test]
async fn a_token_without_an_id_may_be_refused() {
    // (59)
    let stack = Stack::with(Issuer::require_jti);
    stack.sign(&stack.token()).await.assert_subject("alice");
    stack.sign(&stack.token().without("jti")).await.assert_invalid("token_id_missing");
    stack.sign(&stack.token().claim("jti", 7)).await.assert_invalid("claim_type");
    let stack = Stack::new();
    stack.sign(&stack.token().without("jti")).await.assert_subject("alice");
}

#[tokio::test]
async fn scopes_are_read_in_the_forms_of_the_common_issuers() {
    // (61)
    for (claim, value, expected) in [
        ("scope", json!("a b"), "a b"),
        ("scope", json!("  b   a "), "a b"),
        ("scope", json!(["a", "b"]), "a b"),
        ("scp", json!("a b"), "a b"),
        ("scp", json!(["a", "b c"]), "a"),
        ("scp", json!(["a", "", " b", "b ", "Not an admin"]), "a"),
        ("scopes", json!(["a"]), "a"),
        ("scope", json!(7), ""),
        ("scope", Value::Null, ""),
        ("scope", json!({ "a": true }), ""),
        ("scope", json!(["a", 7]), ""),
        ("scope", json!([["a"]]), ""),
        ("scope", json!("a \"b\" c"), "a c"),
        ("scope", json!("é"), ""),
        ("permissions", json!(["a"]), ""),
    ] {
        let caller = principal(|issuer| issuer, |token| token.without("scope").claim(claim, value.clone())).await;
        assert_eq!(caller.scopes().to_string(), expected, "{claim}: {value}");
    }
    let caller =
        principal(|issuer| issuer.scopes_claim("permissions"), |token| token.claim("permissions", json!(["x"])));
    assert_eq!(caller.await.scopes().to_string(), "billing:read x");
}

#[tokio::test]
async fn a_bound_token_is_refused_without_a_proof() {
    // (82), (101), (108), the part that needs no proofs
    let thumbprint = text([7; 32]);
    let stack = Stack::new();
    for (cnf, reason) in [
        (json!({ "x5t#S256": thumbprint }), "certificate_missing"),
        (json!({ "jkt": thumbprint }), "key_proof_missing"),
        (json!({}), "confirmation"),
        (json!("x"), "confirmation"),
        (Value::Null, "confirmation"),
        (json!({ "kid": "x" }), "confirmation"),
        (json!({ "jkt": thumbprint, "foo": 1 }), "confirmation"),
        (json!({ "jkt": 1 }), "confirmation"),
        (json!({ "jkt": "AA" }), "confirmation"),
    ] {
        let token = stack.token().claim("cnf", cnf);
        for _ in 0..2 {
            stack.sign(&token).await.assert_invalid(reason);
        }
    }
    let stack = Stack::with(|issuer| issuer.ignore_confirmation("foo"));
    let cnf = json!({ "jkt": thumbprint, "foo": 1 });
    stack.sign(&stack.token().claim("cnf", cnf)).await.assert_invalid("key_proof_missing");
}

// Cache and keys.

#[tokio::test]
async fn a_cached_token_is_refused_when_its_key_is_removed() {
    // (76)
    let stack = Stack::new();
    let token = stack.token().sign();
    stack.send(&token).await.assert_subject("alice");
    stack.issuer.rotate();
    stack.send(&token).await.assert_invalid("key_unknown");
    stack.sign(&stack.token()).await.assert_subject("alice");
}

#[tokio::test]
async fn while_keys_are_unavailable_a_cached_token_is_accepted_and_another_is_503() {
    let stack = Stack::new();
    let (token, other) = (stack.token().sign(), stack.token().sign());
    stack.send(&token).await.assert_subject("alice");
    stack.issuer.fail();
    stack.send(&token).await.assert_subject("alice");
    stack.send(&other).await.assert_unavailable("keys_unavailable");
    stack.issuer.recover();
    stack.send(&other).await.assert_subject("alice");
}

#[tokio::test]
async fn a_token_is_verified_again_after_five_minutes_or_the_configured_time() {
    let stack = Stack::new();
    let token = stack.token().expires_in(seconds(3600)).sign();
    for (advance, fetches) in [(0, 1), (299, 1), (1, 2)] {
        stack.clock.advance(seconds(advance));
        stack.send(&token).await.assert_subject("alice");
        assert_eq!(stack.issuer.fetches(), fetches);
    }
    let stack =
        Stack::of(|issuer| Jwt::builder(rules(issuer), issuer.clone()).positive_ttl(seconds(0)).build().unwrap());
    let token = stack.token().sign();
    for fetches in 1..4 {
        stack.send(&token).await.assert_subject("alice");
        assert_eq!(stack.issuer.fetches(), fetches);
    }
}

/// (76) A source may return a key that it has retired.
#[tokio::test]
async fn a_retired_key_verifies_no_token_that_is_not_cached() {
    struct OneKey(Arc<VerifyingKey>);

    impl KeySource for OneKey {
        fn find(&self, _: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
            Eventual::Now(Ok(Some(Arc::clone(&self.0))))
        }
    }

    for ttl in [0, 300] {
        let mut retired = None;
        let stack = Stack::of(|issuer| {
            let key = Arc::new(VerifyingKey::from_jwk(&issuer.key().jwk().to_string()).unwrap());
            retired = Some(Arc::clone(&key));
            Jwt::builder(rules(issuer), OneKey(key)).positive_ttl(seconds(ttl)).build().unwrap()
        });
        stack.sign(&stack.token()).await.assert_subject("alice");
        retired.unwrap().retire();
        stack.sign(&stack.token()).await.assert_invalid("key_retired");
    }
}

#[tokio::test]
async fn an_invalid_token_is_never_cached_as_valid() {
    let stack = Stack::new();
    let token = stack.token().sign();
    let mut bad = signature(&token);
    bad[0] ^= 1;
    let forged = resigned(&token, &bad);
    stack.send(&token).await.assert_subject("alice");
    for _ in 0..3 {
        stack.send(&forged).await.assert_invalid("signature");
    }
}

#[test]
fn a_static_set_with_unusable_keys_only_is_refused() {
    // (71), (72), (74) for keys of one's own
    let key = SigningKey::generate(Algorithm::ES256);
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        jwk
    };
    let set = |keys: Vec<Value>| StaticKeys::from_jwk_set(&json!({ "keys": keys }).to_string());
    assert!(set(vec![key.jwk()]).is_ok());
    assert!(set(vec![]).is_err());
    assert!(set(vec![key.jwk(), key.jwk()]).is_ok(), "the same key");
    let mut other = SigningKey::generate(Algorithm::ES256).jwk();
    other["kid"] = key.id().into();
    let error = set(vec![key.jwk(), other.clone()]).unwrap_err();
    assert!(error.to_string().contains(key.id()), "{error}");
    let nameless = [key.jwk(), other].map(|mut jwk| {
        jwk["kid"] = Value::Null;
        VerifyingKey::from_jwk(&jwk.to_string())
    });
    let error = StaticKeys::new(nameless.map(Result::unwrap)).unwrap_err();
    assert!(error.to_string().contains("StaticKeys::trying_keys"), "{error}");
    for bad in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!("verify")),
        with("kid", json!(7)),
        with("alg", json!("ES384")),
        with("alg", json!("RS256")),
        with("alg", json!(7)),
        with("alg", json!("ES256K")),
        with("crv", json!("P-384")),
        with("d", json!("AA")),
        with("x", json!("AA")),
        with("y", key.jwk()["x"].clone()),
        with("kty", json!("ec")),
        with("kid", json!("k".repeat(257))),
        json!("key"),
    ] {
        assert!(set(vec![bad.clone()]).is_err(), "{bad}");
        assert!(set(vec![bad.clone(), SigningKey::generate(Algorithm::ES256).jwk()]).is_ok(), "left out: {bad}");
    }
    assert!(StaticKeys::from_jwk_set("[]").is_err());
    let text = key.jwk().to_string().replacen('{', r#"{"kty":"EC","#, 1);
    assert!(VerifyingKey::from_jwk(&text).is_err(), "a member stands twice");
}

#[test]
fn weak_rsa_keys_are_refused() {
    // (73)
    let strong = SigningKey::generate(Algorithm::RS256).jwk();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(strong["n"].as_str().unwrap()).unwrap();
    let read = |modulus: &[u8], exponent: &[u8]| {
        let jwk = json!({ "kty": "RSA", "alg": "RS256", "n": text(modulus), "e": text(exponent) });
        VerifyingKey::from_jwk(&jwk.to_string())
    };
    assert!(read(&modulus, &[1, 0, 1]).is_ok());
    assert!(read(&[&[0], &modulus[..]].concat(), &[1, 0, 1]).is_ok(), "zeros in front are none of the number");
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    for (modulus, exponent) in [
        (&modulus[..128], &[1u8, 0, 1][..]),
        (&modulus[..255], &[1, 0, 1]),
        (&[0xff; 1025], &[1, 0, 1]),
        (&even, &[1, 0, 1]),
        (&modulus, &[1]),
        (&modulus, &[0]),
        (&modulus, &[]),
        (&modulus, &[2]),
        (&[], &[1, 0, 1]),
    ] {
        assert!(read(modulus, exponent).is_err());
    }
}

#[test]
fn an_unsafe_issuer_configuration_is_refused() {
    for (name, audience) in [
        ("", AUDIENCE),
        ("https://issuer.test", ""),
        ("http://issuer.test", AUDIENCE),
        ("HTTP://issuer.test", AUDIENCE),
        ("http://localhost.issuer.test", AUDIENCE),
    ] {
        assert!(Issuer::new(name, audience).is_err(), "{name} {audience}");
    }
    for name in ["https://issuer.test", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1", "joe"] {
        assert!(Issuer::new(name, AUDIENCE).is_ok(), "{name}");
    }
}
