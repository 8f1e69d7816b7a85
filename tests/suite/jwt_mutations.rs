//! A token that was changed in any way verifies no more, and no bytes make anything panic.

use std::{cell::Cell, iter, sync::OnceLock};

use http::HeaderValue;
use proptest::{prelude::*, sample::Index};
use serde_json::{Map, Value, json};
use tokio_test::block_on;
use tower_warden::{
    Environment, ManualClock,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    layer::AuthLayer,
};

use crate::{
    signing::{SigningKey, decode, encode},
    support::{Answer, App, START, app, bearer, cases, request, send},
};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";

/// A key, what verifies its tokens, and two of them.
struct Bench {
    key: SigningKey,
    app: App,
    token: String,
    other: String,
}

impl Bench {
    fn new(key: SigningKey) -> Self {
        let issuer = Issuer::new(ISSUER, AUDIENCE).unwrap().algorithms([key.algorithm()]).unwrap();
        let jwt = Jwt::new(issuer, StaticKeys::new([key.verifying_key()]).unwrap());
        let app = app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(ManualClock::at(START))));
        let (token, other) = (key.token(&claims("alice")), key.token(&claims("mallory")));
        Self { key, app, token, other }
    }

    /// One for each algorithm.
    fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Bench>> = OnceLock::new();
        ALL.get_or_init(|| SigningKey::all().map(Self::new).collect())
    }

    fn send(&self, token: &str) -> Answer {
        block_on(send(self.app.clone(), bearer(token)))
    }

    #[track_caller]
    fn refuses(&self, token: &str) {
        let answer = self.send(token);
        assert!(matches!(answer.status.as_u16(), 400 | 401), "{} let {token} in: {answer:?}", self.key.algorithm);
    }
}

fn claims(subject: &str) -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": START.as_secs() + 600, "iat": START.as_secs() })
}

#[test]
fn each_algorithm_accepts_what_it_signed() {
    for bench in Bench::all() {
        bench.send(&bench.token).assert_subject("alice");
        bench.send(&bench.other).assert_subject("mallory");
    }
}

/// What may be done to a text.
#[derive(Clone, Debug)]
enum Change {
    Cut(Index, Index),
    Insert(Index, u8),
    Remove(Index),
    Replace(Index, u8),
}

impl Change {
    /// All characters that are seen; a space in front of a token belongs to the scheme.
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Self::Cut(from, to)),
            (any::<Index>(), 0x21..0x7f_u8).prop_map(|(at, byte)| Self::Insert(at, byte)),
            any::<Index>().prop_map(Self::Remove),
            (any::<Index>(), 0x21..0x7f_u8).prop_map(|(at, byte)| Self::Replace(at, byte)),
            // What encodes something else, not nothing.
            (any::<Index>(), "[A-Za-z0-9_-]").prop_map(|(at, text)| Self::Replace(at, text.as_bytes()[0])),
        ]
    }

    fn apply(&self, token: &str) -> String {
        let mut bytes = token.as_bytes().to_vec();
        match self {
            // An earlier change may have removed everything.
            Self::Cut(..) | Self::Remove(_) | Self::Replace(..) if bytes.is_empty() => {}
            Self::Cut(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                bytes.drain(from.min(to)..=from.max(to));
            }
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Self::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// (22, 26, 49)
#[test]
fn a_token_that_was_changed_anywhere_is_refused() {
    proptest!(cases(256), |(index: Index, changes in prop::collection::vec(Change::any(), 1..3))| {
        let bench = index.get(Bench::all());
        let changed = changes.iter().fold(bench.token.clone(), |token, change| change.apply(&token));
        prop_assume!(changed != bench.token);
        bench.refuses(&changed);
    });
}

/// (49) Each byte, in turn: within it, the least bit that base64url has.
#[test]
fn a_token_with_any_byte_changed_is_refused() {
    for bench in Bench::all() {
        // Signatures of ML-DSA have thousands of bytes, and RustCrypto's arithmetic is slow without optimisation.
        let step = if bench.token.len() > 1_000 || cfg!(not(feature = "aws-lc-rs")) { 37 } else { 1 };
        for at in (0..bench.token.len()).step_by(step) {
            let mut changed = bench.token.clone().into_bytes();
            changed[at] = match changed[at] {
                b'A' => b'B',
                b'.' => b'-',
                _ => b'A',
            };
            bench.refuses(std::str::from_utf8(&changed).unwrap());
        }
    }
}

#[test]
fn segments_of_several_tokens_do_not_form_a_token() {
    for bench in Bench::all() {
        let ([header, payload, signature], [_, others, by_other]) = (segments(&bench.token), segments(&bench.other));
        let all = ["", header, payload, signature, others, by_other];
        for first in all {
            for second in all {
                for third in all {
                    let token = format!("{first}.{second}.{third}");
                    if token != bench.token && token != bench.other {
                        bench.refuses(&token);
                    }
                }
            }
        }
    }
}

#[test]
fn concatenated_tokens_do_not_form_a_token() {
    for bench in Bench::all() {
        let (own, other) = (&*bench.token, &*bench.other);
        for glue in ["", ".", "=", "~", ",", " ", "\t", ".."] {
            for (first, second) in [(own, own), (own, other), (own, ""), ("", own)] {
                let joined = format!("{first}{glue}{second}");
                // Spaces after the scheme are legal.
                if joined.trim_start_matches(' ') != own {
                    bench.refuses(&joined);
                }
            }
        }
        for length in (0..own.len()).step_by(own.len() / 16) {
            bench.refuses(&own[..length]);
            bench.refuses(&own[own.len() - length..]);
        }
    }
}

/// (26, 27, 28) What arithmetic might take for the same number.
#[test]
fn signatures_of_another_form_are_refused() {
    for bench in Bench::all() {
        let [header, payload, signature] = segments(&bench.token);
        let good = decode(signature);
        let (length, half) = (good.len(), good.len() / 2);
        let mut forms = vec![
            vec![],
            vec![0; length],
            vec![0xff; length],
            [&[0], &*good].concat(),
            [&*good, &[0]].concat(),
            [&*good, &good].concat(),
            good[1..].to_vec(),
            good[..length - 1].to_vec(),
            [&good[half..], &good[..half]].concat(),
            [&vec![0; half], &good[half..]].concat(),
            [&good[..half], &vec![0; length - half]].concat(),
            good.iter().rev().copied().collect(),
            good.iter().map(|byte| !byte).collect(),
        ];
        // As certificates have it, and with the halves as long as those of other curves.
        forms.push(der(&good[..half], &good[half..]));
        forms.push([&[0], &good[..half], &[0], &good[half..]].concat());
        // S + L, which is the same number modulo the order of Ed25519's group: RFC 8032 §5.1.7 wants the least.
        if bench.key.algorithm() == Algorithm::EdDSA {
            forms.push([&good[..32], &add(&good[32..], &ED25519_ORDER)].concat());
        }
        for form in forms {
            assert_ne!(form, good);
            bench.refuses(&format!("{header}.{payload}.{}", encode(form)));
        }
    }
}

/// (22, 23, 25) One key's token under every other name, and under every other key.
#[test]
fn a_token_under_the_name_or_the_key_of_another_algorithm_is_refused() {
    let all = Bench::all();
    let names = crate::signing::ALGORITHMS.into_iter().chain(["none", "nOnE", "", "HS1", "RS1", "ES256K", "Ed448"]);
    for bench in all {
        for name in names.clone() {
            let header = json!({ "alg": name }).to_string();
            let token = bench.key.token_of(header.as_bytes(), claims("alice").to_string().as_bytes());
            if Algorithm::from_name(name) == Some(bench.key.algorithm()) {
                bench.send(&token).assert_subject("alice");
            } else {
                bench.refuses(&token);
                bench.refuses(&format!("{}.", token.rsplit_once('.').unwrap().0));
            }
        }
        for other in all.iter().filter(|other| !std::ptr::eq(*other, bench)) {
            other.refuses(&bench.token);
        }
    }
}

/// What is signed well reaches all that reads it, and yet nothing panics.
#[test]
fn signed_arbitrary_bytes_cause_no_panic() {
    let bench = Bench::all().iter().find(|bench| bench.key.algorithm == "HS256").unwrap();
    let good = claims("alice").to_string();
    proptest!(cases(256), |(header: Vec<u8>, payload: Vec<u8>)| {
        bench.refuses(&bench.key.token_of(&header, &payload));
        bench.refuses(&bench.key.token_of(&header, good.as_bytes()));
        bench.refuses(&bench.key.token_of(br#"{"alg":"HS256"}"#, &payload));
    });
    // Text that was right once.
    proptest!(cases(256), |(changes in prop::collection::vec(Change::any(), 1..4))| {
        let change = |text: &str| changes.iter().fold(text.to_owned(), |text, change| change.apply(&format!("{text} ")));
        let header = change(r#"{"alg":"HS256","kid":"1","typ":"at+jwt"}"#);
        bench.send(&bench.key.token_of(header.as_bytes(), good.as_bytes()));
        bench.send(&bench.key.token_of(br#"{"alg":"HS256"}"#, change(&good).as_bytes()));
    });
}

/// (33, 37, 38, 40, 42, 43, 61)
#[test]
fn signed_arbitrary_claims_cause_no_panic_and_no_other_identity() {
    const NAMES: [&str; 27] = [
        "iss",
        "aud",
        "sub",
        "exp",
        "iat",
        "nbf",
        "jti",
        "act",
        "cnf",
        "scope",
        "scp",
        "scopes",
        "client_id",
        "azp",
        "appid",
        "cid",
        "sid",
        "acr",
        "auth_time",
        "nonce",
        "at_hash",
        "events",
        "crit",
        "typ",
        "kid",
        "alg",
        "b64",
    ];
    let bench = Bench::all().iter().find(|bench| bench.key.algorithm == "HS256").unwrap();
    let members = || prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..4);
    let let_in = Cell::new(0);
    proptest!(cases(2_000), |(header in members(), payload in members())| {
        let with = |mut base: Value, members: Vec<(&str, Value)>| {
            base.as_object_mut().unwrap().extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
            base.to_string()
        };
        let (header, payload) = (with(json!({ "alg": "HS256" }), header), with(claims("alice"), payload));
        let answer = bench.send(&bench.key.token_of(header.as_bytes(), payload.as_bytes()));
        let (header, payload): (Value, Value) = (header.parse().unwrap(), payload.parse().unwrap());
        if answer.status.as_u16() == 200 {
            let_in.set(let_in.get() + 1);
            let audiences = payload["aud"].as_array().cloned().unwrap_or_else(|| vec![payload["aud"].clone()]);
            prop_assert!(audiences.contains(&AUDIENCE.into()));
            prop_assert_eq!(&payload["iss"], ISSUER);
            prop_assert!(payload["exp"].as_f64().is_some_and(|end| end + 60.0 > START.as_secs() as f64));
            prop_assert!(payload.get("nbf").is_none_or(|nbf| nbf.is_number() || nbf.is_null()));
            prop_assert!(header.get("crit").is_none() && header.get("b64").is_none() && payload.get("cnf").is_none());
            prop_assert_eq!(&answer.body, payload["sub"].as_str().unwrap());
        } else {
            prop_assert_eq!(answer.status.as_u16(), 401);
        }
    });
    // Otherwise it would be no test.
    assert!((100..1_900).contains(&let_in.get()), "{let_in:?}");
}

/// (55) Not a token at all.
#[test]
fn arbitrary_text_after_the_scheme_causes_no_panic() {
    let bench = &Bench::all()[0];
    let byte = prop_oneof![4 => 0x21..0x7f_u8, 1 => Just(b'.'), 1 => any::<u8>()];
    proptest!(cases(256), |(bytes in prop::collection::vec(byte, 0..200))| {
        let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &*bytes].concat()) else { return Ok(()) };
        let answer = block_on(send(bench.app.clone(), request().header("authorization", value)));
        prop_assert!(matches!(answer.status.as_u16(), 400 | 401), "{:?}", answer);
    });
}

/// (69, 72, 73, 74) Keys are read from a network: whatever comes, nothing panics.
#[test]
fn arbitrary_keys_cause_no_panic() {
    const NAMES: [&str; 18] = [
        "kty", "crv", "x", "y", "n", "e", "k", "pub", "alg", "kid", "use", "key_ops", "d", "priv", "x5c", "x5t", "oth",
        "keys",
    ];
    let jwks: Vec<_> = Bench::all().iter().map(|bench| bench.key.jwk()).collect();
    proptest!(cases(256), |(text: String, bytes: Vec<u8>)| {
        let _ = VerifyingKey::from_jwk(&text);
        let _ = StaticKeys::from_jwk_set(&text);
        for algorithm in Algorithm::DEFAULT {
            prop_assert!(VerifyingKey::from_der(algorithm, &bytes).is_err());
            prop_assert!(VerifyingKey::from_pem(algorithm, &text).is_err());
        }
    });
    let members = prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..3);
    let changes = prop::collection::vec(Change::any(), 0..3);
    proptest!(cases(1_000), |(index: Index, members in members, changes in changes)| {
        let mut jwk = index.get(&jwks).clone();
        jwk.as_object_mut().unwrap().extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let text = changes.iter().fold(jwk.to_string(), |text, change| change.apply(&format!("{text} ")));
        let _ = VerifyingKey::from_jwk(&text);
        let _ = StaticKeys::from_jwk_set(&format!(r#"{{"keys":[{text}]}}"#));
    });
    // As certificates have it: a sequence of an identifier and bits.
    proptest!(cases(256), |(changes in prop::collection::vec(Change::any(), 1..4), text: String)| {
        for pem in [PEM_ED25519, PEM_P256] {
            let changed = changes.iter().fold(pem.to_owned(), |text, change| change.apply(&text));
            for algorithm in Algorithm::DEFAULT {
                let _ = VerifyingKey::from_pem(algorithm, &changed);
            }
        }
        let _ = VerifyingKey::from_der(Algorithm::RS256, text.as_bytes());
    });
}

/// JSON of any kind, mostly small, with times and names that count among it.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..4_000_i64).prop_map(|offset| Value::from(i64::try_from(START.as_secs()).unwrap() - 2_000 + offset)),
        prop::sample::select(&[ISSUER, AUDIENCE, "", "HS256", "at+jwt", "Ed25519", "P-521", "AQAB", "\0", "a b"][..])
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop_oneof![Just("sub".to_owned()), Just("jkt".to_owned()), ".{0,6}"], inner), 0..4)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// An ECDSA signature as RFC 3279 §2.2.3 has it.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let sequence = |tag: u8, content: &[u8]| {
        let length = match content.len() {
            length @ ..128 => vec![length as u8],
            length @ ..256 => vec![0x81, length as u8],
            length => vec![0x82, (length >> 8) as u8, length as u8],
        };
        [&[tag], &*length, content].concat()
    };
    let integer = |bytes: &[u8]| {
        let bytes: Vec<_> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        sequence(2, &if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { [&[0], &*bytes].concat() } else { bytes })
    };
    sequence(0x30, &[integer(r), integer(s)].concat())
}

/// The sum of two numbers, least byte first.
fn add(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let sums = iter::zip(one, other).map(|(one, other)| {
        let sum = u16::from(*one) + u16::from(*other) + carry;
        carry = sum >> 8;
        sum as u8
    });
    sums.collect()
}

/// L of RFC 8032 §5.1, least byte first.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

const PEM_ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEABdh9L7n4kXBQOmupva5Ez570gQwWrUb1OcdmaSnTGtc=
-----END PUBLIC KEY-----
";

const PEM_P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnBZXiWrfPRLA9R4ffRIDhhbR6nQ0
uNPckflCroDPqgAQ9FIk//FNPzH7Qzwu1KDv32/IRATE6nR5exK25R1Pbw==
-----END PUBLIC KEY-----
";
