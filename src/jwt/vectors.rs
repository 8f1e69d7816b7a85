//! Tests with vectors whose payloads are not claims: everything before the check of the claims.
//!
//! The public API has no verification of bare signatures, which would invite skipping the claims, so these tests are
//! internal. They take the same steps as [`Jwt`](super::Jwt): form, header, key by `kid`, algorithm, signature.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};

use super::{
    jws,
    source::{KeySource, StaticKeys},
    unverified::UnverifiedToken,
};
use crate::{
    Eventual,
    reason::Reason,
    time::{Arrival, UnixTime},
};

/// The folder of vectors that are not in this repository: `wycheproof` and `rfc7520-cookbook`.
const FOLDER: &str = "TOWER_WARDEN_VECTORS";

/// Cases of Wycheproof's `json_web_signature_test.json` with another expected outcome, and why.
const OVERRIDES: [(u64, Expected); 8] = [
    // The header names PS384, the key PS256: a key has one algorithm.
    (346, Expected::Refused),
    (350, Expected::Refused),
    // The key names ES521, which is not an algorithm.
    (347, Expected::Refused),
    (351, Expected::Refused),
    // Byte for byte the valid case 357: the padding that they test was lost.
    (367, Expected::Verified),
    (370, Expected::Verified),
    // A question mark in base64url.
    (372, Expected::Refused),
    (373, Expected::Refused),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    Refused,
    Verified,
}

/// Verifies a token with the key that it names.
fn verify(keys: &StaticKeys, token: &str) -> Result<(), Reason> {
    if !jws::is_compact(token) {
        return Err(Reason::CREDENTIAL_NOT_ACCEPTED);
    }
    let (token, now) = (UnverifiedToken::parse(token)?, UnixTime::default());
    let Eventual::Now(found) = keys.find(&token.key_request(Arrival { now, steady: now })) else {
        unreachable!("static keys are found at once")
    };
    let key = found.expect("static keys are always available").ok_or(Reason::KEY_UNKNOWN)?;
    token.check_signature(&key, now).map_err(|fault| fault.reason)
}

/// A key set, from a set or from one key; private members are removed.
fn keys(source: &Value) -> Option<StaticKeys> {
    const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
    let mut keys = source.get("keys").map_or_else(|| Some(vec![source.clone()]), |keys| keys.as_array().cloned())?;
    for key in &mut keys {
        key.as_object_mut()?.retain(|name, _| !PRIVATE.contains(&&**name));
    }
    StaticKeys::from_jwk_set(&json!({ "keys": keys }).to_string()).ok()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A folder of vectors, or `None` with a message if the variable is not set.
fn folder(name: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os(FOLDER) else {
        eprintln!("NOT RUN: the vectors of {name} are missing; {FOLDER} names the folder that contains them");
        return None;
    };
    let folder = PathBuf::from(root).join(name);
    assert!(folder.is_dir(), "{FOLDER} names a folder without {name}");
    Some(folder)
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the vectors can be read")).expect("they are JSON")
}

/// The number of cases by outcome.
#[derive(Debug, Default, Eq, PartialEq)]
struct Count {
    refused_keys: usize,
    refused_tokens: usize,
    verified: usize,
}

/// Compares the outcome of all JWS cases of a file of Wycheproof with the expected one.
fn check_cases(file: &Value, overrides: &BTreeMap<u64, Expected>) -> Count {
    let (mut count, mut wrong) = (Count::default(), Vec::new());
    for group in file["testGroups"].as_array().expect("groups") {
        let keys = keys(group.get("public").unwrap_or_else(|| &group["private"]));
        for case in group["tests"].as_array().expect("cases") {
            let (Some(token), Some(id)) = (case.get("jws"), case["tcId"].as_u64()) else { continue };
            let outcome = keys.as_ref().map(|keys| verify(keys, &text(token)));
            *match outcome {
                None => &mut count.refused_keys,
                Some(Err(_)) => &mut count.refused_tokens,
                Some(Ok(())) => &mut count.verified,
            } += 1;
            let documented = if case["result"] == "valid" { Expected::Verified } else { Expected::Refused };
            let expected = overrides.get(&id).copied().unwrap_or(documented);
            if (outcome == Some(Ok(()))) != (expected == Expected::Verified) {
                wrong.push(format!("{id} {}: {outcome:?}, expected {expected:?}", case["comment"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    count
}

/// (22, 23, 25, 26, 27, 30, 31, 48, 49)
#[test]
fn wycheproof_signatures_have_the_expected_outcomes() {
    let Some(folder) = folder("wycheproof") else { return };
    let file = read(folder.join("json_web_signature_test.json"));
    let token = |id: u64| {
        let mut cases = file["testGroups"].as_array().into_iter().flatten();
        cases
            .find_map(|group| group["tests"].as_array()?.iter().find(|case| case["tcId"] == id))
            .map(|case| &case["jws"])
    };
    assert!(token(357).is_some() && token(357) == token(367) && token(357) == token(370));
    // 401 cases, 46 of them valid; six of those are refused here, and two others are accepted.
    let expected = Count { refused_keys: 6, refused_tokens: 353, verified: 42 };
    assert_eq!(check_cases(&file, &OVERRIDES.into()), expected);
}

/// (71, 72, 73)
#[test]
fn wycheproof_keys_have_the_expected_outcomes() {
    let Some(folder) = folder("wycheproof") else { return };
    let expected = Count { refused_keys: 20, refused_tokens: 1, verified: 5 };
    assert_eq!(check_cases(&read(folder.join("json_web_key_test.json")), &BTreeMap::new()), expected);
}

#[test]
fn wycheproof_signatures_of_the_older_set_have_the_expected_outcomes() {
    let Some(folder) = folder("wycheproof") else { return };
    let expected = Count { refused_keys: 2, refused_tokens: 43, verified: 4 };
    assert_eq!(check_cases(&read(folder.join("json_web_crypto_test.json")), &BTreeMap::new()), expected);
}

/// RFC 7520 §4 and RFC 7797 §4: compact tokens verify. Detached content, JSON serializations and unencoded payloads do
/// not.
#[test]
fn the_cookbook_has_the_expected_outcomes() {
    let Some(folder) = folder("rfc7520-cookbook") else { return };
    let expected = [
        ("jws/4_1.rsa_v15_signature.json", Ok(())),
        ("jws/4_2.rsa-pss_signature.json", Ok(())),
        ("jws/4_3.ecdsa_signature.json", Ok(())),
        ("jws/4_4.hmac-sha2_integrity_protection.json", Ok(())),
        ("jws/4_5.signature_with_detached_content.json", Err(Reason::SIGNATURE)),
        ("jws/4_6.protecting_specific_header_fields.json", Err(Reason::CREDENTIAL_NOT_ACCEPTED)),
        ("jws/4_7.protecting_content_only.json", Err(Reason::CREDENTIAL_NOT_ACCEPTED)),
        ("jws/4_8.multiple_signatures.json", Err(Reason::CREDENTIAL_NOT_ACCEPTED)),
        ("curve25519/jws.json", Ok(())),
        ("rfc7797/4.2.hmac-sha2_b64_false.json", Err(Reason::CREDENTIAL_NOT_ACCEPTED)),
        ("rfc7797/hmac-sha2_b64_false.json", Err(Reason::TOKEN_ENCODING)),
    ];
    for (name, expected) in expected {
        let case = read(folder.join(name));
        // The first of several: a public key and a secret key cannot form a set.
        let first = |value: &Value| value.get(0).unwrap_or(value).clone();
        let mut key = first(&case["input"]["key"]);
        if key.get("alg").is_none() {
            key["alg"] = first(&case["input"]["alg"]);
        }
        let output = case["output"].get("compact").unwrap_or_else(|| &case["output"]["json"]);
        let keys = keys(&key).unwrap_or_else(|| panic!("{name} has keys"));
        assert_eq!(verify(&keys, &text(output)), expected, "{name}");
    }
}

/// RFC 7515 appendices A and E, RFC 8037 appendix A.4.
#[test]
fn examples_of_the_standards_verify_and_their_variants_do_not() {
    let vectors = |name| read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name));
    let (first, second) = (vectors("rfc7515/appendix_a.json"), vectors("rfc8037/ed25519.json"));
    let cases = first["tests"].as_array().into_iter().chain(second["tests"].as_array()).flatten();
    let mut seen = BTreeMap::new();
    for case in cases.filter(|case| case.get("thumbprint").is_none()) {
        let token = text(case.get("jws").unwrap_or_else(|| &case["jws_json"]));
        let mut key = case.get("jwk").unwrap_or_else(|| &first["tests"][0]["jwk"]).clone();
        if key["kty"] == "oct" {
            key["alg"] = "HS256".into();
        }
        let outcome = verify(&keys(&key).expect("a key"), &token);
        assert_eq!(outcome.is_ok(), case["result"] == "valid", "{}: {outcome:?}", case["name"]);
        *seen.entry(outcome).or_insert(0) += 1;
    }
    // `none`, and `none` with `crit`; the JSON serializations.
    let expected = [
        (Ok(()), 5),
        (Err(Reason::ALGORITHM_UNKNOWN), 1),
        (Err(Reason::CREDENTIAL_NOT_ACCEPTED), 2),
        (Err(Reason::HEADER_CRITICAL), 1),
    ];
    assert_eq!(seen, expected.into());
}
