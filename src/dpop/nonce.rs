//! Nonces that need not be remembered, RFC 9449 §8 and §9.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    time::UnixTime,
};

/// Gives out nonces, and knows its own: the HMAC of a time window under a secret.
///
/// The nonce of the window before is good too, so that a client has time to take the new one. See the
/// [module docs](super).
///
/// ```
/// use std::time::Duration;
/// use tower_warden::dpop::{Dpop, Nonces};
///
/// let nonces = Nonces::random()?.rotate_every(Duration::from_secs(120))?;
/// let dpop = Dpop::new("https://api.example.com")?.nonces(nonces);
///
/// assert!(Nonces::shared(b"too short").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Nonces {
    key: Arc<Hmac<Sha256>>,
    period: u64,
}

/// Of which window a nonce is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Age {
    Current,
    Previous,
}

impl Nonces {
    /// Under a secret of this process.
    ///
    /// # Errors
    ///
    /// If the system's random generator fails.
    pub fn random() -> Result<Self, ConfigError> {
        let mut secret = [0; 32];
        let refused = |_| ConfigError::new(ConfigErrorKind::Dpop, "the system's random generator failed");
        getrandom::fill(&mut secret).map_err(refused)?;
        Self::shared(&secret)
    }

    /// Under a secret that other nodes have too, of 32 bytes at least.
    ///
    /// # Errors
    ///
    /// If it is shorter.
    pub fn shared(secret: &[u8]) -> Result<Self, ConfigError> {
        let refused = || ConfigError::new(ConfigErrorKind::Dpop, "the secret of nonces has 32 bytes at least");
        let key = Hmac::new_from_slice(secret).map_err(|_| refused())?;
        if secret.len() < 32 { Err(refused()) } else { Ok(Self { key: Arc::new(key), period: 180 }) }
    }

    /// How long the window is, in whole seconds: 180 by default.
    ///
    /// # Errors
    ///
    /// If it is not from 60 to 300 seconds.
    pub fn rotate_every(mut self, period: Duration) -> Result<Self, ConfigError> {
        self.period = period.as_secs();
        if (60..=300).contains(&self.period) {
            Ok(self)
        } else {
            Err(ConfigError::new(ConfigErrorKind::Dpop, "nonces are changed every 60 to 300 seconds"))
        }
    }

    pub(super) fn current(&self, now: UnixTime) -> HeaderValue {
        HeaderValue::try_from(self.text(self.window(now))).expect("base64url is visible ASCII")
    }

    /// `None` if it is too old, or none of ours.
    pub(super) fn age(&self, nonce: &str, now: UnixTime) -> Option<Age> {
        let window = self.window(now);
        let is = |window| bool::from(self.text(window).as_bytes().ct_eq(nonce.as_bytes()));
        if is(window) {
            Some(Age::Current)
        } else if is(window.wrapping_sub(1)) {
            Some(Age::Previous)
        } else {
            None
        }
    }

    const fn window(&self, now: UnixTime) -> u64 {
        now.as_secs() / self.period
    }

    fn text(&self, window: u64) -> String {
        let mut mac = Hmac::clone(&self.key);
        mac.update(b"tower-warden dpop nonce");
        mac.update(&self.period.to_be_bytes());
        mac.update(&window.to_be_bytes());
        // Half of it is more than can be guessed.
        BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("period", &self.period).finish_non_exhaustive()
    }
}
