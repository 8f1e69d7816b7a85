use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::{
    hmac,
    rand::{self, SystemRandom},
    rsa::{self, KeySize, PublicKeyComponents},
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING,
        ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm, RsaEncoding,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::jwt::{Algorithm, VerifyingKey};

/// A key that signs tokens and proofs, with an id.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    algorithm: Algorithm,
    id: String,
    pair: Pair,
    verifying: Arc<VerifyingKey>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
    Rsa(Box<rsa::KeyPair>),
    Secret(Vec<u8>),
}

impl SigningKey {
    /// Generates a key with an id that is unique in the process. RSA keys have 2048 bits, and take a while.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        Self::named(algorithm, format!("test-{}", KEYS.fetch_add(1, Ordering::Relaxed)))
    }

    /// Generates a key with this `kid`.
    #[must_use]
    pub fn named(algorithm: Algorithm, id: impl Into<String>) -> Self {
        Self::of(algorithm, Pair::generate(algorithm), id.into())
    }

    /// Generates a key pair whose `kid` is its thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), as that of an
    /// agent of Web Bot Auth.
    ///
    /// # Panics
    ///
    /// If the algorithm is symmetric.
    #[must_use]
    pub fn named_by_thumbprint(algorithm: Algorithm) -> Self {
        let pair = Pair::generate(algorithm);
        let key = VerifyingKey::from_jwk(&pair.jwk(algorithm, "").to_string());
        let id = key.ok().and_then(|key| Some(key.thumbprint()?.to_base64url()));
        Self::of(algorithm, pair, id.expect("a key pair has a thumbprint"))
    }

    fn of(algorithm: Algorithm, pair: Pair, id: String) -> Self {
        let verifying = match &pair {
            Pair::Secret(secret) => VerifyingKey::hmac(algorithm, secret).map(|key| key.with_kid(&*id)),
            pair => VerifyingKey::from_jwk(&pair.jwk(algorithm, &id).to_string()),
        };
        let verifying = Arc::new(verifying.expect("the key was generated for the algorithm"));
        Self(Arc::new(Inner { algorithm, id, pair, verifying }))
    }

    /// The algorithm of its signatures.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The id: `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The JWK: the public key of a key pair, or the whole symmetric key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        self.0.pair.jwk(self.0.algorithm, &self.0.id)
    }

    /// Signs a message, in the signature format of JWS.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.pair.sign(self.0.algorithm, message)
    }

    /// The key that verifies its signatures.
    #[must_use]
    pub fn verifying_key(&self) -> Arc<VerifyingKey> {
        Arc::clone(&self.0.verifying)
    }
}

/// Its id is the `kid`. Keys for an algorithm that RFC 9421 does not have sign as if it were `ed25519`, which verifiers refuse.
#[cfg(feature = "signature")]
impl crate::signature::MessageKey for SigningKey {
    fn algorithm(&self) -> crate::signature::SignatureAlgorithm {
        crate::signature::SignatureAlgorithm::of(self.0.algorithm)
            .unwrap_or(crate::signature::SignatureAlgorithm::Ed25519)
    }

    fn key_id(&self) -> &str {
        &self.0.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, crate::Unavailable> {
        Ok(Self::sign(self, message))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { algorithm, id, .. } = &*self.0;
        f.debug_struct("SigningKey").field("algorithm", algorithm).field("id", id).finish_non_exhaustive()
    }
}

impl Pair {
    fn generate(algorithm: Algorithm) -> Self {
        let made = "the library generates keys for these algorithms";
        if let Some(curve) = curve(algorithm) {
            return Self::Ecdsa(EcdsaKeyPair::generate(curve).expect(made));
        }
        if let Some(parameters) = ml_dsa(algorithm) {
            return Self::MlDsa(PqdsaKeyPair::generate(parameters).expect(made));
        }
        if rsa(algorithm).is_some() {
            return Self::Rsa(Box::new(rsa::KeyPair::generate(KeySize::Rsa2048).expect(made)));
        }
        if algorithm == Algorithm::EdDSA {
            return Self::Ed25519(Ed25519KeyPair::generate().expect(made));
        }
        let mut secret = vec![0; 64];
        rand::fill(&mut secret).expect("the system provides random bytes");
        Self::Secret(secret)
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let signed = "the library signs with its own keys";
        match self {
            Self::Ecdsa(pair) => pair.sign(&random, message).expect(signed).as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).expect(signed);
                signature.truncate(length);
                signature
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding = rsa(algorithm).expect("an RSA key has an RSA algorithm");
                pair.sign(encoding, &random, message, &mut signature).expect(signed);
                signature
            }
            Self::Secret(secret) => hmac::sign(&hmac::Key::new(keyed(algorithm), secret), message).as_ref().to_vec(),
        }
    }

    fn jwk(&self, algorithm: Algorithm, id: &str) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self {
            Self::Ecdsa(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let curve = match algorithm {
                    Algorithm::ES384 => "P-384",
                    Algorithm::ES512 => "P-521",
                    _ => "P-256",
                };
                json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
            }
            Self::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) }),
            Self::MlDsa(pair) => json!({ "kty": "AKP", "pub": text(pair.public_key().as_ref()) }),
            Self::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
            Self::Secret(secret) => json!({ "kty": "oct", "k": text(secret) }),
        };
        jwk["alg"] = algorithm.as_str().into();
        jwk["kid"] = id.into();
        jwk["use"] = "sig".into();
        jwk
    }
}

fn curve(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::ES512 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    }
}

fn ml_dsa(algorithm: Algorithm) -> Option<&'static PqdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::MlDsa44 => Some(&ML_DSA_44_SIGNING),
        Algorithm::MlDsa65 => Some(&ML_DSA_65_SIGNING),
        Algorithm::MlDsa87 => Some(&ML_DSA_87_SIGNING),
        _ => None,
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::PS256 => Some(&signature::RSA_PSS_SHA256),
        Algorithm::PS384 => Some(&signature::RSA_PSS_SHA384),
        Algorithm::PS512 => Some(&signature::RSA_PSS_SHA512),
        Algorithm::RS256 => Some(&signature::RSA_PKCS1_SHA256),
        Algorithm::RS384 => Some(&signature::RSA_PKCS1_SHA384),
        Algorithm::RS512 => Some(&signature::RSA_PKCS1_SHA512),
        _ => None,
    }
}

fn keyed(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}
