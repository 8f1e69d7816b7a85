use std::{
    fmt,
    hash::{Hash, Hasher},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A digest of 32 bytes, such as SHA-256 or HMAC-SHA-256.
///
/// Digests are compared in constant time, and [`Debug`](fmt::Debug) prints none of the bytes, since the digest of a
/// credential can be sensitive as well.
///
/// # Examples
///
/// ```
/// use tower_warden::Digest;
///
/// let digest = Digest::of(b"abc");
/// assert_eq!(digest.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// assert_eq!(format!("{digest:?}"), "Digest(..)");
/// assert_eq!(Digest::from_hex("ba78"), None);
/// assert_eq!(Digest::from_base64url(&digest.to_base64url()), Some(digest));
/// ```
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the SHA-256 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(Sha256::digest(data).into())
    }

    /// Creates a digest from bytes that were computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 43 characters of base64url without padding, the form of thumbprints in JOSE; `None` for any other text.
    #[must_use]
    pub fn from_base64url(text: &str) -> Option<Self> {
        // One byte more than a digest has, because the decoder needs room for whole groups.
        let mut bytes = [0; 33];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        bytes[..length].try_into().ok().map(Self)
    }

    /// Parses 64 hexadecimal digits of either case; `None` for any other text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let (mut bytes, mut seen) = ([0; 32], 0);
        for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks().0) {
            let (high, low) = (nibble(*high), nibble(*low));
            *byte = high << 4 | low;
            seen |= high | low;
        }
        if seen > 0xF {
            return None;
        }
        Some(Self(bytes))
    }

    /// Formats the digest as 43 characters of base64url without padding.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Formats the digest as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Digest {
    /// The digest as four words, which are compared faster than 32 bytes.
    pub(crate) fn words(&self) -> [u64; 4] {
        let word = |index: usize| {
            let bytes = self.0[index * 8..][..8].try_into().expect("a word has eight bytes");
            u64::from_ne_bytes(bytes)
        };
        [word(0), word(1), word(2), word(3)]
    }
}

/// Compares in constant time.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.words().ct_eq(&other.words()).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The bytes are uniformly distributed already.
        state.write_u64(self.words()[0]);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Formats bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// The value of a digit; 255 for another character. A table, because the digits of a digest are random, and branches on them are
/// not predicted.
const fn nibble(digit: u8) -> u8 {
    const VALUES: [u8; 256] = {
        let (mut values, mut value) = ([u8::MAX; 256], 0);
        while value < 16 {
            values[b"0123456789abcdef"[value as usize] as usize] = value;
            values[b"0123456789ABCDEF"[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    VALUES[digit as usize]
}
