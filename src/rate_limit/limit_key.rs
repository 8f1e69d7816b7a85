//! Keys by which limits distinguish callers.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// A key by which limits distinguish callers: the parts of a [`LimitBy`](super::LimitBy), each with its kind.
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
/// ```
#[derive(Clone)]
pub struct LimitKey(Text);

/// Short keys are stored byte for byte, long ones are digested while they are written.
#[derive(Clone)]
enum Text {
    Short { bytes: [u8; SHORT], length: usize },
    Long(Box<Sha256>),
}

/// The maximum length of a short key, in bytes.
const SHORT: usize = 104;

impl LimitKey {
    /// Adds a part.
    pub fn push(&mut self, kind: &str, value: impl AsRef<[u8]>) {
        for text in [kind.as_bytes(), value.as_ref()] {
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

    /// The SHA-256 of the parts, as a name in shared stores: it does not disclose the caller.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(match &self.0 {
            Text::Short { bytes, length } => Sha256::digest(&bytes[..*length]).into(),
            Text::Long(hasher) => Sha256::clone(hasher).finalize().into(),
        })
    }

    fn write(&mut self, more: &[u8]) {
        match &mut self.0 {
            Text::Short { bytes, length } => match bytes.get_mut(*length..*length + more.len()) {
                Some(free) => {
                    free.copy_from_slice(more);
                    *length += more.len();
                }
                None => {
                    let hasher = Sha256::new_with_prefix(&bytes[..*length]).chain_update(more);
                    self.0 = Text::Long(Box::new(hasher));
                }
            },
            Text::Long(hasher) => hasher.update(more),
        }
    }
}

impl Default for LimitKey {
    fn default() -> Self {
        Self(Text::Short { bytes: [0; SHORT], length: 0 })
    }
}

impl PartialEq for LimitKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Text::Short { bytes, length }, Text::Short { bytes: others, length: other }) => {
                bytes[..*length] == others[..*other]
            }
            (Text::Long(_), Text::Long(_)) => self.digest() == other.digest(),
            (Text::Long(_), Text::Short { .. }) | (Text::Short { .. }, Text::Long(_)) => false,
        }
    }
}

impl Eq for LimitKey {}

impl Hash for LimitKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Text::Short { bytes, length } => state.write(&bytes[..*length]),
            Text::Long(_) => state.write(self.digest().as_bytes()),
        }
    }
}

impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitKey(..)")
    }
}
