use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    digest::hex,
    error::{ConfigError, ConfigErrorKind},
    time::UnixTime,
};

/// The id of a key, which is not a secret.
///
/// Generated ids begin with the time, so their order is the order of creation.
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

    /// Generates an id: five bytes of time and eleven random bytes.
    pub(super) fn generate(now: UnixTime) -> Result<Self, ConfigError> {
        let mut bytes = [0; 16];
        bytes[..5].copy_from_slice(&now.as_secs().to_be_bytes()[3..]);
        if getrandom::fill(&mut bytes[5..]).is_err() {
            return Err(ConfigError::new(ConfigErrorKind::Key, "the system's random generator failed"));
        }
        Ok(Self(format!("key_{}", hex(&bytes)).into()))
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
