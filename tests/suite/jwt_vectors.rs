//! The tokens and keys that the standards print. Those that are no JWTs are held against `src/jwt/vectors.rs`.

use serde_json::Value;
use tower_warden::{
    Environment, ManualClock, UnixTime,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    layer::AuthLayer,
};

use crate::support::{Answer, app, bearer, seconds, send};

/// The `exp` of the standards' example, in March 2011.
const END: UnixTime = UnixTime::from_secs(1_300_819_380);

/// Sends a token of the standards' `joe`, who has neither `aud` nor `sub`: what is looked at last refuses it.
async fn ask(jwk: &Value, token: &str, now: UnixTime) -> Answer {
    let mut jwk = jwk.clone();
    if jwk["kty"] == "oct" {
        jwk["alg"] = "HS256".into();
    }
    let issuer = Issuer::new("joe", "nobody").unwrap().danger_any_audience();
    let issuer = issuer.algorithms([Algorithm::ES256, Algorithm::HS256, Algorithm::RS256]).unwrap();
    let keys = StaticKeys::new([VerifyingKey::from_jwk(&jwk.to_string()).unwrap()]).unwrap();
    let layer =
        AuthLayer::new(Jwt::new(issuer, keys)).environment(&Environment::default().with_clock(ManualClock::at(now)));
    send(app(&layer), bearer(token)).await
}

fn tests(text: &str) -> Vec<Value> {
    let mut vectors: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(vectors["tests"].take()).unwrap()
}

/// (22, 30, 40, 48)
#[tokio::test]
async fn the_tokens_of_rfc_7515_are_refused_only_for_the_claims_they_lack() {
    let vectors = tests(include_str!("../vectors/rfc7515/appendix_a.json"));
    let (hour, secret) = (seconds(3600), &vectors[0]["jwk"]);
    let an_hour_before = UnixTime::from_secs(END.as_secs() - hour.as_secs());
    for vector in &vectors {
        let token = vector
            .get("jws")
            .or_else(|| vector.get("jws_json"))
            .map(|token| token.as_str().map_or_else(|| token.to_string(), str::to_owned));
        let (token, key) = (token.unwrap(), vector.get("jwk").unwrap_or(secret));
        let answer = ask(key, &token, an_hour_before).await;
        match vector["name"].as_str().unwrap().split(' ').next().unwrap() {
            "A.1" | "A.2" | "A.3" => {
                answer.assert_invalid("subject_missing");
                ask(key, &token, END + hour).await.assert_invalid("expired");
                // A bit of the signature.
                let end = token.len() - 2;
                let changed = format!(
                    "{}{}{}",
                    &token[..end],
                    if &token[end..=end] == "A" { "B" } else { "A" },
                    &token[end + 1..]
                );
                ask(key, &changed, an_hour_before).await.assert_invalid("signature");
            }
            // Its payload is no JSON.
            "A.4" => answer.assert_invalid("claims_syntax"),
            "A.5" => answer.assert_invalid("algorithm_unknown"),
            "A.6" | "A.7" => answer.assert_malformed("credential_list"),
            "Appendix" => answer.assert_invalid("header_critical"),
            name => panic!("{name}"),
        }
    }
    assert_eq!(vectors.len(), 8);
}

/// (22, 40)
#[tokio::test]
async fn the_tokens_of_rfc_7519_are_refused() {
    let vectors = tests(include_str!("../vectors/rfc7519/examples.json"));
    let [signed, unsecured] = &*vectors else { panic!("two tokens") };
    let token = |vector: &Value| vector["jwt"].as_str().unwrap().to_owned();
    let key = &signed["jwk"];
    ask(key, &token(signed), END).await.assert_invalid("subject_missing");
    // The last second, and the first that is too late.
    ask(key, &token(signed), END + seconds(59)).await.assert_invalid("subject_missing");
    ask(key, &token(signed), END + seconds(60)).await.assert_invalid("expired");
    ask(key, &token(unsecured), END).await.assert_invalid("algorithm_unknown");
}

#[test]
fn thumbprints_are_those_of_rfc_7638_and_rfc_8037() {
    let mut vectors = tests(include_str!("../vectors/rfc7638/thumbprints.json"));
    vectors.extend(tests(include_str!("../vectors/rfc8037/ed25519.json")));
    vectors.retain(|vector| vector.get("thumbprint").is_some());
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let key = VerifyingKey::from_jwk(&vector["jwk"].to_string()).unwrap();
        let thumbprint = key.thumbprint().unwrap().to_base64url();
        assert_eq!(thumbprint, vector["thumbprint"].as_str().unwrap(), "{}", vector["name"]);
        // Names are no part of it.
        assert_eq!(key.with_kid("another").thumbprint().unwrap().to_base64url(), thumbprint);
    }
}

/// (74)
#[test]
fn the_private_key_of_rfc_8037_is_refused() {
    let vectors = tests(include_str!("../vectors/rfc8037/ed25519.json"));
    let error = VerifyingKey::from_jwk(&vectors[0]["jwk"].to_string()).unwrap_err();
    assert_eq!(error.to_string(), "a private key is not accepted: remove its private members, such as `d`");
}
