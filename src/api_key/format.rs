use zeroize::Zeroizing;

use super::secret::KeySecret;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
    scheme::all_bytes,
};

/// The maximum length of a key, in bytes.
pub(super) const MAX_LENGTH: usize = 512;

/// 32 bytes in base 62.
const RANDOM_DIGITS: usize = 43;

/// 4 bytes in base 62.
const CHECKSUM_DIGITS: usize = 6;

/// The format of keys.
///
/// A minted key is `<prefix>_<random><checksum>`: 32 bytes of the system's random generator as 43 digits of base 62, then
/// the CRC-32 of everything before it as 6 digits. A key that was mistyped, cut off or made up is therefore refused without
/// a look-up, and secret scanners find a leaked key by its prefix.
///
/// # Examples
///
/// ```
/// use tower_warden::{Reason, api_key::KeyFormat};
///
/// let format = KeyFormat::new("sk_agent")?;
/// let key = format.generate()?;
/// assert!(key.expose().starts_with("sk_agent_"));
/// assert_eq!(key.expose().len(), "sk_agent_".len() + 49);
/// assert!(format.check(key.expose()).is_ok());
/// assert_eq!(format.check("sk_agent_guess"), Err(Reason::KEY_LENGTH));
///
/// assert!(KeyFormat::new("sk-agent-")?.generate()?.expose().starts_with("sk-agent-"));
/// assert!(KeyFormat::new("").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyFormat {
    prefix: Box<str>,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// Random digits and a checksum.
    Checked,
    /// The text of another system.
    Opaque,
}

impl KeyFormat {
    /// The format of keys that this crate mints.
    ///
    /// A `_` is appended to a prefix that does not end in `_` or `-`.
    ///
    /// # Errors
    ///
    /// If the prefix is empty, longer than 32 bytes, or has a character other than ASCII letters, digits, `_` and `-`.
    pub fn new(prefix: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=32).contains(&prefix.len()) || !prefix.bytes().all(is_allowed) {
            let message = "the prefix of a key format is 1 to 32 ASCII letters, digits, '_' and '-'";
            return Err(ConfigError::new(ConfigErrorKind::KeyFormat, message).value(prefix));
        }
        let separator = if prefix.ends_with(['_', '-']) { "" } else { "_" };
        Ok(Self { prefix: format!("{prefix}{separator}").into(), body: Body::Checked })
    }

    /// The format of keys that another system minted: visible ASCII without commas, beginning with the prefix, which may
    /// be empty. Their validity is known only after a look-up.
    ///
    /// With an empty prefix, every `Bearer` value is treated as such a key.
    ///
    /// # Errors
    ///
    /// If the prefix is longer than 32 bytes, or contains a comma or a character that is not visible ASCII.
    pub fn opaque(prefix: &str) -> Result<Self, ConfigError> {
        if prefix.len() > 32 || !prefix.bytes().all(is_opaque) {
            let message = "the prefix of an opaque key format is at most 32 visible ASCII characters without ','";
            return Err(ConfigError::new(ConfigErrorKind::KeyFormat, message).value(prefix));
        }
        Ok(Self { prefix: prefix.into(), body: Body::Opaque })
    }

    /// The prefix of every key.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Generates a key.
    ///
    /// # Errors
    ///
    /// If the system's random generator fails, or the format is opaque.
    pub fn generate(&self) -> Result<KeySecret, ConfigError> {
        if matches!(self.body, Body::Opaque) {
            let message = "keys are minted in a format of `KeyFormat::new`, not in an opaque one";
            return Err(ConfigError::new(ConfigErrorKind::KeyFormat, message).value(&self.prefix));
        }
        let mut random = Zeroizing::new([0; 32]);
        if getrandom::fill(&mut *random).is_err() {
            return Err(ConfigError::new(ConfigErrorKind::KeyFormat, "the system's random generator failed"));
        }
        Ok(self.assemble(&random))
    }

    /// Checks the prefix, the length, the characters and the checksum of a key, without a look-up.
    ///
    /// # Errors
    ///
    /// The reason, if the key is not of this format.
    pub fn check(&self, key: &str) -> Result<(), Reason> {
        let Some(body) = key.strip_prefix(&*self.prefix) else {
            return Err(Reason::KEY_PREFIX);
        };
        match self.body {
            _ if key.len() > MAX_LENGTH => Err(Reason::KEY_TOO_LONG),
            Body::Checked => {
                if body.len() != RANDOM_DIGITS + CHECKSUM_DIGITS {
                    return Err(Reason::KEY_LENGTH);
                }
                // No early exit: a branch on each random character would be mispredicted.
                if !all_bytes(body.as_bytes(), |byte| byte.is_ascii_alphanumeric()) {
                    return Err(Reason::KEY_CHARACTERS);
                }
                let (checked, checksum) = key.split_at(key.len() - CHECKSUM_DIGITS);
                if digits::<CHECKSUM_DIGITS>(&mut crc32fast::hash(checked.as_bytes()).to_be_bytes())
                    == checksum.as_bytes()
                {
                    Ok(())
                } else {
                    Err(Reason::KEY_CHECKSUM)
                }
            }
            Body::Opaque if body.is_empty() => Err(Reason::KEY_LENGTH),
            Body::Opaque if !key.bytes().all(is_opaque) => Err(Reason::KEY_CHARACTERS),
            Body::Opaque => Ok(()),
        }
    }

    /// Returns whether a key begins with the prefix of this format.
    pub(super) fn matches_prefix(&self, key: &str) -> bool {
        key.starts_with(&*self.prefix)
    }

    fn assemble(&self, random: &Zeroizing<[u8; 32]>) -> KeySecret {
        let mut key = String::with_capacity(self.prefix.len() + RANDOM_DIGITS + CHECKSUM_DIGITS);
        let push = |key: &mut String, digits: &[u8]| key.extend(digits.iter().copied().map(char::from));
        key.push_str(&self.prefix);
        let random = Zeroizing::new(digits::<RANDOM_DIGITS>(random.clone().as_mut_slice()));
        push(&mut key, &*random);
        let checksum = digits::<CHECKSUM_DIGITS>(&mut crc32fast::hash(key.as_bytes()).to_be_bytes());
        push(&mut key, &checksum);
        KeySecret::new(key)
    }
}

/// Converts a big-endian number to base 62, the most significant digit first. The number is zero afterwards.
fn digits<const N: usize>(number: &mut [u8]) -> [u8; N] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0;
        for byte in &mut *number {
            let dividend = remainder * 256 + usize::from(*byte);
            *byte = u8::try_from(dividend / 62).expect("a remainder below 62 leaves a quotient below 256");
            remainder = dividend % 62;
        }
        *digit = DIGITS[remainder];
    }
    digits
}

const fn is_opaque(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E) && byte != b','
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_converted_to_base_62() {
        assert_eq!(&digits::<3>(&mut [0, 0]), b"000");
        assert_eq!(&digits::<3>(&mut [0, 61]), b"00z");
        assert_eq!(&digits::<3>(&mut [0, 62]), b"010");
        assert_eq!(&digits::<6>(&mut u32::MAX.to_be_bytes()), b"4gfFC3");
    }

    #[test]
    fn the_largest_random_number_has_43_digits() {
        let mut largest = [0xFF; 32];
        let text = digits::<RANDOM_DIGITS>(&mut largest);
        assert_eq!(largest, [0; 32], "the number is used up");
        assert_ne!(text[0], b'0', "the first digit is used");
    }

    #[test]
    fn a_known_key_keeps_its_checksum() {
        let key = KeyFormat::new("sk_live").unwrap().assemble(&Zeroizing::new([0; 32]));
        // CRC-32 of "sk_live_" and 43 zeros, computed by another implementation.
        assert_eq!(key.expose(), "sk_live_00000000000000000000000000000000000000000001Vxh1Z");
    }
}
