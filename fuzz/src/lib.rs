//! The fuzz targets of the tests, for libFuzzer.
#![allow(dead_code, missing_docs, unreachable_pub)]

#[path = "../../crates/tower-warden-client/tests/suite/fuzz/challenge.rs"]
pub mod challenge;
#[path = "../../tests/suite/fuzz/mod.rs"]
pub mod fuzz;
#[path = "../../crates/tower-warden-client/tests/suite/fuzz/token_response.rs"]
pub mod token_response;

#[path = "../../tests/suite/pki.rs"]
mod pki;
#[path = "../../tests/suite/signed.rs"]
mod signed;
#[path = "../../tests/suite/signing.rs"]
mod signing;
#[path = "../../tests/suite/support.rs"]
mod support;

/// The `main` of a binary that runs the target of its name.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::fuzz::run($name, input));
    };
}
