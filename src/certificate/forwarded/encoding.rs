//! Encodings of certificates in header fields.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;

/// Decodes a single Byte Sequence of RFC 8941 §3.3.5, without parameters.
pub(super) fn byte_sequence(text: &str) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(':')?.strip_suffix(':')?;
    base64_der(encoded)
}

/// Decodes base64 with padding. A list of several certificates is not base64.
pub(super) fn base64_der(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// Decodes the first certificate of a percent-encoded PEM text that contains only certificates. `+` is not a space.
pub(super) fn escaped_pem(text: &str, chain: FollowingChain) -> Option<Vec<u8>> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    let (first, rest) = pem(text.trim_ascii_end())?;
    let mut rest = rest.trim_ascii_start();
    while !rest.is_empty() {
        match chain {
            FollowingChain::Ignore => rest = pem(rest)?.1.trim_ascii_start(),
            FollowingChain::Refuse => return None,
        }
    }
    Some(first)
}

/// The handling of a PEM text in which further certificates follow the first: the client's chain.
#[derive(Clone, Copy, Debug)]
pub(super) enum FollowingChain {
    Ignore,
    Refuse,
}

/// Decodes the certificate at the beginning, and returns it with the text that follows.
fn pem(text: &str) -> Option<(Vec<u8>, &str)> {
    let (body, rest) = text.strip_prefix("-----BEGIN CERTIFICATE-----")?.split_once("-----END CERTIFICATE-----")?;
    let encoded: String = body.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    base64_der(&encoded).map(|der| (der, rest))
}
