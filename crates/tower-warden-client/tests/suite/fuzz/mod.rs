//! Fuzz targets: functions of arbitrary bytes, which fail if a promise of the crate is broken. `fuzz/` compiles them for
//! libFuzzer; here, they run over a few inputs and their mutations.

#![allow(unreachable_pub, reason = "the crate of the fuzz targets uses them")]

use proptest::{collection::vec, prelude::*, sample::select};

pub mod challenge;
pub mod token_response;

const CHALLENGES: [&str; 4] = [
    r#"Negotiate abc==, DPoP algs="ES\"256", Bearer error = "x" , scope=a,Basic"#,
    "Bearer realm=\"a, b\", error=\"insufficient_scope\", scope=\"a b\"\nDPoP error=use_dpop_nonce",
    r#"DPoP algs="ES256 PS256",error=invalid_token,resource_metadata="https://api.example/x?y=z""#,
    "NTLM, Digest qop=auth , , Bearer",
];

const RESPONSES: [&str; 5] = [
    r#" {"access_token":"abcdefghijkl","token_type":"Bearer","expires_in":3600,"scope":"a b"}"#,
    r#" {"access_token":"abcdefghijkl","token_type":"bearer","expires_in":"60","refresh_token":"xyz"}"#,
    r#"!{"error":"invalid_grant","error_description":"abcdefghijkl"}"#,
    r#" {"access_token":"abcdefghijkl","token_type":"DPoP","expires_in":-1e400}"#,
    " <html></html>",
];

/// A text with a part that is replaced by letters that matter to parsers.
fn mutated(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let letters = select(&br#"ab= ,"\{}:;[]0-e.~/+_x"#[..]);
    (select(texts), any::<prop::sample::Index>(), 0_usize..9, vec(prop_oneof![4 => letters, 1 => any::<u8>()], 0..9))
        .prop_map(|(text, start, length, part)| {
            let mut bytes = text.as_bytes().to_vec();
            let start = start.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, part);
            bytes
        })
}

#[test]
fn some_inputs_are_accepted_and_some_are_not() {
    assert!(CHALLENGES.iter().all(|text| challenge::run(text.as_bytes())));
    assert!(!challenge::run(b"=\n,"));
    assert!(RESPONSES[..2].iter().all(|text| token_response::run(text.as_bytes())));
    assert!(!RESPONSES[2..].iter().any(|text| token_response::run(text.as_bytes())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn challenges_mean_what_is_read_of_them(input in mutated(&CHALLENGES)) {
        challenge::run(&input);
    }

    #[test]
    fn a_token_is_one_that_the_response_contains(input in mutated(&RESPONSES)) {
        token_response::run(&input);
    }

    #[test]
    fn arbitrary_bytes_cause_no_panic(input in vec(any::<u8>(), 0..200)) {
        challenge::run(&input);
        token_response::run(&input);
    }
}
