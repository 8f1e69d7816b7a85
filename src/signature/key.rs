use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{algorithm::SignatureAlgorithm, policy::refused};
use crate::error::{ConfigError, Unavailable};

/// A key that signs messages.
///
/// [`HmacKey`] is one; `PrivateKey` of the crate `tower-warden-client` is another. Implement it for keys that are in a key
/// management service.
pub trait MessageKey: fmt::Debug + Send + Sync + 'static {
    /// The algorithm of its signatures.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The id by which verifiers find the key: the parameter `keyid`.
    fn key_id(&self) -> &str;

    /// Signs a message, in the format of [RFC 9421 §3.3](https://www.rfc-editor.org/rfc/rfc9421#section-3.3). It must not
    /// block for long.
    ///
    /// # Errors
    ///
    /// If the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable>;
}

impl<K: MessageKey + ?Sized> MessageKey for Arc<K> {
    fn algorithm(&self) -> SignatureAlgorithm {
        (**self).algorithm()
    }

    fn key_id(&self) -> &str {
        (**self).key_id()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        (**self).sign(message)
    }
}

/// A secret key that signs with `hmac-sha256`.
///
/// # Examples
///
/// ```
/// use tower_warden::signature::HmacKey;
///
/// let key = HmacKey::new("billing-2026", b"a secret of thirty-two bytes ...")?;
/// assert_eq!(format!("{key:?}"), r#"HmacKey("billing-2026")"#);
/// assert!(HmacKey::new("billing-2026", b"hunter2").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HmacKey {
    id: Box<str>,
    mac: Hmac<Sha256>,
}

impl HmacKey {
    /// A key with this id, of 32 bytes or more.
    ///
    /// # Errors
    ///
    /// If the secret is shorter.
    pub fn new(key_id: impl Into<Box<str>>, secret: &[u8]) -> Result<Self, ConfigError> {
        let short = || refused("a secret key has 32 bytes or more");
        let mac = Hmac::new_from_slice(secret).map_err(|_| short())?;
        if secret.len() < 32 { Err(short()) } else { Ok(Self { id: key_id.into(), mac }) }
    }
}

impl MessageKey for HmacKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::HmacSha256
    }

    fn key_id(&self) -> &str {
        &self.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Ok(self.mac.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HmacKey").field(&self.id).finish()
    }
}
