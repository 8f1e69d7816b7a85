//! Parameters of a query, RFC 9421 §2.2.8.

/// The value of the parameter with this name, encoded again; `None` unless there is exactly one.
///
/// Names and values are decoded as forms are, and encoded with the percent-encode set of forms of the URL Standard, in which a
/// space is no plus sign.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        if normalised(known).as_deref() == Some(name) {
            if found.is_some() {
                return None;
            }
            found = Some(normalised(value)?);
        }
    }
    found
}

/// Decodes and encodes; `None` for text that is not UTF-8: the standard replaces it, so that different values would be equal.
fn normalised(text: &str) -> Option<String> {
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
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(encoded)
}

/// All characters that are not in the `application/x-www-form-urlencoded` percent-encode set.
const fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_')
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
