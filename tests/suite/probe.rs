//! Thirty requests that were sent to ten other crates, few of which answered all of them well.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use tower_warden::{
    jwt::{Algorithm, Issuer, Jwt},
    testing::SigningKey,
};

use crate::{
    support::{START, bearer, request, send},
    tokens::{AUDIENCE, Stack, keys, rules, seconds},
};

/// An issuer with a key of each common kind, as the others were asked with, and the answers it must give.
#[tokio::test]
async fn the_probe_of_the_peers_has_no_wrong_cell() {
    let [rsa, ec, ed] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(SigningKey::generate);
    let stack = Stack::of(|issuer| Jwt::new(rules(issuer), keys(&[&rsa, &ec, &ed])));
    let token = || stack.token().key(&rsa);
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
    let now = START.as_secs();
    let good = [
        ("RS256 at+jwt", token()),
        ("RS256 JWT", token().header("typ", "JWT")),
        ("ES256", token().key(&ec)),
        ("EdDSA", token().key(&ed)),
        ("aud array", token().claim("aud", json!(["https://other.test", AUDIENCE]))),
        // A policy, 60 seconds of skew: see below for the other one.
        ("expired 30 s ago", token().claim("exp", now - 30).claim("iat", now - 300)),
    ];
    for (case, token) in good {
        assert_eq!(stack.sign(&token).await.status, 200, "{case}");
    }
    let id_token = token().header("typ", "JWT").claim("nonce", "n").without("scope").without("client_id");
    let bad = [
        ("PS256 under a key for RS256", token().header("alg", "PS256")),
        ("no aud", token().without("aud")),
        ("wrong aud", token().audience("https://other.test")),
        ("no iss", token().without("iss")),
        ("wrong iss", token().claim("iss", "https://other.test")),
        ("no exp", token().without("exp")),
        ("expired 10 min ago", token().claim("exp", now - 600).claim("iat", now - 900)),
        ("nbf in an hour", token().claim("nbf", now + 3600)),
        ("nbf in an hour, as text", token().claim("nbf", (now + 3600).to_string())),
        ("bound to a certificate", token().claim("cnf", json!({ "x5t#S256": thumbprint }))),
        ("bound to a key", token().claim("cnf", json!({ "jkt": thumbprint }))),
        ("logout token", token().header("typ", "logout+jwt")),
        ("ID token", id_token),
        ("unknown crit", token().header("crit", json!(["foo"])).header("foo", 1)),
        ("HS256", token().header("alg", "HS256")),
        ("none", token().header("alg", "none")),
        ("signed by another key", token().key(&SigningKey::generate(Algorithm::RS256)).header("kid", rsa.id())),
        ("unknown kid", token().header("kid", "unknown")),
        ("no kid", token().without_header("kid")),
    ];
    for (case, token) in bad {
        let answer = stack.sign(&token).await;
        assert_eq!(answer.status, 401, "{case}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{case}");
    }
    let strange = [
        ("lower-case scheme", request().header("authorization", format!("bearer {}", token().sign())), 200),
        ("garbage", bearer("abc"), 401),
        ("Basic", request().header("authorization", "Basic YWxpY2U6c2VjcmV0"), 401),
        ("nothing", request(), 401),
        ("64 KiB", bearer(&"x".repeat(64 * 1024)), 400),
    ];
    for (case, request, status) in strange {
        let answer = send(stack.app.clone(), request).await;
        assert_eq!(answer.status, status, "{case}");
        assert!(status == 200 || answer.header("www-authenticate").is_some(), "{case}");
    }
    let exact = Stack::with(|issuer: Issuer| issuer.skew(Duration::ZERO).unwrap());
    let late = exact.token().expires_in(seconds(0)).sign();
    exact.send(&late).await.assert_invalid("expired");
}
