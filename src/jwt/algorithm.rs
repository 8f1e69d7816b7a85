use std::fmt;

/// A signature algorithm of JWS ([RFC 7518 §3](https://www.rfc-editor.org/rfc/rfc7518#section-3),
/// [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037), [RFC 9864](https://www.rfc-editor.org/rfc/rfc9864)).
///
/// `none` is not one of them. An algorithm is a property of a key; the header of a token must name the algorithm of its key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519, under its names `EdDSA` ([RFC 8037](https://www.rfc-editor.org/rfc/rfc8037)) and `Ed25519`
    /// ([RFC 9864](https://www.rfc-editor.org/rfc/rfc9864)).
    EdDSA,
    /// HMAC with SHA-256, for secrets that only the issuer and this server know.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// ML-DSA-44 of FIPS 204; needs `aws-lc-rs`.
    MlDsa44,
    /// ML-DSA-65; needs `aws-lc-rs`.
    MlDsa65,
    /// ML-DSA-87; needs `aws-lc-rs`.
    MlDsa87,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
}

/// The type of key that an algorithm needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyType {
    /// A point on the curve with this JWK name, and the length of its coordinates in bytes.
    Ec(&'static str, usize),
    Ed25519,
    /// A secret, and its minimum length in bytes.
    Hmac(usize),
    /// A public key, and its length in bytes.
    MlDsa(usize),
    Rsa,
}

impl Algorithm {
    /// The algorithms that are accepted by default: RS256, PS256, ES256 and EdDSA.
    pub const DEFAULT: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];

    /// The algorithms of JWT-SVIDs.
    pub(super) const SVID: [Self; 9] = [
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
    ];

    /// The algorithm with this `alg` name, compared byte for byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::Algorithm;
    ///
    /// assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDSA));
    /// assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::EdDSA));
    /// assert_eq!(Algorithm::from_name("none"), None);
    /// assert_eq!(Algorithm::from_name("rs256"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "Ed25519" | "EdDSA" => Self::EdDSA,
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            "ML-DSA-44" => Self::MlDsa44,
            "ML-DSA-65" => Self::MlDsa65,
            "ML-DSA-87" => Self::MlDsa87,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            _ => return None,
        })
    }

    /// The `alg` name in headers and keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
        }
    }

    /// Returns whether issuer and server share a secret key.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self.key_type(), KeyType::Hmac(_))
    }

    pub(super) const fn key_type(self) -> KeyType {
        match self {
            Self::ES256 => KeyType::Ec("P-256", 32),
            Self::ES384 => KeyType::Ec("P-384", 48),
            Self::ES512 => KeyType::Ec("P-521", 66),
            Self::EdDSA => KeyType::Ed25519,
            // RFC 7518 §3.2: a key is at least as long as the hash.
            Self::HS256 => KeyType::Hmac(32),
            Self::HS384 => KeyType::Hmac(48),
            Self::HS512 => KeyType::Hmac(64),
            // FIPS 204, table 2.
            Self::MlDsa44 => KeyType::MlDsa(1312),
            Self::MlDsa65 => KeyType::MlDsa(1952),
            Self::MlDsa87 => KeyType::MlDsa(2592),
            Self::PS256 | Self::PS384 | Self::PS512 | Self::RS256 | Self::RS384 | Self::RS512 => KeyType::Rsa,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
