//! The secret with which the names of callers are hidden in shared stores.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
};

/// A secret of the deployment, of 32 bytes or more, which all of its nodes share.
///
/// The names of callers are stored in shared stores as an HMAC with this secret. A plain digest would not hide them: the
/// 2³² IPv4 addresses are tried in seconds. With another secret, all limits start with new state.
///
/// # Examples
///
/// ```
/// use tower_warden::rate_limit::{LimitKey, LimitSecret};
///
/// let secret = LimitSecret::new(b"thirty-two random bytes, from a secret store")?;
/// let other = LimitSecret::new(b"thirty-two other bytes, of another deployment")?;
/// assert_ne!(LimitKey::default().digest(&secret), LimitKey::default().digest(&other));
///
/// assert!(LimitSecret::new(b"too short").is_err());
/// assert_eq!(format!("{secret:?}"), "LimitSecret(..)");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct LimitSecret(Arc<Hmac<Sha256>>);

impl LimitSecret {
    /// Creates a secret.
    ///
    /// # Errors
    ///
    /// If it is shorter than 32 bytes.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let refused = || ConfigError::new(ConfigErrorKind::LimitSecret, "the secret of limits has 32 bytes or more");
        let hmac = Hmac::new_from_slice(secret.as_ref()).map_err(|_| refused())?;
        if secret.as_ref().len() < 32 { Err(refused()) } else { Ok(Self(Arc::new(hmac))) }
    }

    pub(super) fn authenticate(&self, limit: u64, text: &[u8; 32]) -> Digest {
        let mut mac = Hmac::clone(&self.0);
        // The same secret may be used for other purposes as well.
        mac.update(b"tower-warden limit key");
        mac.update(&limit.to_be_bytes());
        mac.update(text);
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for LimitSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitSecret(..)")
    }
}
