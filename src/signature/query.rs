//! Parameters of a query, RFC 9421 §2.2.8.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

/// The parameters of a query by their names, as far as these are UTF-8: decoded as forms are, and encoded with the
/// percent-encode set of forms of the URL Standard, in which a space is no plus sign.
pub(super) struct Query<'a> {
    /// The value as it came; `None` for a name that occurs twice.
    values: HashMap<Cow<'a, str>, Option<&'a str>>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        let mut values = HashMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = normalised(name) else { continue };
            match values.entry(name) {
                Entry::Occupied(mut known) => *known.get_mut() = None,
                Entry::Vacant(place) => {
                    place.insert(Some(value));
                }
            }
        }
        Self { values }
    }

    /// The value of the parameter with this name, encoded again; `None` unless there is exactly one.
    pub(super) fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        normalised((*self.values.get(name)?)?)
    }
}

/// Decodes and encodes; `None` for text that is not UTF-8: the standard replaces it, so that different values would be equal.
fn normalised(text: &str) -> Option<Cow<'_, str>> {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    if text.bytes().all(is_kept) {
        return Some(text.into());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        let digits = match (byte, rest.as_slice()) {
            (b'%', [high, low, ..]) => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        match digits {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest.nth(1);
            }
            None => decoded.push(if byte == b'+' { b' ' } else { byte }),
        }
    }
    let decoded = String::from_utf8(decoded).ok()?;
    let mut encoded = String::with_capacity(decoded.len());
    for byte in decoded.bytes() {
        if is_kept(byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 0xF)]);
        }
    }
    Some(encoded.into())
}

/// All characters that are not in the `application/x-www-form-urlencoded` percent-encode set.
const fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_')
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
