//! Nonces without stored state, RFC 9449 §8 and §9.

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

/// Issues and verifies nonces: each is the HMAC of a time window with a secret key, so none is stored.
///
/// The nonce of the previous window is accepted as well, so that clients have time to use the new one. See the
/// [module docs](super).
///
/// # Examples
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

/// The time window that a nonce belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NonceAge {
    Current,
    Previous,
}

impl Nonces {
    /// Nonces with a random secret of this process.
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

    /// Nonces with a secret that all nodes share, of 32 bytes or more.
    ///
    /// # Errors
    ///
    /// If it is shorter.
    pub fn shared(secret: &[u8]) -> Result<Self, ConfigError> {
        let refused = || ConfigError::new(ConfigErrorKind::Dpop, "the secret of nonces has 32 bytes or more");
        let key = Hmac::new_from_slice(secret).map_err(|_| refused())?;
        if secret.len() < 32 { Err(refused()) } else { Ok(Self { key: Arc::new(key), period: 180 }) }
    }

    /// Sets the length of the time window, in whole seconds: 180 by default.
    ///
    /// # Errors
    ///
    /// If it is less than 60 or more than 300 seconds.
    pub fn rotate_every(mut self, period: Duration) -> Result<Self, ConfigError> {
        self.period = period.as_secs();
        if (60..=300).contains(&self.period) {
            Ok(self)
        } else {
            let message = "the time window of nonces is 60 to 300 seconds";
            Err(ConfigError::new(ConfigErrorKind::Dpop, message).value(format_args!("{period:?}")))
        }
    }

    pub(super) fn current(&self, now: UnixTime) -> HeaderValue {
        HeaderValue::try_from(self.text(self.window(now))).expect("base64url is visible ASCII")
    }

    /// The longest time for which a nonce is accepted.
    pub(super) const fn lifetime(&self) -> Duration {
        Duration::from_secs(2 * self.period)
    }

    /// The last second in which a nonce of this age is accepted.
    pub(super) const fn valid_until(&self, age: NonceAge, now: UnixTime) -> UnixTime {
        let windows = match age {
            NonceAge::Current => 2,
            NonceAge::Previous => 1,
        };
        UnixTime::from_secs((self.window(now).saturating_add(windows)).saturating_mul(self.period).saturating_sub(1))
    }

    /// `None` if the nonce is too old, or was not issued with this secret.
    pub(super) fn age(&self, nonce: &str, now: UnixTime) -> Option<NonceAge> {
        let window = self.window(now);
        let is = |window| bool::from(self.text(window).as_bytes().ct_eq(nonce.as_bytes()));
        if is(window) {
            Some(NonceAge::Current)
        } else if is(window.wrapping_sub(1)) {
            Some(NonceAge::Previous)
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
        // 128 bits are more than can be guessed.
        BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("period", &self.period).finish_non_exhaustive()
    }
}
