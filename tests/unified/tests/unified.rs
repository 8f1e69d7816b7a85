//! Features that other crates in the graph switch on make no difference to us.

use std::{convert::Infallible, panic};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    Environment, ManualClock, Principal, UnixTime,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    layer::AuthLayer,
};

const NOW: u64 = 1_800_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "https://api.example", "sub": "alice",
        "exp": NOW + 600, "iat": NOW as f64 - 0.5, "more": { "numbers": [1, -1, 1.5, 1e300] },
    })
}

fn token(algorithm: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = json!({ "alg": algorithm }).to_string();
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", encode(sign(signed.as_bytes())))
}

async fn send(keys: StaticKeys, token: &str) -> (u16, Option<(String, Option<u64>)>) {
    let issuer = Issuer::new("https://issuer.example", "https://api.example").unwrap();
    let layer = AuthLayer::new(Jwt::new(issuer, keys))
        .environment(&Environment::default().with_clock(ManualClock::at(UnixTime::from_secs(NOW))));
    let service = ServiceBuilder::new().layer(layer).service_fn(async |request: Request<()>| {
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(request.extensions().get::<Principal>().unwrap().clone());
        Ok::<_, Infallible>(response)
    });
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let seen = response
        .extensions()
        .get::<Principal>()
        .map(|caller| (caller.subject().to_owned(), caller.expires_at().map(UnixTime::as_secs)));
    (response.status().as_u16(), seen)
}

/// Otherwise the other tests would say nothing.
#[test]
fn the_traps_are_set() {
    let panicked = panic::catch_unwind(|| {
        let (key, validation) = (jsonwebtoken::DecodingKey::from_secret(&[0; 32]), jsonwebtoken::Validation::default());
        jsonwebtoken::decode::<Value>("eyJhbGciOiJIUzI1NiJ9.e30.AA", &key, &validation).is_ok()
    });
    assert!(panicked.is_err(), "jsonwebtoken knows which library to use");
    assert_eq!(json!(1e300).as_f64(), Some(1e300));
    let number: serde_json::Number = "1.10".parse().unwrap();
    assert_eq!(number.to_string(), "1.10", "numbers are not kept as text");
}

#[tokio::test]
async fn tokens_are_verified() {
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
    let ec_keys = || StaticKeys::from_jwk_set(&json!({ "keys": [jwk] }).to_string()).unwrap();
    let by_ec = |signed: &[u8]| ec.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec();

    let ed = Ed25519KeyPair::generate().unwrap();
    // RFC 8410 §4.
    let der = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], ed.public_key().as_ref()].concat();
    let ed_keys = || StaticKeys::new([VerifyingKey::from_der(Algorithm::EdDSA, &der).unwrap()]).unwrap();
    let by_ed = |signed: &[u8]| ed.sign(signed).as_ref().to_vec();

    let alice = Some(("alice".to_owned(), Some(NOW + 600)));
    assert_eq!(send(ec_keys(), &token("ES256", &claims().to_string(), by_ec)).await, (200, alice.clone()));
    assert_eq!(send(ed_keys(), &token("EdDSA", &claims().to_string(), by_ed)).await, (200, alice));
    assert_eq!(send(ec_keys(), &token("EdDSA", &claims().to_string(), by_ed)).await, (401, None));
    assert_eq!(send(ed_keys(), &token("EdDSA", &claims().to_string(), |_| vec![0; 64])).await, (401, None));

    let with = |name: &str, value: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let text = claims.to_string();
        format!(r#"{},"{name}":{value}}}"#, text.strip_suffix('}').unwrap())
    };
    let later = NOW + 600;
    assert_eq!(send(ed_keys(), &token("EdDSA", &with("exp", &later.to_string()), by_ed)).await.0, 200);
    for (name, value) in [
        ("exp", (NOW - 600).to_string()),
        ("exp", format!("\"{later}\"")),
        ("exp", "{}".to_owned()),
        ("exp", "1e400".to_owned()),
        ("exp", format!(r#"{{"$serde_json::private::Number":"{later}"}}"#)),
        ("nbf", later.to_string()),
    ] {
        let token = token("EdDSA", &with(name, &value), by_ed);
        assert_eq!(send(ed_keys(), &token).await, (401, None), "{name} {value}");
    }
}
