use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    digest::hex,
    error::{ConfigError, ConfigErrorKind},
    time::UnixTime,
};

/// The id of a key, which is not a secret.
///
/// Generated ids begin with a position: the time, and a number within the second. Their order is the order of creation, also
/// across nodes if the store [supports it](super::KeyStore::append).
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::KeyId;
///
/// let id: KeyId = "billing-agent.2026".parse()?;
/// assert_eq!(id.as_str(), "billing-agent.2026");
/// assert!("billing agent".parse::<KeyId>().is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// Parses an id.
    ///
    /// # Errors
    ///
    /// If it is not 1 to 64 ASCII letters, digits, `_`, `-` and `.`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            // Not quoted: a text that is too long for an id may be the key itself.
            let message = "a key's id is 1 to 64 ASCII letters, digits, '_', '-' and '.'";
            Err(ConfigError::new(ConfigErrorKind::Key, message))
        }
    }

    /// Generates an id: eight bytes of its position and eight random bytes.
    fn generate(position: u64) -> Result<Self, ConfigError> {
        let mut random = [0; 8];
        if getrandom::fill(&mut random).is_err() {
            return Err(ConfigError::new(ConfigErrorKind::Key, "the system's random generator failed"));
        }
        Ok(Self::at(position, &hex(&random)))
    }

    fn at(position: u64, random: &str) -> Self {
        Self(format!("{PREFIX}{position:016x}{random}").into())
    }

    /// The position of a generated id in the order of creation, at most `i64::MAX`; `None` for another id.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        let digits = self.0.strip_prefix(PREFIX).filter(|digits| digits.len() == 32)?;
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let position = u64::from_str_radix(digits.get(..16).filter(|_| is_hex)?, 16).ok()?;
        i64::try_from(position).is_ok().then_some(position)
    }

    /// Returns this id if its [position](Self::position) is greater than the latest one, or else the id with the next
    /// position, for implementations of [`KeyStore::append`](super::KeyStore::append). An id that was not generated is
    /// returned unchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::api_key::KeyId;
    ///
    /// let id = KeyId::parse("key_006b49d200000007d1ff0e2c8a94b35e")?;
    /// assert_eq!(id.position(), Some(0x6b49d2_00000007));
    /// assert_eq!(id.after(0x6b49d2_00000006), id);
    /// assert_eq!(id.after(0x6b49d2_00000009).as_str(), "key_006b49d20000000ad1ff0e2c8a94b35e");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn after(&self, latest: u64) -> Self {
        match self.position() {
            Some(position) if position <= latest => Self::at(latest.saturating_add(1), &self.0[PREFIX.len() + 16..]),
            _ => self.clone(),
        }
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of generated ids.
const PREFIX: &str = "key_";

/// The ids that one process generates, each with a greater position than those before it.
#[derive(Debug, Default)]
pub(super) struct KeyIds(AtomicU64);

impl KeyIds {
    /// Generates an id. Its position is the number of the second and three bytes, or follows the latest one if that is
    /// greater, as after the clock was set back.
    pub(super) fn generate(&self, now: UnixTime) -> Result<KeyId, ConfigError> {
        // 39 bits, so that a position fits into the integers of databases.
        let second = now.as_secs().min((1 << 39) - 1) << 24;
        let next = |latest: u64| second.max(latest + 1);
        let latest = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(next(latest)));
        KeyId::generate(next(latest.unwrap_or_else(|latest| latest)))
    }
}

impl FromStr for KeyId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
