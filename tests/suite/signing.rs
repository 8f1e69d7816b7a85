//! Tokens of whatever bytes, signed by keys of each algorithm.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_warden::{
    jwt::{Algorithm, VerifyingKey},
    testing,
};

/// What each is called in a header; Ed25519 has two names.
pub const ALGORITHMS: [&str; 17] = [
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
    "RS384",
    "RS512",
];

/// A key without a `kid`, and how its tokens call its algorithm.
pub struct SigningKey {
    pub algorithm: &'static str,
    key: testing::SigningKey,
}

impl SigningKey {
    pub fn generate(algorithm: &'static str) -> Self {
        Self { algorithm, key: testing::SigningKey::generate(Algorithm::from_name(algorithm).unwrap()) }
    }

    /// One for each algorithm that this build can verify: RustCrypto's libraries know no ML-DSA.
    pub fn all() -> impl Iterator<Item = Self> {
        let names = ALGORITHMS.into_iter();
        names.filter(|name| cfg!(feature = "aws-lc-rs") || !name.starts_with("ML")).map(Self::generate)
    }

    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    pub fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk();
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_jwk(&self.jwk().to_string()).unwrap()
    }

    /// A token of these claims, under a header that names the algorithm and nothing else.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of(json!({ "alg": self.algorithm }).to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A signed token of whatever bytes.
    pub fn token_of(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}
