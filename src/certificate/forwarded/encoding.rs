//! How certificates are written in header fields.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;

/// A Byte Sequence of RFC 8941 §3.3.5, alone: no list, no parameters.
pub(super) fn byte_sequence(text: &str) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(':')?.strip_suffix(':')?;
    BASE64_STANDARD.decode(encoded).ok()
}

/// The first certificate of a percent-encoded PEM text in which there is nothing but certificates. `+` stands for
/// itself, not for a space.
pub(super) fn escaped_pem(text: &str, several: Several) -> Option<Vec<u8>> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    let (first, rest) = pem(text.trim_ascii_end())?;
    let mut rest = rest.trim_ascii_start();
    while !rest.is_empty() {
        match several {
            Several::Allowed => rest = pem(rest)?.1.trim_ascii_start(),
            Several::Refused => return None,
        }
    }
    Some(first)
}

/// Whether there may be a chain behind the certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Several {
    Allowed,
    Refused,
}

/// The certificate at the beginning, and what stands behind it.
fn pem(text: &str) -> Option<(Vec<u8>, &str)> {
    let (body, rest) = text.strip_prefix("-----BEGIN CERTIFICATE-----")?.split_once("-----END CERTIFICATE-----")?;
    let encoded: String = body.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    BASE64_STANDARD.decode(encoded).ok().map(|der| (der, rest))
}
