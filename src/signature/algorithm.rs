use std::fmt;

use crate::jwt::Algorithm;

/// A signature algorithm of HTTP Message Signatures ([RFC 9421 §3.3](https://www.rfc-editor.org/rfc/rfc9421#section-3.3)).
///
/// The algorithm is a property of a key: a [`VerifyingKey`](crate::jwt::VerifyingKey) has exactly one. A signature whose
/// parameter `alg` names another one is refused.
///
/// # Examples
///
/// ```
/// use tower_warden::{jwt::Algorithm, signature::SignatureAlgorithm};
///
/// let algorithm = SignatureAlgorithm::of(Algorithm::PS512).expect("a key for RSASSA-PSS with SHA-512");
/// assert_eq!(algorithm.as_str(), "rsa-pss-sha512");
/// assert_eq!(SignatureAlgorithm::of(Algorithm::PS256), None);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// `ecdsa-p256-sha256`: keys for [`ES256`](Algorithm::ES256).
    EcdsaP256Sha256,
    /// `ecdsa-p384-sha384`: keys for [`ES384`](Algorithm::ES384).
    EcdsaP384Sha384,
    /// `ed25519`: keys for [`EdDSA`](Algorithm::EdDSA).
    Ed25519,
    /// `hmac-sha256`: keys for [`HS256`](Algorithm::HS256).
    HmacSha256,
    /// `rsa-pss-sha512`: keys for [`PS512`](Algorithm::PS512).
    RsaPssSha512,
    /// `rsa-v1_5-sha256`: keys for [`RS256`](Algorithm::RS256).
    RsaV15Sha256,
}

impl SignatureAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 6] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
        Self::HmacSha256,
        Self::RsaPssSha512,
        Self::RsaV15Sha256,
    ];

    /// The algorithm of keys for an algorithm of JOSE; `None` if RFC 9421 has none.
    #[must_use]
    pub const fn of(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::ES256 => Self::EcdsaP256Sha256,
            Algorithm::ES384 => Self::EcdsaP384Sha384,
            Algorithm::EdDSA => Self::Ed25519,
            Algorithm::HS256 => Self::HmacSha256,
            Algorithm::PS512 => Self::RsaPssSha512,
            Algorithm::RS256 => Self::RsaV15Sha256,
            _ => return None,
        })
    }

    /// The value of the parameter `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::Ed25519 => "ed25519",
            Self::HmacSha256 => "hmac-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    /// Returns whether a signature can be changed into another valid one of the same message without the key: `(r, s)` into
    /// `(r, n - s)`.
    pub(super) const fn is_malleable(self) -> bool {
        matches!(self, Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
