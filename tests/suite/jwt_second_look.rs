//! What was found when the JWT core was read as an attacker reads it.

use serde_json::{Value, json};
use tower_warden::{
    Environment, ManualClock,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    layer::AuthLayer,
};

use crate::{
    signing::{SigningKey, decode, encode},
    support::{START, app, bearer, send},
};

fn claims(more: &[(&str, Value)]) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "https://api.example", "sub": "alice", "exp": START.as_secs() + 60,
    });
    claims.as_object_mut().unwrap().extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    claims
}

/// (47) RFC 8417 §2.2: `events` makes a security event token, such as the older logout tokens, whose `typ` is `JWT`.
#[tokio::test]
async fn a_security_event_token_without_a_type_of_its_own_is_refused() {
    let key = SigningKey::generate("ES256");
    let jwt = |issuer: Issuer| {
        let layer = AuthLayer::new(Jwt::new(issuer, StaticKeys::new([key.verifying_key()]).unwrap()));
        app(&layer.environment(&Environment::default().with_clock(ManualClock::at(START))))
    };
    let issuer = Issuer::new("https://issuer.example", "https://api.example").unwrap();
    let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let token = key.token(&claims(&[("events", events)]));
    send(jwt(issuer.clone()), bearer(&token)).await.assert_invalid("token_type");
    send(jwt(issuer.clone().danger_accept_id_tokens()), bearer(&token)).await.assert_invalid("token_type");
    send(jwt(issuer), bearer(&key.token(&claims(&[])))).await.assert_subject("alice");
}

/// (70) Wycheproof's `MixedKeySet`: who publishes the set publishes the secret.
#[test]
fn a_set_of_secrets_and_public_keys_is_refused() {
    let (secret, public) = (SigningKey::generate("HS256"), SigningKey::generate("ES256"));
    let set = |keys: &[&SigningKey]| {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        StaticKeys::from_jwk_set(&json!({ "keys": keys }).to_string())
    };
    assert!(set(&[&secret]).is_ok() && set(&[&public]).is_ok());
    assert_eq!(
        set(&[&secret, &public]).unwrap_err().to_string(),
        "a JWK set contains public keys or secret keys, not both"
    );
    // Said one by one, it is no accident.
    assert!(StaticKeys::new([secret.verifying_key(), public.verifying_key()]).is_ok());
}

/// A certificate says until when, and for what: whoever takes its key must look.
#[test]
fn a_certificate_is_not_accepted_as_a_key() {
    assert!(VerifyingKey::from_pem(Algorithm::EdDSA, CERTIFICATE).is_err());
    let base64: String = CERTIFICATE.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap();
    assert!(VerifyingKey::from_der(Algorithm::EdDSA, &der).is_err());
    // Its key is read where nothing else is there.
    assert!(VerifyingKey::from_der(Algorithm::EdDSA, &der[101..145]).is_ok());
    assert!(VerifyingKey::from_pem(Algorithm::EdDSA, PUBLIC).is_ok());
    assert!(VerifyingKey::from_pem(Algorithm::EdDSA, &PUBLIC.repeat(2)).is_err(), "which of them?");
}

/// So it is known which library the tests have run with.
#[test]
fn ml_dsa_is_verified_by_aws_lc_rs_only() {
    let jwk = json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": encode([1; 1312]) });
    assert_eq!(VerifyingKey::from_jwk(&jwk.to_string()).is_ok(), cfg!(feature = "aws-lc-rs"));
}

/// Anybody can turn an ECDSA signature into the one other that is good too; RFC 7518 §3.4 does not choose. So a token's
/// text is no name for it, and nothing here takes it for one: what is revoked is named by its claims.
#[tokio::test]
async fn the_second_valid_signature_of_ecdsa_verifies_as_well() {
    let key = SigningKey::generate("ES256");
    let jwt = Jwt::new(
        Issuer::new("https://issuer.example", "https://api.example").unwrap(),
        StaticKeys::new([key.verifying_key()]).unwrap(),
    );
    let app = app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(ManualClock::at(START))));
    let token = key.token(&claims(&[]));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decode(signature);
    let negated = subtract(&P256_ORDER, &signature[32..]);
    signature.splice(32.., negated);
    send(app, bearer(&format!("{signed}.{}", encode(signature)))).await.assert_subject("alice");
}

/// The difference of two numbers, least byte last.
fn subtract(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let differences = std::iter::zip(one, other).rev().map(|(one, other)| {
        let difference = 256 + i16::from(*one) - i16::from(*other) - borrow;
        borrow = i16::from(difference < 256);
        difference as u8
    });
    let mut bytes: Vec<_> = differences.collect();
    bytes.reverse();
    bytes
}

/// n of P-256, FIPS 186-4 §D.1.2.3.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEABdh9L7n4kXBQOmupva5Ez570gQwWrUb1OcdmaSnTGtc=
-----END PUBLIC KEY-----
";

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBLDCB36ADAgECAhRzPf3UCnEkOhBsX5a7Td1gP4r0ozAFBgMrZXAwDDEKMAgG
A1UEAwwBYTAeFw0yNjExMjQxNDI0MDdaFw0yNjExMjUxNDI0MDdaMAwxCjAIBgNV
BAMMAWEwKjAFBgMrZXADIQAF2H0vufiRcFA6a6m9rkTPnvSBDBatRvU5x2ZpKdMa
16NTMFEwHQYDVR0OBBYEFMGn+t9vXWCurWHPomt8ftpBENsmMB8GA1UdIwQYMBaA
FMGn+t9vXWCurWHPomt8ftpBENsmMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA
IUSoOmgcrJXGVi44sKqhhRBzFTHk1reXLGZ084Qw4vGb0L2NAjJRg/rF+Wf+DISw
1ZuV4FlUaaT0gNaWcfFCDA==
-----END CERTIFICATE-----
";
