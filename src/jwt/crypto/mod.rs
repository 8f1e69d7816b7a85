//! The libraries that do the arithmetic, each behind a `Verifier` that is prepared once for each key.
//!
//! With both, `aws-lc-rs` is used. Neither is asked through a provider that the process shares: what other crates in
//! the graph switch on makes no difference here.

#[cfg(feature = "aws-lc-rs")]
pub(super) use self::aws_lc::Verifier;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) use self::rust_crypto::Verifier;

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod rust_crypto;

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
compile_error!("the feature `jwt` needs a library for signatures: `aws-lc-rs`, or `rust-crypto`");
