//! Envoy's `X-Forwarded-Client-Cert`.

use std::num::NonZeroUsize;

use super::{
    super::peer::{ChainStatus, PeerCertificate},
    encoding::{Several, escaped_pem},
};
use crate::digest::Digest;

/// Which element of `X-Forwarded-Client-Cert` counts; each proxy may add one at the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum XfccElement {
    /// So far from the end: 1 is the client of the last proxy, which may be a proxy itself, 2 the client of the one
    /// before it. Where there are fewer, the request is refused.
    FromEnd(NonZeroUsize),
    /// The only one; where there are several, the request is refused.
    Only,
}

/// What an element without the certificate, with its hash alone, is worth.
#[derive(Clone, Copy, Debug)]
pub(super) enum HashAlone {
    Accepted,
    Refused,
}

/// Reads the declared element; `None` if the field is malformed.
pub(super) fn read(text: &str, element: XfccElement, alone: HashAlone, chain: ChainStatus) -> Option<PeerCertificate> {
    let elements = split(text, ',')?;
    let element = match element {
        XfccElement::Only if elements.len() == 1 => elements.first(),
        XfccElement::Only => None,
        XfccElement::FromEnd(place) => elements.iter().nth_back(place.get() - 1),
    };
    let (mut certificate, mut hash) = (None, None);
    for pair in split(element?, ';')? {
        let (name, value) = pair.split_once('=')?;
        // The names are matched in any case, as Envoy does.
        let place = match name.trim() {
            name if name.eq_ignore_ascii_case("cert") => &mut certificate,
            name if name.eq_ignore_ascii_case("hash") => &mut hash,
            _ => continue,
        };
        if place.replace(unquoted(value.trim())?).is_some() {
            return None;
        }
    }
    let hash = hash.map(|hash| Digest::from_hex(hash).ok_or(())).transpose().ok()?;
    match (certificate, hash) {
        (Some(certificate), hash) => {
            let der = escaped_pem(certificate, Several::Refused)?;
            let certificate = PeerCertificate::from_der(&der, chain).ok()?;
            hash.is_none_or(|hash| hash == *certificate.thumbprint()).then_some(certificate)
        }
        (None, Some(hash)) => match alone {
            HashAlone::Accepted => Some(PeerCertificate::from_thumbprint(hash, chain)),
            HashAlone::Refused => None,
        },
        (None, None) => None,
    }
}

/// Parts that are separated outside of quotes; `None` if a quote is left open.
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

/// A value without its quotes; `None` if they are not around all of it, or if it is escaped: neither a hash nor a
/// certificate has anything to escape.
fn unquoted(value: &str) -> Option<&str> {
    let bare = match value.strip_prefix('"') {
        Some(value) => value.strip_suffix('"')?,
        None => value,
    };
    (!bare.contains(['"', '\\'])).then_some(bare)
}
