use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::{self, SystemRandom},
    rsa::{self, KeySize, PublicKeyComponents},
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair, RsaEncoding,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tower_warden::{ConfigError, Digest, jwt::Algorithm};
use zeroize::Zeroizing;

use crate::{TokenError, TokenErrorKind};

/// A private key that signs client assertions and proofs. Clones are the same key.
///
/// It is for one algorithm: ES256, ES384, EdDSA (Ed25519), or RS256, RS384, RS512, PS256, PS384 or PS512.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_client::PrivateKey;
///
/// let key = PrivateKey::generate(Algorithm::ES256)?.with_kid("2026-11");
/// assert!(key.public_jwk().contains(r#""crv":"P-256""#));
/// assert!(!key.public_jwk().contains(r#""d":"#), "it is the public key only");
///
/// assert!(PrivateKey::generate(Algorithm::HS256).is_err());
/// assert!(PrivateKey::from_pem(Algorithm::ES256, b"not a key").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct PrivateKey {
    algorithm: Algorithm,
    kid: Option<Arc<str>>,
    pair: Arc<Pair>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<rsa::KeyPair>),
}

impl PrivateKey {
    /// Reads a key in PEM: PKCS #8, or the older forms of EC and RSA keys.
    ///
    /// # Errors
    ///
    /// If the text is not a key for this algorithm, or the key is encrypted.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| unread(pem))?;
        let bytes = der.secret_der();
        let pair = if let Some(curve) = curve(algorithm) {
            Pair::Ecdsa(
                match der {
                    PrivateKeyDer::Pkcs8(_) => EcdsaKeyPair::from_pkcs8(curve, bytes),
                    _ => EcdsaKeyPair::from_private_key_der(curve, bytes),
                }
                .map_err(|_| refused())?,
            )
        } else if rsa_encoding(algorithm).is_some() {
            let pair = match der {
                PrivateKeyDer::Pkcs8(_) => rsa::KeyPair::from_pkcs8(bytes),
                _ => rsa::KeyPair::from_der(bytes),
            };
            Pair::Rsa(Box::new(pair.map_err(|_| refused())?))
        } else if algorithm == Algorithm::EdDSA {
            Pair::Ed25519(Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| refused())?)
        } else {
            return Err(unsupported(algorithm));
        };
        Ok(Self::of(algorithm, pair))
    }

    /// Generates a key. RSA keys have 2048 bits, and take a while.
    ///
    /// # Errors
    ///
    /// If the algorithm is not one of those above, or if the system's random generator fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        let failed = |_| ConfigError::custom("the system's random generator failed");
        let pair = if let Some(curve) = curve(algorithm) {
            Pair::Ecdsa(EcdsaKeyPair::generate(curve).map_err(failed)?)
        } else if rsa_encoding(algorithm).is_some() {
            Pair::Rsa(Box::new(rsa::KeyPair::generate(KeySize::Rsa2048).map_err(failed)?))
        } else if algorithm == Algorithm::EdDSA {
            Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?)
        } else {
            return Err(unsupported(algorithm));
        };
        Ok(Self::of(algorithm, pair))
    }

    /// Refuses algorithms that no key has.
    pub(crate) fn check(algorithm: Algorithm) -> Result<(), ConfigError> {
        let is_known = curve(algorithm).is_some() || rsa_encoding(algorithm).is_some() || algorithm == Algorithm::EdDSA;
        if is_known { Ok(()) } else { Err(unsupported(algorithm)) }
    }

    /// Sets the id, `kid`, by which the server finds the public key.
    #[must_use]
    pub fn with_kid(mut self, kid: &str) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// The id, `kid`, if it is set.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm of its signatures.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The thumbprint of the public key ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        // RFC 7638 §3: the members in alphabetical order.
        let members = self.required_members();
        let mut names: Vec<_> = members.as_object().into_iter().flatten().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let members: Vec<_> = names.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        Digest::of(format!("{{{}}}", members.join(",")).as_bytes())
    }

    /// The public key as a JWK in JSON ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)), to be registered with the
    /// server.
    #[must_use]
    pub fn public_jwk(&self) -> String {
        let mut jwk = self.required_members();
        jwk["alg"] = self.algorithm.as_str().into();
        jwk["use"] = "sig".into();
        if let Some(kid) = &self.kid {
            jwk["kid"] = (**kid).into();
        }
        jwk.to_string()
    }
}

impl PrivateKey {
    fn of(algorithm: Algorithm, pair: Pair) -> Self {
        Self { algorithm, kid: None, pair: Arc::new(pair) }
    }

    /// The members of RFC 7638 §3.2, which a thumbprint is made of.
    pub(crate) fn required_members(&self) -> Value {
        match &*self.pair {
            Pair::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == Algorithm::ES384 { "P-384" } else { "P-256" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) }),
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": encode(&n), "e": encode(&e) })
            }
        }
    }

    /// Signs a JWT. `alg` is added to the header, and `kid` unless the header has the key itself.
    pub(crate) fn sign_jwt(&self, mut header: Value, claims: &Value) -> Result<Zeroizing<String>, TokenError> {
        header["alg"] = self.algorithm.as_str().into();
        if let Some(kid) = self.kid.as_ref().filter(|_| header.get("jwk").is_none()) {
            header["kid"] = (**kid).into();
        }
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.sign(signed.as_bytes())?;
        Ok(Zeroizing::new(format!("{signed}.{}", encode(&signature))))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let failed = |_| TokenError::new(TokenErrorKind::Unavailable, "the library failed to sign");
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let encoding = rsa_encoding(self.algorithm).expect("an RSA key has an RSA algorithm");
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A unique id, for `jti`.
pub(crate) fn unique_id() -> Result<String, TokenError> {
    let mut bytes = [0; 16];
    let failed = |_| TokenError::new(TokenErrorKind::Unavailable, "the system's random generator failed");
    rand::fill(&mut bytes).map_err(failed)?;
    Ok(encode(&bytes))
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn curve(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => None,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
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

/// The error for a text that is no PEM of a private key, or one of an encrypted key: RFC 7468 §11, or the older form.
fn unread(pem: &[u8]) -> ConfigError {
    let text = String::from_utf8_lossy(pem);
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return ConfigError::custom(
            "a private key is not encrypted: decrypt it with `openssl pkey -in FILE -out FILE`",
        );
    }
    refused()
}

const fn refused() -> ConfigError {
    ConfigError::custom("a private key is one in PEM, of the type that its algorithm needs")
}

fn unsupported(algorithm: Algorithm) -> ConfigError {
    ConfigError::custom("a client signs with ES256, ES384, EdDSA, or RSA").value(algorithm)
}
