use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
};

/// The digest of a key, stored in its place: its SHA-256, or its HMAC-SHA-256 under a [`Pepper`].
///
/// The text form is `sha256:<hex>` or `hmac-sha256:<pepper>:<hex>`. Bare hexadecimal digits, as most systems store them,
/// are parsed as SHA-256. Digests are compared in constant time.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::KeyDigest;
///
/// let stored: KeyDigest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse()?;
/// assert_eq!(stored, KeyDigest::sha256("abc"));
/// assert_eq!(format!("{stored:?}"), "KeyDigest(..)");
/// assert!("md5:900150983cd24fb0d6963f7d28e17f72".parse::<KeyDigest>().is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct KeyDigest {
    pepper: Option<Box<str>>,
    digest: Digest,
}

impl KeyDigest {
    /// Computes the SHA-256 of a key.
    #[must_use]
    pub fn sha256(key: &str) -> Self {
        Self::plain(Digest::of(key.as_bytes()))
    }

    pub(super) const fn plain(digest: Digest) -> Self {
        Self { pepper: None, digest }
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pepper {
            Some(pepper) => write!(f, "hmac-sha256:{pepper}:{}", self.digest.to_hex()),
            None => write!(f, "sha256:{}", self.digest.to_hex()),
        }
    }
}

/// The value is not part of the error: it may be a key that was pasted into the wrong place.
impl FromStr for KeyDigest {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (pepper, digest) = match text.split_once(':') {
            Some(("hmac-sha256", rest)) => rest.split_once(':').map_or((None, ""), |(id, hex)| (Some(id), hex)),
            Some(("sha256", hex)) => (None, hex),
            Some(_) => (None, ""),
            None => (None, text),
        };
        match Digest::from_hex(digest) {
            Some(digest) if pepper.is_none_or(is_pepper_id) => Ok(Self { pepper: pepper.map(Into::into), digest }),
            _ => Err(ConfigError::new(ConfigErrorKind::Key, DIGEST_SYNTAX)),
        }
    }
}

impl Serialize for KeyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

/// A secret of the server, without which a stolen digest cannot be compared with guessed keys.
///
/// Its id is stored with each digest, so that peppers can be rotated: the newest is used for new keys, older ones for the
/// keys that were minted under them.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::Pepper;
///
/// let pepper = Pepper::new("2026-11", b"thirty-two bytes that are a secret")?;
/// assert_eq!(format!("{pepper:?}"), r#"Pepper { id: "2026-11", .. }"#);
/// assert!(Pepper::new("2026-11", b"too short").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Pepper {
    id: Box<str>,
    secret: Zeroizing<Box<[u8]>>,
}

impl Pepper {
    /// Creates a pepper from an id and a secret.
    ///
    /// # Errors
    ///
    /// If the id is not 1 to 32 ASCII letters, digits, `_`, `-` and `.`, or the secret has fewer than 32 bytes.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, ConfigError> {
        if !is_pepper_id(id) {
            let message = "a pepper's id is 1 to 32 ASCII letters, digits, '_', '-' and '.'";
            return Err(ConfigError::new(ConfigErrorKind::Pepper, message).value(id));
        }
        if secret.len() < 32 {
            return Err(ConfigError::new(ConfigErrorKind::Pepper, "the secret of a pepper has at least 32 bytes"));
        }
        Ok(Self { id: id.into(), secret: Zeroizing::new(secret.into()) })
    }

    /// Computes the digest of a key under this pepper.
    #[must_use]
    pub fn digest(&self, key: &str) -> KeyDigest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(key.as_bytes());
        let digest = Digest::from_bytes(mac.finalize().into_bytes().into());
        KeyDigest { pepper: Some(self.id.clone()), digest }
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper").field("id", &self.id).finish_non_exhaustive()
    }
}

const DIGEST_SYNTAX: &str = "a key digest is `sha256:<hex>`, `hmac-sha256:<pepper>:<hex>` or 64 hexadecimal digits";

fn is_pepper_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=32).contains(&id.len()) && id.bytes().all(is_allowed)
}

/// The digests that are stored for new keys and accepted for presented ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Hashing {
    /// The newest first.
    pub(super) peppers: Vec<Pepper>,
    pub(super) unpeppered: Unpeppered,
}

/// The handling of plain SHA-256 digests if there are peppers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Unpeppered {
    Accepted,
    #[default]
    Refused,
}

impl Hashing {
    /// Computes the digest of a new key.
    pub(super) fn newest(&self, key: &str) -> KeyDigest {
        self.peppers.first().map_or_else(|| KeyDigest::sha256(key), |pepper| pepper.digest(key))
    }

    /// Computes the digests under which a key may be stored, the most likely first; `sha256` is that of the key.
    pub(super) fn candidates(&self, key: &str, sha256: Digest) -> Vec<KeyDigest> {
        let mut candidates: Vec<_> = self.peppers.iter().map(|pepper| pepper.digest(key)).collect();
        if candidates.is_empty() || matches!(self.unpeppered, Unpeppered::Accepted) {
            candidates.push(KeyDigest::plain(sha256));
        }
        candidates
    }
}
