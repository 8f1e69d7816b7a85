//! Envoy's `X-Forwarded-Client-Cert`.

use std::num::NonZeroUsize;

use super::{
    super::peer::{ChainStatus, PeerCertificate},
    encoding::{FollowingChain, escaped_pem},
};
use crate::digest::Digest;

/// The element of `X-Forwarded-Client-Cert` that holds the client's certificate. Each proxy may append an element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum XfccElement {
    /// The element at this position from the end: 1 is the client of the last proxy, which may be a proxy itself, 2 the
    /// client of the proxy before it. A field with fewer elements is refused.
    FromEnd(NonZeroUsize),
    /// The only element; a field with several is refused.
    Only,
}

/// The handling of an element that has the hash of the certificate and not the certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum HashOnly {
    Accept,
    Refuse,
}

/// Reads the configured element; `None` if the field is malformed.
pub(super) fn read(
    text: &str,
    element: XfccElement,
    hash_only: HashOnly,
    chain: ChainStatus,
) -> Option<PeerCertificate> {
    let elements = split(text, ',')?;
    let element = match element {
        XfccElement::Only if elements.len() == 1 => elements.first(),
        XfccElement::Only => None,
        XfccElement::FromEnd(position) => elements.iter().nth_back(position.get() - 1),
    };
    let (mut certificate, mut hash) = (None, None);
    for pair in split(element?, ';')? {
        let (name, value) = pair.split_once('=')?;
        // Envoy compares the names without regard to case.
        let slot = match name.trim() {
            name if name.eq_ignore_ascii_case("cert") => &mut certificate,
            name if name.eq_ignore_ascii_case("hash") => &mut hash,
            _ => continue,
        };
        if slot.replace(unquoted(value.trim())?).is_some() {
            return None;
        }
    }
    let hash = hash.map(|hash| Digest::from_hex(hash).ok_or(())).transpose().ok()?;
    match (certificate, hash) {
        (Some(certificate), hash) => {
            let der = escaped_pem(certificate, FollowingChain::Refuse)?;
            let certificate = PeerCertificate::from_der(&der, chain).ok()?;
            hash.is_none_or(|hash| hash == *certificate.thumbprint()).then_some(certificate)
        }
        (None, Some(hash)) => match hash_only {
            HashOnly::Accept => Some(PeerCertificate::from_thumbprint(hash, chain)),
            HashOnly::Refuse => None,
        },
        (None, None) => None,
    }
}

/// Splits at separators outside of quotes; `None` if a quote is not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    (!quoted).then_some(parts)
}

/// A value without its quotes; `None` if it is only partly quoted, or has an escape: neither a hash nor a certificate needs
/// one.
fn unquoted(value: &str) -> Option<&str> {
    let bare = match value.strip_prefix('"') {
        Some(value) => value.strip_suffix('"')?,
        None => value,
    };
    (!bare.contains(['"', '\\'])).then_some(bare)
}
