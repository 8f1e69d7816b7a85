//! The cryptographic libraries, each behind a `Verifier` that is prepared once for each key.
//!
//! If both are enabled, `aws-lc-rs` is used. Neither is accessed through a process-wide provider, so features that other
//! crates of the build enable make no difference.

#[cfg(feature = "aws-lc-rs")]
pub(super) use self::aws_lc::Verifier;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) use self::rust_crypto::Verifier;

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod rust_crypto;

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
compile_error!("the feature `jwt` needs a cryptographic library: enable `aws-lc-rs` or `rust-crypto`");
