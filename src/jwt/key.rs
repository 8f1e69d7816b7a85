#[cfg(feature = "signature")]
use std::time::Duration;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    algorithm::{Algorithm, KeyType},
    crypto::Verifier,
    jwk::{self, Origin},
    key_material::KeyMaterial,
};
use crate::{
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
    time::UnixTime,
};

/// A key that verifies signatures of exactly one algorithm, prepared when it is created.
///
/// Weak keys are refused: RSA keys have 2048 to 8192 bits, points are on their curve, and secret keys are at least as long as
/// the hash ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::{Algorithm, VerifyingKey};
///
/// let key = VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...")?.with_kid("2026-11");
/// assert_eq!(format!("{key:?}"), r#"VerifyingKey { algorithm: HS256, kid: Some("2026-11"), .. }"#);
///
/// // Too short; and a public key in the place of a secret.
/// assert!(VerifyingKey::hmac(Algorithm::HS256, b"hunter2").is_err());
/// let pem = b"\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";
/// assert!(VerifyingKey::hmac(Algorithm::HS256, pem).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub struct VerifyingKey {
    kid: Option<Box<str>>,
    /// The `x5t` and `x5t#S256` of the key's certificate.
    certificates: Vec<Box<str>>,
    algorithm: Algorithm,
    /// The only issuer of a key set for several ones that signs with the key; `{tenantid}` in it stands for any tenant.
    issuer: Option<Box<str>>,
    /// A digest, which is never disclosed for a secret key.
    thumbprint: Digest,
    verifier: Verifier,
    /// The second from which on the key is not used. It is atomic, and shared with cached tokens through their `Arc` of the
    /// key, so that a key that leaves its set invalidates them at once.
    expires_at: AtomicU64,
    times: KeyTimes,
}

/// The times between which the holder of a key signs with it, as its directory states them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct KeyTimes {
    pub(super) not_before: Option<UnixTime>,
    /// The second from which on the holder does not use the key.
    pub(super) expires: Option<UnixTime>,
}

impl VerifyingKey {
    pub(super) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, &'static str> {
        material.check(algorithm)?;
        let verifier = Verifier::new(algorithm, material)
            .ok_or("the cryptographic library does not accept the key, or does not support its algorithm")?;
        let thumbprint = material.thumbprint(algorithm);
        let expires_at = AtomicU64::new(u64::MAX);
        Ok(Self {
            kid: None,
            certificates: Vec::new(),
            algorithm,
            issuer: None,
            thumbprint,
            verifier,
            expires_at,
            times: KeyTimes::default(),
        })
    }

    /// Parses a `SubjectPublicKeyInfo` in DER, the form of public keys in certificates
    /// ([RFC 5280 §4.1.2.7](https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.7)).
    ///
    /// # Errors
    ///
    /// If it is not one, or its key does not fit the algorithm.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, ConfigError> {
        check_has_encoding(algorithm)?;
        KeyMaterial::from_der(algorithm, der).and_then(|material| Self::new(algorithm, &material)).map_err(refused)
    }

    /// Parses a JWK ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)): a public key, or a secret key of type `oct`.
    ///
    /// A key without `alg` is used with the algorithm of its type; RS256 for RSA. A secret key needs `alg`. Times (`exp`, `nbf`) are
    /// ignored.
    ///
    /// # Errors
    ///
    /// If it is not a JWK, is a private key, does not permit verification, or has an unsupported type.
    pub fn from_jwk(json: &str) -> Result<Self, ConfigError> {
        jwk::read(json, Origin::Local, Algorithm::RS256).map_err(refused)
    }

    /// Parses a JWK as [`from_jwk`](Self::from_jwk) does, an RSA key without `alg` for this algorithm.
    #[cfg(feature = "signature")]
    pub(crate) fn from_jwk_for(rsa: Algorithm, json: &str) -> Result<Self, ConfigError> {
        jwk::read(json, Origin::Local, rsa).map_err(refused)
    }

    /// Parses a public key in PEM, with the label `PUBLIC KEY` or `RSA PUBLIC KEY`.
    ///
    /// # Errors
    ///
    /// If it is not one, or does not fit the algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, ConfigError> {
        check_has_encoding(algorithm)?;
        KeyMaterial::from_pem(algorithm, pem).and_then(|material| Self::new(algorithm, &material)).map_err(refused)
    }

    /// Creates a key from a secret that only the issuer and this server know.
    ///
    /// # Errors
    ///
    /// If the algorithm is not symmetric, or the secret is shorter than the algorithm's hash, or is a key in PEM, which may
    /// be public.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        if !algorithm.is_symmetric() {
            let message = "a secret key is used with HS256, HS384 or HS512";
            return Err(refused(message).value(algorithm));
        }
        Self::new(algorithm, &KeyMaterial::Secret(secret.to_vec().into())).map_err(refused)
    }

    /// Sets the `kid`, by which tokens refer to the key. See [`StaticKeys`](super::StaticKeys) for keys without one.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<Box<str>>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Adds a thumbprint of the key's certificate in base64url, `x5t` or `x5t#S256`, by which tokens refer to the key. It is used
    /// where thumbprints are accepted: see [`StaticKeys::accept_certificate_thumbprints`].
    ///
    /// [`StaticKeys::accept_certificate_thumbprints`]: super::StaticKeys::accept_certificate_thumbprints
    #[must_use]
    pub fn with_certificate_thumbprint(mut self, thumbprint: impl Into<Box<str>>) -> Self {
        self.certificates.push(thumbprint.into());
        self
    }

    /// Retires the key: it verifies nothing from now on, and cached tokens that it verified are not used again.
    ///
    /// Custom implementations of [`KeySource`](super::KeySource) call this when a key is withdrawn.
    pub fn retire(&self) {
        self.use_until(UnixTime::default());
    }

    /// The only algorithm that the key is used with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The SHA-256 thumbprint of the JWK ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), which identifies a public
    /// key whatever its encoding.
    ///
    /// `None` for a secret key, because a thumbprint would disclose information about it
    /// ([RFC 7638 §7](https://www.rfc-editor.org/rfc/rfc7638#section-7)).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::jwt::VerifyingKey;
    ///
    /// // RFC 8037 appendix A.3.
    /// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// let thumbprint = VerifyingKey::from_jwk(jwk)?.thumbprint().map(|digest| digest.to_base64url());
    /// assert_eq!(thumbprint.as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    ///
    /// let secret = r#"{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}"#;
    /// assert_eq!(VerifyingKey::from_jwk(secret)?.thumbprint(), None);
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn thumbprint(&self) -> Option<&Digest> {
        (!self.algorithm.is_symmetric()).then_some(&self.thumbprint)
    }
}

impl VerifyingKey {
    /// A digest by which records name the key, also a secret one, from which nothing about a random secret can be found out.
    #[cfg(feature = "signature")]
    pub(crate) fn fingerprint(&self) -> Digest {
        match self.thumbprint() {
            Some(thumbprint) => *thumbprint,
            None => Digest::of(&[b"tower-warden signature key v1\n", &self.thumbprint.as_bytes()[..]].concat()),
        }
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }

    /// Returns whether the key is in its set, and the set is not too old.
    pub(crate) fn is_usable(&self, now: UnixTime) -> bool {
        now.as_secs() < self.expires_at.load(Ordering::Acquire)
    }

    /// Sets the issuer that the JWK names.
    pub(super) fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The issuer that the JWK names.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Sets the times that a directory states.
    #[cfg(all(feature = "jwks", feature = "signature"))]
    pub(super) const fn with_times(mut self, times: KeyTimes) -> Self {
        self.times = times;
        self
    }

    /// Returns whether the directory of the key states that it is used only later; the clocks may differ.
    #[cfg(feature = "signature")]
    pub(crate) fn is_of_future(&self, now: UnixTime, skew: Duration) -> bool {
        self.times.not_before.is_some_and(|time| now + skew < time)
    }

    /// Returns whether the directory of the key states that it is not used any more; the clocks may differ.
    #[cfg(feature = "signature")]
    pub(crate) fn is_expired(&self, now: UnixTime, skew: Duration) -> bool {
        self.times.expires.is_some_and(|time| time + skew <= now)
    }

    /// Returns whether the key has left its set.
    pub(super) fn is_retired(&self) -> bool {
        self.expires_at.load(Ordering::Acquire) == UnixTime::default().as_secs()
    }

    /// The key is not used until its set is fetched again, whatever the clock shows.
    #[cfg(feature = "jwks")]
    pub(super) fn expire(&self) {
        self.use_until(EXPIRED);
    }

    pub(crate) fn use_until(&self, expires_at: UnixTime) {
        self.expires_at.store(expires_at.as_secs(), Ordering::Release);
    }

    /// Returns whether a certificate of the key has this thumbprint.
    pub(super) fn has_certificate(&self, thumbprint: &str) -> bool {
        self.certificates.iter().any(|known| **known == *thumbprint)
    }

    /// Returns whether any certificate of the key is known.
    pub(super) const fn has_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// Returns whether a token may refer to the key by this text.
    #[cfg(feature = "jwks")]
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.kid() == Some(name) || self.has_certificate(name)
    }

    /// Returns whether two keys are equal except for the lifetime of their sets and their certificates.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.kid(), self.algorithm, self.issuer(), self.thumbprint, self.times)
            == (other.kid(), other.algorithm, other.issuer(), other.thumbprint, other.times)
    }

    /// Returns whether two keys are the same one, perhaps with other names.
    pub(super) fn has_material_of(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint
    }

    /// Returns whether the certificates of two keys are equal.
    #[cfg(feature = "jwks")]
    pub(super) fn has_same_certificates(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("VerifyingKey");
        text.field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Public keys in PEM and DER exist for these types only.
fn check_has_encoding(algorithm: Algorithm) -> Result<(), ConfigError> {
    match algorithm.key_type() {
        KeyType::Ec(..) | KeyType::Ed25519 | KeyType::Rsa => Ok(()),
        KeyType::Hmac(_) | KeyType::MlDsa(_) => {
            Err(refused("a key in PEM or DER is used with an algorithm of RSA, ECDSA or Ed25519").value(algorithm))
        }
    }
}

fn refused(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::VerifyingKey, message)
}

/// The end of keys that have expired. A key that was retired has another one.
#[cfg(feature = "jwks")]
const EXPIRED: UnixTime = UnixTime::from_secs(1);
