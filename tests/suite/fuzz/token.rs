//! Signed tokens of arbitrary bytes.

use std::sync::LazyLock;

use serde_json::Value;
use tower_warden::{
    Environment, ManualClock,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys},
    layer::AuthLayer,
};

use super::{block_on, check_uniform, send};
use crate::{
    signing::SigningKey,
    support::{App, START, app, bearer},
};

static BENCH: LazyLock<(SigningKey, App)> = LazyLock::new(|| {
    let key = SigningKey::generate("HS256");
    let issuer =
        Issuer::new("https://issuer.test", "https://api.test").unwrap().algorithms([Algorithm::HS256]).unwrap();
    let issuer = issuer.tenant_claim("org").roles_claim("/realm/roles").tier_claim("plan");
    let jwt = Jwt::new(issuer, StaticKeys::new([key.verifying_key()]).unwrap());
    let app = app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(ManualClock::at(START))));
    (key, app)
});

/// A line with the header of a token, and its payload.
pub fn run(input: &[u8]) -> bool {
    let (key, app) = &*BENCH;
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (header, payload) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let answer = block_on(send(app, bearer(&key.token_of(header, payload))));
    check_uniform("token", &answer);
    if answer.status != 200 {
        return false;
    }
    let parse = |text| serde_json::from_slice::<Value>(text).expect("an admitted token is JSON");
    let (header, payload) = (parse(header), parse(payload));
    assert_eq!(header["alg"], "HS256");
    assert!(["crit", "b64"].iter().all(|name| header.get(name).is_none()), "{header}");
    let kind = header["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(!kind.contains("dpop") && !kind.contains("logout"), "{header}");
    let audiences = payload["aud"].as_array().cloned().unwrap_or_else(|| vec![payload["aud"].clone()]);
    assert!(audiences.contains(&"https://api.test".into()), "{payload}");
    assert_eq!(payload["iss"], "https://issuer.test");
    assert_eq!(payload["sub"], *answer.body);
    let now = START.as_secs() as f64;
    assert!(payload["exp"].as_f64().is_some_and(|end| end + 60.0 > now), "{payload}");
    assert!(payload["nbf"].as_f64().is_none_or(|begin| begin - 60.0 <= now), "{payload}");
    assert!(payload["iat"].as_f64().is_none_or(|begin| begin - 60.0 <= now), "{payload}");
    // Bound to a key or a certificate that nobody has shown.
    assert!(payload.get("cnf").is_none_or(Value::is_null), "{payload}");
    true
}
