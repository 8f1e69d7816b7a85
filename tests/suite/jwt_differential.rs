//! The same tokens to `jsonwebtoken::decode`, set up as strictly as it goes: where both should agree they do, and where
//! they differ it is written down.

use std::{cell::Cell, time::Duration};

use jsonwebtoken::{DecodingKey, Validation, decode, jwk::Jwk};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use tokio_test::block_on;
use tower_warden::{
    Clock, Environment, ManualClock, SystemClock,
    jwt::{Issuer, Jwt, StaticKeys},
    layer::AuthLayer,
};

use crate::{
    signing::{ALGORITHMS, SigningKey, encode},
    support::{Answer, App, app, bearer, send},
};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const DAY: i64 = 24 * 60 * 60;

/// Both verifiers of one key's tokens, with as much skew as we allow. The other one has no clock but the machine's: ours
/// stands where that stood, and no time in a token is within minutes of a limit.
struct Bench {
    key: SigningKey,
    ours: App,
    theirs: (DecodingKey, Validation),
    now: i64,
}

impl Bench {
    fn new(algorithm: &'static str) -> Self {
        // Where another test of this process was first, so much the better.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let (key, now) = (SigningKey::generate(algorithm), SystemClock::default().now());
        let issuer = Issuer::new(ISSUER, AUDIENCE).unwrap().algorithms([key.algorithm()]).unwrap();
        let issuer = issuer.skew(Duration::from_secs(300)).unwrap();
        let jwt = Jwt::new(issuer, StaticKeys::new([key.verifying_key()]).unwrap());
        let ours = app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(ManualClock::at(now))));
        let jwk: Jwk = serde_json::from_value(key.jwk()).unwrap();
        let mut validation = Validation::new(algorithm.parse().unwrap());
        validation.leeway = 300;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
        Self { key, ours, theirs: (DecodingKey::from_jwk(&jwk).unwrap(), validation), now: now.as_secs().cast_signed() }
    }

    fn ours(&self, token: &str) -> Answer {
        block_on(send(self.ours.clone(), bearer(token)))
    }

    fn theirs(&self, token: &str) -> bool {
        decode::<Value>(token, &self.theirs.0, &self.theirs.1).is_ok()
    }

    fn header(&self) -> Value {
        json!({ "alg": self.key.algorithm })
    }

    fn claims(&self) -> Value {
        json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": self.now + 600 })
    }
}

/// Those that the other one knows.
fn algorithms() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.into_iter().filter(|name| !matches!(*name, "ES512" | "Ed25519") && !name.starts_with("ML"))
}

/// What a token may be signed by.
#[derive(Clone, Copy, Debug)]
enum Signed {
    ByAnother,
    Not,
    Well,
}

/// A claim or a header parameter: there with a value, or not.
type Member = (&'static str, Option<Value>);

fn member(name: &'static str, values: Vec<Value>) -> impl Strategy<Value = Member> {
    let right = values[0].clone();
    // Mostly right, so that what is wrong is mostly the only thing that is.
    prop_oneof![
        20 => Just((name, Some(right))),
        1 => Just((name, None)),
        3 => select(values).prop_map(move |value| (name, Some(value))),
    ]
}

fn claims(now: i64) -> impl Strategy<Value = Vec<Member>> {
    let both = json!([AUDIENCE, "https://other.example"]);
    let audiences = vec![
        json!(AUDIENCE),
        json!([AUDIENCE]),
        both,
        json!(["https://other.example"]),
        json!("https://api.example/"),
        json!([]),
        json!({}),
        json!(null),
        json!(["x", 1]),
        json!([AUDIENCE, 1]),
    ];
    let issuers = vec![
        json!(ISSUER),
        json!("https://issuer.example/"),
        json!("HTTPS://issuer.example"),
        json!({}),
        json!(5),
        json!(null),
    ];
    let ends = vec![
        json!(now + 600),
        json!(now + DAY / 2),
        json!(now as f64 + 600.5),
        json!(now - 600),
        json!(now - 150),
        json!((now + 600).to_string()),
        json!(null),
        json!(-1),
        json!(0),
        json!(1e300),
        json!([now + 600]),
        json!(true),
    ];
    let starts =
        vec![json!(now - 600), json!(now + 150), json!(now + 600), json!("0"), json!(now as f64 - 0.5), json!(-1.5)];
    (
        member("iss", issuers),
        member("aud", audiences),
        member("sub", vec![json!("alice"), json!(5), json!(null), json!(["alice"])]),
        member("exp", ends),
        member("nbf", starts),
        member("iat", vec![json!(now - 600), json!(now - 60)]),
        member("scope", vec![json!("a b"), json!(5), json!(["a"])]),
    )
        .prop_map(|(a, b, c, d, e, f, g)| vec![a, b, c, d, e, f, g])
}

fn with(mut base: Value, members: Vec<Member>) -> Value {
    let object = base.as_object_mut().unwrap();
    for (name, value) in members {
        match value {
            Some(value) => drop(object.insert(name.to_owned(), value)),
            None => drop(object.remove(name)),
        }
    }
    base
}

#[test]
fn both_verifiers_agree_where_they_should() {
    for algorithm in algorithms() {
        let bench = Bench::new(algorithm);
        let other = SigningKey::generate(algorithm);
        let (both, neither) = (Cell::new(0), Cell::new(0));
        let headers = (
            member("alg", vec![json!(algorithm), json!("HS256"), json!("RS256"), json!("none"), json!(null), json!(7)]),
            member("typ", vec![json!("JWT"), json!("at+jwt"), json!("application/at+jwt"), json!("jwt"), json!(7)]),
        );
        let signed =
            select(&[Signed::Well, Signed::Well, Signed::Well, Signed::Well, Signed::ByAnother, Signed::Not][..]);
        proptest!(crate::support::cases(256), |((alg, typ) in headers, claims in claims(bench.now), signed in signed)| {
            let header = with(bench.header(), vec![alg, typ]).to_string();
            let claims = with(bench.claims(), claims).to_string();
            let token = match signed {
                Signed::ByAnother => other.token_of(header.as_bytes(), claims.as_bytes()),
                Signed::Not => format!("{}.{}.", encode(&header), encode(&claims)),
                Signed::Well => bench.key.token_of(header.as_bytes(), claims.as_bytes()),
            };
            let (ours, theirs) = (bench.ours(&token), bench.theirs(&token));
            prop_assert_eq!(ours.status.as_u16() == 200, theirs, "{} {}: {:?}", header, claims, ours.reason);
            let count = if theirs { &both } else { &neither };
            count.set(count.get() + 1);
        });
        // Otherwise it would be no test.
        assert!(both.get() > 10 && neither.get() > 10, "{algorithm}: {both:?} {neither:?}");
    }
}

/// What we refuse and the other one does not.
#[test]
fn cases_in_which_this_crate_is_stricter_are_listed() {
    for algorithm in ["ES256", "HS256", "RS256"] {
        let bench = Bench::new(algorithm);
        let now = bench.now;
        let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        let headers = [
            ("crit", json!(["exp"]), "header_critical"),
            ("crit", json!([]), "header_critical"),
            ("b64", json!(false), "header_critical"),
            ("b64", json!(true), "header_critical"),
            ("typ", json!("dpop+jwt"), "token_type"),
            ("typ", json!("logout+jwt"), "token_type"),
            ("typ", json!("secevent+jwt"), "token_type"),
            ("typ", json!(""), "token_type"),
            ("kid", json!(null), "header_type"),
            ("kid", json!("k".repeat(257)), "kid_too_long"),
        ];
        let claims = [
            ("iss", json!([ISSUER]), "claim_type"),
            ("exp", json!(now + 2 * DAY), "lifetime"),
            ("exp", json!(u64::MAX), "lifetime"),
            ("iat", json!(now - 2 * DAY), "lifetime"),
            ("iat", json!(now + 600), "issued_in_future"),
            ("iat", json!("yesterday"), "claim_type"),
            ("sub", json!(""), "subject_missing"),
            ("jti", json!(5), "claim_type"),
            ("sid", json!(5), "claim_type"),
            ("client_id", json!(5), "claim_type"),
            ("azp", json!(AUDIENCE), "id_token"),
            ("nonce", json!("n"), "id_token"),
            ("at_hash", json!("h"), "id_token"),
            ("events", json!({}), "token_type"),
            ("act", json!("agent"), "claim_type"),
            ("act", json!({}), "actor_subject"),
            ("cnf", json!({}), "confirmation"),
            ("cnf", json!({ "kid": "7" }), "confirmation"),
            ("cnf", json!({ "jkt": thumbprint }), "key_proof_missing"),
        ];
        let refuses = |token: &str, reason: &str| {
            bench.ours(token).assert_invalid(reason);
            assert!(bench.theirs(token), "{algorithm} {reason}");
        };
        let (header, payload) = (bench.header(), bench.claims());
        let sign = |header: &Value, claims: &Value| {
            bench.key.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes())
        };
        for (name, value, reason) in headers {
            refuses(&sign(&with(header.clone(), vec![(name, Some(value))]), &payload), reason);
        }
        for (name, value, reason) in claims {
            refuses(&sign(&header, &with(payload.clone(), vec![(name, Some(value))])), reason);
        }
        let twice = |object: &Value| format!(r#"{},"x":1,"x":2}}"#, object.to_string().strip_suffix('}').unwrap());
        refuses(&bench.key.token_of(twice(&header).as_bytes(), payload.to_string().as_bytes()), "header_syntax");
        refuses(&bench.key.token_of(header.to_string().as_bytes(), twice(&payload).as_bytes()), "claims_syntax");
        let deep = (0..40).fold(json!(0), |inner, _| json!([inner]));
        refuses(&sign(&header, &with(payload.clone(), vec![("deep", Some(deep))])), "claims_syntax");
    }
}

/// What the other one refuses and we do not.
#[test]
fn cases_in_which_this_crate_supports_more_are_listed() {
    let bench = Bench::new("EdDSA");
    let renamed = with(bench.header(), vec![("alg", Some(json!("Ed25519")))]);
    // RFC 8725 §3.10: never used, so never looked at.
    let unused = with(bench.header(), vec![("jku", Some(json!(5))), ("x5c", Some(json!("none")))]);
    for header in [renamed, unused] {
        let token = bench.key.token_of(header.to_string().as_bytes(), bench.claims().to_string().as_bytes());
        bench.ours(&token).assert_subject("alice");
        assert!(!bench.theirs(&token), "{header}");
    }
    // `null` is the same as none.
    let claims = with(bench.claims(), vec![("nbf", Some(json!(null)))]);
    let token = bench.key.token_of(bench.header().to_string().as_bytes(), claims.to_string().as_bytes());
    bench.ours(&token).assert_subject("alice");
    assert!(!bench.theirs(&token));
}
