use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{keys::PayloadKeys, proof::PayloadProof};
use crate::{
    caller::Confirmation,
    digest::Digest,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    signature::payload::PayloadKey,
};

/// Secrets that are derived from a master secret, and stored nowhere.
///
/// The secret of an API key is the HMAC-SHA-256 of the digest in its record. See the [module docs](super) for an example.
#[derive(Clone)]
pub struct DerivedSecrets(Vec<Hmac<Sha256>>);

impl DerivedSecrets {
    /// Derives secrets from this master secret.
    ///
    /// # Errors
    ///
    /// If it has fewer than 32 bytes.
    pub fn new(master: &[u8]) -> Result<Self, ConfigError> {
        Self(Vec::new()).or(master)
    }

    /// Accepts secrets that were derived from an older master secret as well; new ones are not derived from it.
    ///
    /// # Errors
    ///
    /// If it has fewer than 32 bytes, or is the fourth.
    pub fn or(mut self, master: &[u8]) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::PayloadSignature, message);
        if master.len() < 32 {
            return Err(refused("a master secret has at least 32 bytes"));
        }
        if self.0.len() == 3 {
            return Err(refused("secrets are derived from up to three master secrets"));
        }
        self.0.push(Hmac::new_from_slice(master).expect("HMAC takes a key of any length"));
        Ok(self)
    }

    /// Derives the secret of an API key with this name, and the binding for its record.
    ///
    /// The name is unique to the API key, such as its owner and the date, and need not be secret: keys with one name have one
    /// secret.
    #[must_use]
    pub fn derive(&self, name: &str) -> (Confirmation, DerivedSecret) {
        let binding = Digest::of(name.as_bytes());
        let newest = self.0.first().expect("`new` adds one");
        (Confirmation::new(PayloadProof::METHOD, binding), DerivedSecret::new(newest, &binding))
    }
}

impl PayloadKeys for DerivedSecrets {
    fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Unavailable> {
        Ok(self.0.iter().map(|master| DerivedSecret::new(master, thumbprint).key()).collect())
    }
}

impl fmt::Debug for DerivedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedSecrets(..)")
    }
}

/// The secret of an API key, to be shown once to its owner.
///
/// It is erased from memory when dropped, and its [`Debug`](fmt::Debug) prints none of it.
pub struct DerivedSecret(Zeroizing<String>);

impl DerivedSecret {
    fn new(master: &Hmac<Sha256>, binding: &Digest) -> Self {
        let mac = master.clone().chain_update(b"tower-warden signing secret v1").chain_update(binding.as_bytes());
        Self(Zeroizing::new(Digest::from_bytes(mac.finalize().into_bytes().into()).to_hex()))
    }

    /// The secret in the clear: 64 hexadecimal digits, whose ASCII bytes are the key of HMAC-SHA-256.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret as a key.
    #[must_use]
    pub fn key(&self) -> PayloadKey {
        PayloadKey::secret(self.0.as_bytes()).expect("64 digits are long enough")
    }
}

impl fmt::Debug for DerivedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedSecret(..)")
    }
}
