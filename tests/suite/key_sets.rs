//! What a fetched key set may hold: each bad key is left out, and the others work.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_warden::{
    ConfigErrorKind,
    jwt::{Algorithm, Issuer, RemoteKeys},
    testing::{SigningKey, TokenBuilder},
};

use crate::{
    endpoint::{Endpoint, JWKS, Remote},
    secrets::listen,
};

/// Serves a set.
fn serving(keys: Vec<Value>) -> impl FnOnce(&Endpoint) {
    move |endpoint| endpoint.serve(json!({ "keys": keys }))
}

fn any_algorithm(issuer: Issuer) -> Issuer {
    use Algorithm::{ES256, ES384, EdDSA, HS256, MlDsa44, PS256, RS256};
    issuer.algorithms([ES256, ES384, EdDSA, HS256, MlDsa44, PS256, RS256]).unwrap()
}

/// A key of ES256.
fn key(id: &str) -> SigningKey {
    SigningKey::named(Algorithm::ES256, id)
}

/// The key with other members.
fn with(key: &SigningKey, members: Value) -> Value {
    let mut jwk = key.jwk();
    let (jwk_members, Value::Object(members)) = (jwk.as_object_mut().unwrap(), members) else { unreachable!() };
    for (name, value) in members {
        if value.is_null() {
            jwk_members.remove(&name)
        } else {
            jwk_members.insert(name, value)
        };
    }
    jwk
}

/// Whether a good key beside a bad one works, and the bad one does not.
async fn assert_left_out(bad: &SigningKey, jwk: Value) {
    let good = key("good");
    let remote = Remote::with(serving(vec![jwk.clone(), good.jwk()]), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&good).sign()).await.assert_subject("alice");
    let answer = remote.send(&remote.token().key(bad).sign()).await;
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some("key_unknown")), "{jwk}");
}

// (69)
#[tokio::test]
async fn keys_of_unknown_kinds_do_not_fail_the_set() {
    let text = |length: usize| BASE64_URL_SAFE_NO_PAD.encode(vec![7; length]);
    let others = vec![
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "a", "pub": text(1952) }),
        json!({ "kty": "AKP", "alg": "ML-DSA-1000", "kid": "b", "pub": text(40) }),
        json!({ "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "kid": "c", "x": text(32), "y": text(32) }),
        json!({ "kty": "OKP", "crv": "X25519", "alg": "ECDH-ES", "kid": "d", "x": text(32) }),
        json!({ "kty": "OKP", "crv": "Ed448", "kid": "e", "x": text(57) }),
        json!({ "kty": "new", "kid": "f" }),
        json!({ "kid": "g" }),
        json!({ "kty": 1 }),
        json!("not an object"),
        json!(null),
    ];
    let good = key("good");
    let keys = others.into_iter().chain([good.jwk()]).collect();
    let remote = Remote::with(serving(keys), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&good).sign()).await.assert_subject("alice");
}

// (69)
#[tokio::test]
async fn key_without_kid_verifies_tokens_without_kid() {
    let (named, nameless) = (key("named"), key("nameless"));
    let keys = vec![named.jwk(), with(&nameless, json!({ "kid": null }))];
    let remote = Remote::with(serving(keys), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&named).sign()).await.assert_subject("alice");
    remote.send(&remote.token().key(&nameless).without_header("kid").sign()).await.assert_subject("alice");
    remote.send(&remote.token().key(&named).without_header("kid").sign()).await.assert_invalid("signature");
}

#[tokio::test]
async fn only_key_without_kid_verifies_all_tokens() {
    let nameless = key("nameless");
    let keys = vec![with(&nameless, json!({ "kid": null }))];
    let remote = Remote::with(serving(keys), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&nameless).sign()).await.assert_subject("alice");
    remote.send(&remote.token().key(&nameless).without_header("kid").sign()).await.assert_subject("alice");
}

#[tokio::test]
async fn token_without_kid_is_verified_by_the_only_key_if_configured() {
    let (one, other) = (key("one"), SigningKey::named(Algorithm::EdDSA, "other"));
    let keys = vec![one.jwk(), other.jwk()];
    let nameless = |token: TokenBuilder| token.key(&one).without_header("kid").sign();
    let strict = Remote::with(serving(keys.clone()), |keys| keys, any_algorithm).await;
    strict.send(&nameless(strict.token())).await.assert_invalid("key_unknown");
    let lenient = Remote::with(serving(keys), |keys| keys.accept_missing_kid(), any_algorithm).await;
    lenient.send(&nameless(lenient.token())).await.assert_subject("alice");
}

// (70)
#[tokio::test]
async fn secret_key_in_a_fetched_set_is_left_out() {
    let secret = SigningKey::named(Algorithm::HS256, "secret");
    assert_left_out(&secret, secret.jwk()).await;
}

// (71)
#[tokio::test]
async fn of_two_keys_with_one_kid_neither_is_used() {
    let (one, other, good) = (key("twin"), key("twin"), key("good"));
    let remote = Remote::with(serving(vec![one.jwk(), other.jwk(), good.jwk()]), |keys| keys, any_algorithm).await;
    for twin in [one, other] {
        remote.send(&remote.token().key(&twin).sign()).await.assert_invalid("key_unknown");
    }
    remote.send(&remote.token().key(&good).sign()).await.assert_subject("alice");
}

// (71)
#[tokio::test]
async fn of_two_keys_with_one_kid_the_one_for_the_algorithm_is_used() {
    let (one, other) = (key("both"), SigningKey::named(Algorithm::EdDSA, "both"));
    let remote = Remote::with(serving(vec![one.jwk(), other.jwk()]), |keys| keys, any_algorithm).await;
    for key in [one, other] {
        remote.send(&remote.token().key(&key).sign()).await.assert_subject("alice");
    }
}

// (72)
#[tokio::test]
async fn key_that_is_not_for_verification_is_left_out() {
    let bad = key("bad");
    for members in [
        json!({ "use": "enc" }),
        json!({ "use": "SIG" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": [] }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "none" }),
        json!({ "alg": 256 }),
        json!({ "crv": "P-384" }),
    ] {
        assert_left_out(&bad, with(&bad, members)).await;
    }
}

// (73)
#[tokio::test]
async fn weak_key_is_left_out() {
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let (rsa, ec) = (SigningKey::named(Algorithm::RS256, "bad"), key("bad"));
    let point = |jwk: &Value| BASE64_URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let mut off_curve = point(&ec.jwk());
    off_curve[0] ^= 1;
    for (key, members) in [
        (&rsa, json!({ "n": text(&[255; 64]) })),
        (&rsa, json!({ "n": text(&[255; 128]) })),
        (&rsa, json!({ "n": text(&[255; 2048]) })),
        (&rsa, json!({ "n": text(&[254; 256]) })),
        (&rsa, json!({ "e": text(&[1]) })),
        (&rsa, json!({ "e": text(&[2]) })),
        (&rsa, json!({ "e": "" })),
        (&ec, json!({ "x": text(&off_curve) })),
        (&ec, json!({ "x": text(&[0; 32]), "y": text(&[0; 32]) })),
        (&ec, json!({ "x": text(&[1; 31]) })),
    ] {
        assert_left_out(key, with(key, members)).await;
    }
}

// (74)
#[tokio::test]
async fn private_key_is_left_out_and_not_logged() {
    let (log, _guard) = listen();
    let (bad, private) = (key("bad"), "cHJpdmF0ZSBwcml2YXRlIHByaXZhdGUgcHJpdmF0ZSE");
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"] {
        assert_left_out(&bad, with(&bad, json!({ name: private }))).await;
    }
    let text = log.text();
    assert!(text.contains("a key of a JWK set is not used"), "{text}");
    assert!(!text.contains(&private[..8]), "{text}");
}

#[tokio::test]
async fn rsa_key_without_alg_is_used_with_the_configured_algorithm() {
    let pss = SigningKey::named(Algorithm::PS256, "rsa");
    let keys = vec![with(&pss, json!({ "alg": null }))];
    let by_default = Remote::with(serving(keys.clone()), |keys| keys, any_algorithm).await;
    by_default.send(&by_default.token().key(&pss).sign()).await.assert_invalid("key_algorithm");
    let told = Remote::with(serving(keys), |keys| keys.rsa_algorithm(Algorithm::PS256), any_algorithm).await;
    told.send(&told.token().key(&pss).sign()).await.assert_subject("alice");
    let refused = RemoteKeys::builder(JWKS).rsa_algorithm(Algorithm::ES256).build().unwrap_err();
    assert_eq!(refused.kind(), ConfigErrorKind::KeySet);
}
