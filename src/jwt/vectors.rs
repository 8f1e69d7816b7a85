//! Vectors whose payloads are no claims, held against all that stands between a token and its claims.
//!
//! A verifier of bare signatures in the public API would be used where claims must be looked at, so these tests are
//! inside. They go the way that [`Jwt`](super::Jwt) goes: form, header, key by `kid`, algorithm, signature.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};

use super::{jws, source::KeySource, source::StaticKeys, verify::Draft};
use crate::reason::Reason;
use crate::{Eventual, time::UnixTime};

/// Where the vectors are that are not in this repository: the folders `wycheproof` and `rfc7520-cookbook`.
const FOLDER: &str = "TOWER_WARDEN_VECTORS";

/// What Wycheproof's `json_web_signature_test.json` says otherwise, and why.
const OVERRIDES: [(u64, Expected); 8] = [
    // The header says PS384, the key PS256: one key has one algorithm.
    (346, Expected::Refused),
    (350, Expected::Refused),
    // The key says ES521, which is no algorithm.
    (347, Expected::Refused),
    (351, Expected::Refused),
    // Byte for byte the good case 357: the padding that they are about was lost.
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

/// Whether a token that is signed by one of the keys says who signed it.
fn verify(keys: &StaticKeys, token: &str) -> Result<(), Reason> {
    if !jws::is_compact(token) {
        return Err(Reason::CREDENTIAL_NOT_ACCEPTED);
    }
    let (draft, now) = (Draft::read(token)?, UnixTime::default());
    let Eventual::Now(found) = keys.find(&draft.request(now)) else { unreachable!("static keys are at hand") };
    let key = found.expect("static keys are never down").ok_or(Reason::KEY_UNKNOWN)?;
    draft.check_signature(&key, now)
}

/// A key set, from one or from a key; of private keys, the public part.
fn keys(source: &Value) -> Option<StaticKeys> {
    const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
    let mut keys = source.get("keys").map_or_else(|| Some(vec![source.clone()]), |keys| keys.as_array().cloned())?;
    for key in &mut keys {
        key.as_object_mut()?.retain(|name, _| !PRIVATE.contains(&&**name));
    }
    StaticKeys::jwk_set(&json!({ "keys": keys }).to_string()).ok()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A folder of vectors, or a loud word that they are not there. Where the variable is set, they must be.
fn folder(name: &str) -> Option<PathBuf> {
    let told = std::env::var_os(FOLDER);
    let root = told
        .as_ref()
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"), PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(told.is_none(), "{FOLDER} names a folder without {name}");
    eprintln!("NOT RUN: the vectors of {name} are not here; {FOLDER} names the folder that has them");
    None
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the vectors can be read")).expect("they are JSON")
}

/// How many cases came out how.
#[derive(Debug, Default, Eq, PartialEq)]
struct Count {
    refused_keys: usize,
    refused_tokens: usize,
    verified: usize,
}

/// Holds all JWS cases of a file of Wycheproof against what it says.
fn hold(file: &Value, overrides: &BTreeMap<u64, Expected>) -> Count {
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
            let said = if case["result"] == "valid" { Expected::Verified } else { Expected::Refused };
            let expected = overrides.get(&id).copied().unwrap_or(said);
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
fn wycheproof_signatures_come_out_as_they_should() {
    let Some(folder) = folder("wycheproof") else { return };
    let file = read(folder.join("json_web_signature_test.json"));
    let token = |id: u64| {
        let mut cases = file["testGroups"].as_array().into_iter().flatten();
        cases
            .find_map(|group| group["tests"].as_array()?.iter().find(|case| case["tcId"] == id))
            .map(|case| &case["jws"])
    };
    assert!(token(357).is_some() && token(357) == token(367) && token(357) == token(370));
    // 401 cases, 46 of them good; six of those are not, and two others are.
    let expected = Count { refused_keys: 6, refused_tokens: 353, verified: 42 };
    assert_eq!(hold(&file, &OVERRIDES.into()), expected);
}

/// (71, 72, 73)
#[test]
fn wycheproof_keys_come_out_as_they_should() {
    let Some(folder) = folder("wycheproof") else { return };
    let expected = Count { refused_keys: 20, refused_tokens: 1, verified: 5 };
    assert_eq!(hold(&read(folder.join("json_web_key_test.json")), &BTreeMap::new()), expected);
}

#[test]
fn wycheproof_signatures_of_the_older_set_come_out_as_they_should() {
    let Some(folder) = folder("wycheproof") else { return };
    let expected = Count { refused_keys: 2, refused_tokens: 43, verified: 4 };
    assert_eq!(hold(&read(folder.join("json_web_crypto_test.json")), &BTreeMap::new()), expected);
}

/// RFC 7520 §4 and RFC 7797 §4: compact tokens verify. What is detached, in JSON, or signed over a payload that is not
/// encoded does not.
#[test]
fn the_cookbook_comes_out_as_it_should() {
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
        // Of several, the first: a public key and a secret make no set.
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
fn what_the_standards_sign_verifies_and_nothing_else() {
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
    // `none`, and `none` with `crit`; the JSON serialisations.
    let expected = [
        (Ok(()), 5),
        (Err(Reason::ALGORITHM_UNKNOWN), 1),
        (Err(Reason::CREDENTIAL_NOT_ACCEPTED), 2),
        (Err(Reason::HEADER_CRITICAL), 1),
    ];
    assert_eq!(seen, expected.into());
}
