//! What a fetched key set may hold: each bad key is left out, and the others work.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use tower_warden::{
    ConfigErrorKind,
    jwt::{Algorithm, Issuer, RemoteKeys, RemoteKeysBuilder, StaticKeys, VerifyingKey},
    testing::{SigningKey, TokenBuilder},
};

use crate::{
    endpoint::{Endpoint, JWKS, Mode, Remote},
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
async fn key_that_occurs_twice_is_used_once() {
    let (key, mut copy) = (key("twice"), key("other").jwk());
    for (name, value) in key.jwk().as_object().unwrap() {
        copy[name] = value.clone();
    }
    copy["use"] = "sig".into();
    let remote = Remote::with(serving(vec![key.jwk(), copy]), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&key).sign()).await.assert_subject("alice");
    let nameless = with(&key, json!({ "kid": null }));
    let remote = Remote::with(serving(vec![nameless.clone(), nameless]), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&key).without_header("kid").sign()).await.assert_subject("alice");
}

#[tokio::test]
async fn several_keys_are_tried_for_tokens_without_kid_if_configured() {
    let keys: Vec<_> = ["a", "b", "c", "d", "e"].map(key).into();
    let nameless: Vec<_> = keys.iter().map(|key| with(key, json!({ "kid": null }))).collect();
    let named: Vec<_> = keys.iter().map(SigningKey::jwk).collect();
    for set in [&nameless, &named] {
        let by_default = Remote::with(serving(set[..2].to_vec()), |keys| keys, any_algorithm).await;
        let token = by_default.token().key(&keys[1]).without_header("kid").sign();
        assert_ne!(by_default.send(&token).await.status, 200);
        let remote = Remote::with(serving(set[..4].to_vec()), |keys| keys.try_keys(), any_algorithm).await;
        for key in &keys[..4] {
            remote.send(&remote.token().key(key).without_header("kid").sign()).await.assert_subject("alice");
        }
        let stranger = remote.send(&remote.token().key(&keys[4]).without_header("kid").sign()).await;
        assert_eq!(stranger.status, 401, "{stranger:?}");
        let many = Remote::with(serving(set.clone()), |keys| keys.try_keys(), any_algorithm).await;
        let refused = many.send(&many.token().key(&keys[0]).without_header("kid").sign()).await;
        assert_ne!(refused.status, 200, "at most four: {refused:?}");
    }
    // A token that names its key is verified with no other.
    let remote = Remote::with(serving(named), |keys| keys.try_keys(), any_algorithm).await;
    remote.send(&remote.token().key(&keys[0]).header("kid", "b").sign()).await.assert_invalid("signature");
}

#[tokio::test]
async fn keys_with_one_kid_are_not_tried() {
    let (one, other) = (key("twin"), key("twin"));
    let set = serving(vec![one.jwk(), other.jwk(), key("good").jwk()]);
    let remote = Remote::with(set, |keys| keys.try_keys(), any_algorithm).await;
    for twin in [one, other] {
        remote.send(&remote.token().key(&twin).sign()).await.assert_invalid("key_unknown");
        remote.send(&remote.token().key(&twin).without_header("kid").sign()).await.assert_invalid("key_unknown");
    }
}

/// The thumbprint of a certificate in a set, and the certificate.
const X5C: (&str, &str) = ("A9Zt0Ig1wco_EozOrNHzGslBYwlrIPRFroQoW8CDLXI", "Y2VydGlmaWNhdGU=");

#[tokio::test]
async fn key_is_found_by_the_thumbprint_of_its_certificate_if_configured() {
    let (one, other) = (key("one"), key("other"));
    for (member, value, header, text) in [
        ("x5t", json!("7sVmpvVXVB3gFPJnYvyJJGMdLAs"), "x5t", "7sVmpvVXVB3gFPJnYvyJJGMdLAs"),
        ("x5t#S256", json!(X5C.0), "x5t#S256", X5C.0),
        ("x5c", json!([X5C.1]), "x5t#S256", X5C.0),
    ] {
        let keys = vec![with(&one, json!({ member: value })), other.jwk()];
        let by_default = Remote::with(serving(keys.clone()), |keys| keys, any_algorithm).await;
        let token = |remote: &Remote, text: &str, key: &SigningKey| {
            remote.token().key(key).without_header("kid").header(header, text).sign()
        };
        by_default.send(&token(&by_default, text, &one)).await.assert_invalid("key_unknown");
        let accept = |keys: RemoteKeysBuilder| keys.accept_certificate_thumbprints();
        let remote = Remote::with(serving(keys), accept, any_algorithm).await;
        remote.send(&token(&remote, text, &one)).await.assert_subject("alice");
        remote.send(&token(&remote, text, &other)).await.assert_invalid("signature");
        remote.send(&token(&remote, "AAAA", &one)).await.assert_invalid("key_unknown");
        // A new certificate is looked for, as a new kid is.
        remote.clock.advance(crate::support::seconds(60));
        remote.endpoint.serve(json!({ "keys": [with(&other, json!({ "x5t": "new", "x5t#S256": "new" }))] }));
        remote.send(&token(&remote, "new", &other)).await.assert_subject("alice");
    }
}

// (71)
#[tokio::test]
async fn of_two_keys_with_one_certificate_thumbprint_neither_is_used() {
    let (one, other) = (key("one"), key("other"));
    let named = |key: &SigningKey| with(key, json!({ "x5t": "twin" }));
    let accept = |keys: RemoteKeysBuilder| keys.accept_certificate_thumbprints();
    let remote = Remote::with(serving(vec![named(&one), named(&other)]), accept, any_algorithm).await;
    let token =
        |remote: &Remote, key: &SigningKey| remote.token().key(key).without_header("kid").header("x5t", "twin").sign();
    for key in [&one, &other] {
        remote.send(&token(&remote, key)).await.assert_invalid("key_unknown");
    }
    // One key under two names.
    let again = with(&one, json!({ "kid": "again", "x5t": "twin" }));
    let remote = Remote::with(serving(vec![named(&one), again]), accept, any_algorithm).await;
    remote.send(&token(&remote, &one)).await.assert_subject("alice");
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
        json!({ "alg": "ES384" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "none" }),
        json!({ "alg": 256 }),
        json!({ "crv": "P-384" }),
    ] {
        assert_left_out(&bad, with(&bad, members)).await;
    }
}

#[tokio::test]
async fn members_that_are_empty_or_not_needed_do_no_harm() {
    let good = key("good");
    for members in [
        json!({ "key_ops": [] }),
        json!({ "key_ops": ["verify", 1] }),
        json!({ "oth": [] }),
        json!({ "d": "" }),
        json!({ "use": "" }),
        json!({ "x5c": "a text" }),
        json!({ "x5c": [7] }),
        json!({ "x5t": 7, "x5t#S256": {}, "x5u": [] }),
        json!({ "exp": "never", "nbf": [], "issuer": 1 }),
    ] {
        let jwk = with(&good, members);
        let remote = Remote::with(serving(vec![jwk.clone()]), |keys| keys, any_algorithm).await;
        let answer = remote.send(&remote.token().key(&good).sign()).await;
        assert_eq!(answer.status, 200, "{jwk}: {answer:?}");
    }
    let mut nulls = good.jwk();
    for name in ["use", "key_ops", "d", "p", "oth", "x5c", "x5t", "k"] {
        nulls[name] = Value::Null;
    }
    let remote = Remote::with(serving(vec![nulls]), |keys| keys, any_algorithm).await;
    remote.send(&remote.token().key(&good).sign()).await.assert_subject("alice");
}

#[tokio::test]
async fn set_after_a_byte_order_mark_is_read() {
    let remote = Remote::new().await;
    let good = key("good");
    let set = json!({ "keys": [good.jwk()] });
    remote.endpoint.set(Mode::Canned(StatusCode::OK, format!("\u{feff}{set}")));
    remote.send(&remote.token().key(&good).sign()).await.assert_subject("alice");
    assert!(StaticKeys::from_jwk_set(&format!("\u{feff}{set}")).is_ok());
}

#[tokio::test]
async fn key_that_is_not_used_is_logged_with_its_issuer_its_kid_and_the_member() {
    let (log, _guard) = listen();
    for (members, member) in [
        (json!({ "use": "enc" }), "`use`"),
        (json!({ "key_ops": ["sign"] }), "`key_ops`"),
        (json!({ "x": "?" }), "`x`"),
        (json!({ "crv": "P-1" }), "`crv`"),
        (json!({ "alg": "RS1" }), "`alg`"),
        (json!({ "kty": "new" }), "`kty`"),
        (json!({ "d": "secret" }), "private"),
    ] {
        let bad = key(&format!("bad-{}", member.trim_matches('`')));
        let keys = vec![with(&bad, members), key("good").jwk()];
        let _remote = Remote::with(serving(keys), |keys| keys, any_algorithm).await;
        let text = log.text();
        let line = text.lines().rfind(|line| line.contains("a key of a JWK set is not used")).unwrap();
        for part in ["issuer.test", bad.id(), member] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}

#[test]
fn unusable_key_of_a_configured_set_is_left_out_and_logged() {
    let (log, _guard) = listen();
    let (good, encrypts) = (key("good"), with(&key("encrypts"), json!({ "use": "enc", "alg": "RSA-OAEP" })));
    let set = |keys: Vec<Value>| StaticKeys::from_jwk_set(&json!({ "keys": keys }).to_string());
    let unknown = json!({ "kty": "new", "kid": "unknown" });
    assert!(set(vec![good.jwk(), encrypts.clone(), unknown.clone()]).is_ok());
    let text = log.text();
    for kid in ["encrypts", "unknown"] {
        assert!(text.lines().any(|line| line.contains("is not used") && line.contains(kid)), "{kid}: {text}");
    }
    let error = set(vec![encrypts, unknown]).unwrap_err();
    assert!(error.to_string().contains("encrypts") && error.to_string().contains("`use`"), "{error}");
}

// (73)
#[test]
fn rsa_key_of_a_broken_generator_is_refused_and_a_similar_one_is_not() {
    const PRIMES: [u128; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    let product: u128 = PRIMES.iter().product();
    // 2048 bits that are `low` modulo each of the primes.
    let verdict = |low: u128| {
        let high = product << product.leading_zeros();
        let mut modulus = vec![0; 256];
        modulus[..16].copy_from_slice(&high.to_be_bytes());
        modulus[240..].copy_from_slice(&if low.is_multiple_of(2) { low + product } else { low }.to_be_bytes());
        let jwk = json!({ "kty": "RSA", "n": BASE64_URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" });
        VerifyingKey::from_jwk(&jwk.to_string()).map_err(|error| error.to_string().contains("ROCA"))
    };
    let is_broken = |low| matches!(verdict(low), Err(true));
    let power = |exponent: u32| (0..exponent).fold(1, |power, _| power * 65_537 % product);
    for exponent in [0, 1, 2, 1_000] {
        assert!(is_broken(power(exponent)), "65537^{exponent}");
    }
    // All primes but one.
    for prime in PRIMES {
        let powers: Vec<_> =
            (0..157).scan(1, |power, _| Some(std::mem::replace(power, *power * 65_537 % prime))).collect();
        let others = product / prime;
        let low = (0..prime).map(|times| 1 + others * times).find(|low| !powers.contains(&(low % prime))).unwrap();
        assert!(!is_broken(low), "modulo {prime}");
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
