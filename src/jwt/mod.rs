//! JWT access tokens: verified as RFC 7515, RFC 7519, RFC 8725 and RFC 9068 demand.

pub use self::{
    algorithm::Algorithm,
    builder::JwtBuilder,
    issuer::Issuer,
    key::VerifyingKey,
    source::{KeyRequest, KeySource, StaticKeys},
    verify::Jwt,
};

#[cfg(feature = "introspection")]
pub(crate) use self::{claims::Claims, jws::is_compact};

mod algorithm;
mod builder;
mod claims;
mod crypto;
mod issuer;
mod jwk;
mod jws;
mod key;
mod material;
mod source;
mod verify;

/// How long the name of a key may be, in bytes.
const LONGEST_KEY_ID: usize = 256;
