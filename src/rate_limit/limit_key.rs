//! Keys by which limits distinguish callers.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use sha2::{Digest as _, Sha256};
use siphasher::sip::SipHasher13;

use super::limit_secret::LimitSecret;
use crate::digest::Digest;

/// A key by which a limit distinguishes callers: the name of the limit, and the parts of a [`LimitBy`](super::LimitBy),
/// each with its kind.
///
/// Each part is written with its length, so two lists of parts never result in the same key. The key may contain names
/// of callers, so it is never printed.
///
/// # Examples
///
/// ```
/// use tower_warden::rate_limit::LimitKey;
///
/// let (mut one, mut other) = (LimitKey::default(), LimitKey::default());
/// one.push("tenant", "a:b");
/// other.push("tenant", "a");
/// other.push("tenant", "b");
/// assert_ne!(one, other);
/// assert_eq!(format!("{one:?}"), "LimitKey(..)");
///
/// assert_ne!(LimitKey::of_limit("search"), LimitKey::of_limit("login"));
/// ```
#[derive(Clone)]
pub struct LimitKey {
    /// The first eight bytes of a digest of the limit's name; zero without a name.
    limit: u64,
    text: Text,
}

/// Short keys are stored byte for byte, long ones are digested while they are written.
#[derive(Clone)]
enum Text {
    Short { bytes: [u8; SHORT], length: usize },
    Long(Box<Sha256>),
}

/// The maximum length of a short key, in bytes.
const SHORT: usize = 104;

impl LimitKey {
    /// A key without parts, of the limit with this name. Keys of different limits are different.
    #[must_use]
    pub fn of_limit(name: &str) -> Self {
        Self { limit: word(&Sha256::digest(name.as_bytes()).into()), ..Self::default() }
    }

    /// A key without parts, of the limit on failures with this name.
    pub(super) fn of_failures(name: &str) -> Self {
        let digest = Sha256::new_with_prefix("failures\0").chain_update(name).finalize();
        Self { limit: word(&digest.into()), ..Self::default() }
    }

    /// Adds a part.
    #[inline]
    pub fn push(&mut self, kind: &str, value: impl AsRef<[u8]>) {
        let (kind, value) = (kind.as_bytes(), value.as_ref());
        if self.push_short(kind, value).is_none() {
            self.push_long(kind, value);
        }
    }

    /// Adds a part to a short key; `None` if there is no room for it. The lengths of one that fits are a byte each.
    #[inline]
    fn push_short(&mut self, kind: &[u8], value: &[u8]) -> Option<()> {
        let Text::Short { bytes, length } = &mut self.text else { return None };
        let free = bytes.get_mut(*length..)?.get_mut(..kind.len() + value.len() + 2)?;
        let (kind_length, value_length) = (u8::try_from(kind.len()).ok()?, u8::try_from(value.len()).ok()?);
        *length += free.len();
        let (kinds, values) = free.split_at_mut(kind.len() + 1);
        kinds[0] = kind_length;
        kinds[1..].copy_from_slice(kind);
        values[0] = value_length;
        values[1..].copy_from_slice(value);
        Some(())
    }

    #[inline(never)]
    fn push_long(&mut self, kind: &[u8], value: &[u8]) {
        for text in [kind, value] {
            let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            if let Ok(length) = u8::try_from(length)
                && length < u8::MAX
            {
                self.write(&[length]);
            } else {
                self.write(&[u8::MAX]);
                self.write(&length.to_be_bytes());
            }
            self.write(text);
        }
    }

    /// An HMAC of the key, as a name in shared stores.
    ///
    /// Without the secret, nobody finds the caller by trying all addresses or known names.
    #[must_use]
    pub fn digest(&self, secret: &LimitSecret) -> Digest {
        secret.authenticate(self.limit, &self.text.digest())
    }

    /// The limit's number, which separates it from other limits of the same limiter.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// A hash of the key. Keys of different limits differ by the number of the limit.
    #[inline]
    pub(super) fn fingerprint(&self, hasher: &SipHasher13) -> u64 {
        let text = match &self.text {
            Text::Short { bytes, length } => hasher.hash(&bytes[..*length]),
            // Inverted, so that a short key that equals the digest of a long one has another hash.
            Text::Long(_) => !hasher.hash(&self.text.digest()),
        };
        text ^ self.limit
    }

    fn write(&mut self, more: &[u8]) {
        match &mut self.text {
            Text::Short { bytes, length } => match bytes.get_mut(*length..*length + more.len()) {
                Some(free) => {
                    free.copy_from_slice(more);
                    *length += more.len();
                }
                None => {
                    let hasher = Sha256::new_with_prefix(&bytes[..*length]).chain_update(more);
                    self.text = Text::Long(Box::new(hasher));
                }
            },
            Text::Long(hasher) => hasher.update(more),
        }
    }
}

impl Text {
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Short { bytes, length } => Sha256::digest(&bytes[..*length]).into(),
            Self::Long(hasher) => Sha256::clone(hasher).finalize().into(),
        }
    }
}

/// A key without parts, of no named limit.
impl Default for LimitKey {
    fn default() -> Self {
        Self { limit: 0, text: Text::Short { bytes: [0; SHORT], length: 0 } }
    }
}

impl PartialEq for LimitKey {
    fn eq(&self, other: &Self) -> bool {
        let is_same_text = match (&self.text, &other.text) {
            (Text::Short { bytes, length }, Text::Short { bytes: others, length: other }) => {
                bytes[..*length] == others[..*other]
            }
            (Text::Long(_), Text::Long(_)) => self.text.digest() == other.text.digest(),
            (Text::Long(_), Text::Short { .. }) | (Text::Short { .. }, Text::Long(_)) => false,
        };
        self.limit == other.limit && is_same_text
    }
}

impl Eq for LimitKey {}

impl Hash for LimitKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.limit);
        match &self.text {
            Text::Short { bytes, length } => state.write(&bytes[..*length]),
            Text::Long(_) => state.write(&self.text.digest()),
        }
    }
}

impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitKey(..)")
    }
}

/// The first eight bytes of a digest.
pub(super) fn word(digest: &[u8; 32]) -> u64 {
    digest[..8].try_into().map_or(0, u64::from_be_bytes)
}
