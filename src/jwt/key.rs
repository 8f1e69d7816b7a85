use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    algorithm::Algorithm,
    crypto::Verifier,
    jwk::{self, Origin},
    material::Material,
};
use crate::{
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
    time::UnixTime,
};

/// A key that verifies signatures of exactly one algorithm, prepared when it is made.
///
/// Public keys of RSA have 2048 to 8192 bits, points lie on their curves, and secrets have at least the size of the hash
/// (RFC 7518 §3.2): others cannot be made.
///
/// ```
/// use tower_warden::jwt::{Algorithm, VerifyingKey};
///
/// let key = VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...")?.id("2026-11");
/// assert_eq!(format!("{key:?}"), r#"VerifyingKey { algorithm: HS256, id: Some("2026-11"), .. }"#);
///
/// // Too short, and the public key of somebody else as a secret.
/// assert!(VerifyingKey::hmac(Algorithm::HS256, b"hunter2").is_err());
/// let pem = b"\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";
/// assert!(VerifyingKey::hmac(Algorithm::HS256, pem).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub struct VerifyingKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    material: Digest,
    verifier: Verifier,
    /// The second from which on it must not be used.
    ends: AtomicU64,
}

impl VerifyingKey {
    pub(super) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, &'static str> {
        material.check(algorithm)?;
        let verifier = Verifier::new(algorithm, material).ok_or("key_not_usable")?;
        Ok(Self { id: None, algorithm, material: material.digest(), verifier, ends: AtomicU64::new(u64::MAX) })
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) in DER, as the public keys of certificates are written.
    ///
    /// # Errors
    ///
    /// If it is none, or a key that does not fit the algorithm.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, ConfigError> {
        Material::from_der(algorithm, der).and_then(|material| Self::new(algorithm, &material)).map_err(refused)
    }

    /// Reads a JWK (RFC 7517), which may be a secret of kind `oct` too.
    ///
    /// What a key without `alg` is used for follows from its kind: RS256 for RSA. A secret needs an `alg`.
    ///
    /// # Errors
    ///
    /// If it is none, a private key, not meant for verification, or of a kind that is not understood.
    pub fn from_jwk(json: &str) -> Result<Self, ConfigError> {
        jwk::read(json, Origin::Local, Algorithm::RS256).map_err(refused)
    }

    /// Reads a public key in PEM: `PUBLIC KEY`, or `RSA PUBLIC KEY`.
    ///
    /// # Errors
    ///
    /// If it is none, or a key that does not fit the algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, ConfigError> {
        Material::from_pem(algorithm, pem).and_then(|material| Self::new(algorithm, &material)).map_err(refused)
    }

    /// Takes a secret that only the issuer and this server know.
    ///
    /// # Errors
    ///
    /// If the algorithm is not symmetric, the secret is shorter than the algorithm's hash, or it is a key in PEM: what
    /// is public is no secret.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        Self::new(algorithm, &Material::Secret(secret.to_vec().into())).map_err(refused)
    }

    /// Names it, for tokens whose `kid` says so. See [`StaticKeys`](super::StaticKeys) for keys without a name.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Retires it: from now on it verifies nothing, and tokens that it has verified and that are cached are verified
    /// anew. For a [`KeySource`](super::KeySource) of your own; those of this crate do so themselves.
    pub fn retire(&self) {
        self.use_until(UnixTime::default());
    }

    /// What it is used for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name, the `kid`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl VerifyingKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }

    /// Whether it is in its set, and the set not too old.
    pub(crate) fn is_usable(&self, now: UnixTime) -> bool {
        now.as_secs() < self.ends.load(Ordering::Acquire)
    }

    pub(crate) fn use_until(&self, end: UnixTime) {
        self.ends.store(end.as_secs(), Ordering::Release);
    }

    /// Whether two are the same in all but their lifetime.
    #[cfg(feature = "jwks")]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.id.as_deref(), self.algorithm, self.material) == (other.id.as_deref(), other.algorithm, other.material)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("VerifyingKey");
        text.field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}

fn refused(why: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::VerifyingKey, why)
}
