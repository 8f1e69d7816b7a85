//! The format of keys, compared with a checksum of its own.

use tower_warden::api_key::{KeyFormat, KeyId};

use super::fill;

/// A text that may be a key: `{key}` is a valid one.
pub fn run(input: &[u8]) -> bool {
    let format = KeyFormat::new("sk_agent").unwrap();
    let key = format.generate().unwrap();
    let text = String::from_utf8_lossy(input);
    let text = fill(&text, &[("{key}", key.expose())]);
    for text in [&*text, text.trim()] {
        assert_eq!(format.check(text).is_ok(), is_key(text), "{text:?}");
        let is_opaque = text.len() <= 512 && text.len() > 3 && text.starts_with("abc") && is_visible(text);
        assert_eq!(KeyFormat::opaque("abc").unwrap().check(text).is_ok(), is_opaque, "{text:?}");
        if let Ok(format) = KeyFormat::new(text) {
            let key = format.generate().unwrap();
            assert!(key.expose().starts_with(text) && format.check(key.expose()).is_ok());
        }
        if let Ok(id) = KeyId::parse(text) {
            assert_eq!(id.to_string(), text);
        }
    }
    is_key(&text)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// `sk_agent_`, 43 digits, and the checksum in 6 digits of base 62.
fn is_key(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("sk_agent_") else { return false };
    if digits.len() != 49 || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let (checked, checksum) = text.split_at(text.len() - 6);
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'A'..=b'Z' => digit - b'A' + 10,
        _ => digit - b'a' + 36,
    };
    let number = checksum.bytes().fold(0, |number, digit| number * 62 + u64::from(value(digit)));
    number == u64::from(crc32(checked.as_bytes()))
}

/// CRC-32 of ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
