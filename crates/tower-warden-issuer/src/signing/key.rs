use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{self, KeySize, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tower_warden::{
    ConfigError, Digest, Unavailable,
    jwt::{Algorithm, VerifyingKey},
};
use zeroize::Zeroizing;

/// A private key that signs access tokens. Clones are the same key.
///
/// It is for one algorithm: ES256, EdDSA (Ed25519) or RS256. Its `kid` is its thumbprint
/// ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), so it is the same after a restart.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_issuer::SigningKey;
///
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// assert!(key.public_jwk().contains(key.kid()));
/// assert!(!key.public_jwk().contains(r#""d":"#), "it is the public key only");
///
/// assert!(SigningKey::generate(Algorithm::HS256).is_err());
/// assert!(SigningKey::from_pem(Algorithm::ES256, b"not a key").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    algorithm: Algorithm,
    jwk: Value,
    kid: String,
    pair: Pair,
    verifying: Arc<VerifyingKey>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<rsa::KeyPair>),
}

impl SigningKey {
    /// Reads a key in PEM: PKCS #8, or the older forms of EC and RSA keys.
    ///
    /// # Errors
    ///
    /// If the text is not a key for this algorithm, or the key is encrypted.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| unread(pem))?;
        Self::from_der(algorithm, der.secret_der(), matches!(der, PrivateKeyDer::Pkcs8(_)))
    }

    /// Generates a key. RSA keys have 2048 bits, and take a while.
    ///
    /// # Errors
    ///
    /// If the algorithm is not one of those above, or the system's random generator fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        let pair = match algorithm {
            Algorithm::ES256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Ecdsa),
            Algorithm::EdDSA => Ed25519KeyPair::generate().map(Pair::Ed25519),
            Algorithm::RS256 => rsa::KeyPair::generate(KeySize::Rsa2048).map(|pair| Pair::Rsa(Box::new(pair))),
            _ => return Err(unsupported(algorithm)),
        };
        Self::of(algorithm, pair.map_err(|_| ConfigError::custom("the system's random generator failed"))?)
    }

    /// The algorithm of its signatures.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The id: the thumbprint of the public key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The public key as a JWK in JSON ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
    #[must_use]
    pub fn public_jwk(&self) -> String {
        self.0.jwk.to_string()
    }
}

impl SigningKey {
    /// Fails for algorithms of which there are no keys.
    pub(super) fn check(algorithm: Algorithm) -> Result<(), ConfigError> {
        match algorithm {
            Algorithm::ES256 | Algorithm::EdDSA | Algorithm::RS256 => Ok(()),
            _ => Err(unsupported(algorithm)),
        }
    }

    pub(super) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, ConfigError> {
        Self::from_der(algorithm, der, true)
    }

    fn from_der(algorithm: Algorithm, bytes: &[u8], is_pkcs8: bool) -> Result<Self, ConfigError> {
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = match (algorithm, is_pkcs8) {
            (Algorithm::ES256, true) => EcdsaKeyPair::from_pkcs8(curve, bytes).map(Pair::Ecdsa),
            (Algorithm::ES256, false) => EcdsaKeyPair::from_private_key_der(curve, bytes).map(Pair::Ecdsa),
            (Algorithm::EdDSA, _) => Ed25519KeyPair::from_pkcs8(bytes).map(Pair::Ed25519),
            (Algorithm::RS256, true) => rsa::KeyPair::from_pkcs8(bytes).map(|pair| Pair::Rsa(Box::new(pair))),
            (Algorithm::RS256, false) => rsa::KeyPair::from_der(bytes).map(|pair| Pair::Rsa(Box::new(pair))),
            _ => return Err(unsupported(algorithm)),
        };
        Self::of(algorithm, pair.map_err(|_| malformed())?)
    }

    /// The private key in PKCS #8.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        let copy = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        let der = match &self.0.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|document| copy(document.as_ref())),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|document| copy(document.as_ref())),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map(|document| copy(document.as_ref())),
        };
        der.map_err(|_| Unavailable::new("the library that signs"))
    }

    fn of(algorithm: Algorithm, pair: Pair) -> Result<Self, ConfigError> {
        let mut jwk = pair.required_members();
        // The members of `Value` are in the order of their names, as RFC 7638 §3 requires.
        let kid = Digest::of(jwk.to_string().as_bytes()).to_base64url();
        jwk["alg"] = algorithm.as_str().into();
        jwk["kid"] = kid.as_str().into();
        jwk["use"] = "sig".into();
        let verifying = Arc::new(VerifyingKey::from_jwk(&jwk.to_string())?);
        Ok(Self(Arc::new(Inner { algorithm, jwk, kid, pair, verifying })))
    }

    pub(super) fn jwk(&self) -> &Value {
        &self.0.jwk
    }

    pub(super) fn verifying_key(&self) -> &Arc<VerifyingKey> {
        &self.0.verifying
    }

    /// Signs a JWT of this type.
    pub(crate) fn sign_jwt(&self, kind: &str, claims: &Value) -> Result<String, Unavailable> {
        let header = json!({ "alg": self.0.algorithm.as_str(), "kid": self.0.kid, "typ": kind });
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.0.pair.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { algorithm, kid, .. } = &*self.0;
        f.debug_struct("SigningKey").field("algorithm", algorithm).field("kid", kid).finish_non_exhaustive()
    }
}

impl Pair {
    fn required_members(&self) -> Value {
        match self {
            Self::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(pair) => json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) }),
            Self::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "e": encode(&e), "kty": "RSA", "n": encode(&n) })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        let failed = |_| Unavailable::new("the library that signs");
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok().map(Zeroizing::new)
}

/// Generates a key on a thread that may block: an RSA key takes a while.
pub(super) async fn generate(algorithm: Algorithm) -> Result<SigningKey, ConfigError> {
    let generated = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
    generated.unwrap_or_else(|_| Err(ConfigError::custom("the task that generates a key has ended")))
}

/// The error for a text that is no PEM of a private key, or one of an encrypted key: RFC 7468 §11, or the older form.
fn unread(pem: &[u8]) -> ConfigError {
    let text = String::from_utf8_lossy(pem);
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return ConfigError::custom(
            "a signing key is not encrypted: decrypt it with `openssl pkey -in FILE -out FILE`",
        );
    }
    malformed()
}

fn malformed() -> ConfigError {
    ConfigError::custom("a signing key is one in PEM, of the type that its algorithm needs")
}

fn unsupported(algorithm: Algorithm) -> ConfigError {
    ConfigError::custom("access tokens are signed with ES256, EdDSA or RS256").value(algorithm)
}
