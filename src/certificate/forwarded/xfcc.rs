//! Envoy's `X-Forwarded-Client-Cert`.

use std::{num::NonZeroUsize, sync::Once};

use super::{
    super::{
        name::CertificateName,
        peer::{ChainStatus, PeerCertificate},
    },
    encoding::{FollowingChain, escaped_pem},
};
use crate::{
    digest::Digest,
    log,
    reason::Reason,
    request::pairs::{self, Pair, Quoting},
};

/// The element of `X-Forwarded-Client-Cert` that holds the client's certificate. Each proxy may append an element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum XfccElement {
    /// The element at this position from the end: 1 is the client of the last proxy, which may be a proxy itself, 2 the
    /// client of the proxy before it. A field with fewer elements is refused.
    ///
    /// A field with `URI` or `DNS` is refused, unless
    /// [`danger_trust_unquoted_names`](super::CertificateHeader::danger_trust_unquoted_names) is set: Envoy does not quote
    /// these names, so that a name with a comma looks like the beginning of another element.
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

/// The handling of the names that Envoy writes without quotes: `URI` and `DNS`.
#[derive(Clone, Copy, Debug)]
pub(super) enum UnquotedNames {
    Distrust,
    Trust,
}

/// The settings for the field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Xfcc {
    pub(super) element: XfccElement,
    pub(super) hash_only: HashOnly,
    pub(super) names: UnquotedNames,
}

impl Xfcc {
    /// Reads the certificate of the configured element.
    pub(super) fn read(self, text: &str, chain: ChainStatus) -> Result<PeerCertificate, Reason> {
        let elements = pairs::elements(text).ok_or(Reason::CLIENT_CERTIFICATE_MALFORMED)?;
        if matches!(self.names, UnquotedNames::Distrust) && self.has_ambiguous_name(&elements) {
            // Once: a client can send such a field with every request.
            static WARNING: Once = Once::new();
            WARNING.call_once(|| {
                log::warning!(
                    "refused X-Forwarded-Client-Cert with URI or DNS, which Envoy does not quote; remove them from \
                     set_current_client_cert_details, or see CertificateHeader::danger_trust_unquoted_names"
                );
            });
            return Err(Reason::CLIENT_CERTIFICATE_UNQUOTED_NAME);
        }
        let element = match self.element {
            XfccElement::Only if elements.len() == 1 => elements.first(),
            XfccElement::Only => None,
            XfccElement::FromEnd(position) => elements.iter().nth_back(position.get() - 1),
        };
        element.and_then(|element| self.certificate(element, chain)).ok_or(Reason::CLIENT_CERTIFICATE_MALFORMED)
    }

    /// Returns `true` if a name of a certificate may have been read as something else.
    ///
    /// A name without quotes may be the end of its element and the beginning of a forged one. With
    /// [`Only`](XfccElement::Only), a forged element is one too many, unless the name is in a quote that the client opened.
    fn has_ambiguous_name(self, elements: &[Vec<Pair<'_>>]) -> bool {
        elements.iter().flatten().any(|pair| match (self.element, pair.quoting) {
            (XfccElement::FromEnd(_), Quoting::Bare) => pair.is("uri") || pair.is("dns"),
            (XfccElement::Only, Quoting::Bare) => false,
            (_, Quoting::Quoted) => hides_name(pair),
        })
    }

    /// The certificate of an element; `None` if it is malformed.
    fn certificate(self, element: &[Pair<'_>], chain: ChainStatus) -> Option<PeerCertificate> {
        let certificate = only(element, "cert")?;
        let hash = only(element, "hash")?.map(|hash| Digest::from_hex(hash).ok_or(())).transpose().ok()?;
        match (certificate, hash) {
            (Some(certificate), hash) => {
                let der = escaped_pem(certificate, FollowingChain::Refuse)?;
                let certificate = PeerCertificate::from_der(&der, chain).ok()?;
                hash.is_none_or(|hash| hash == *certificate.thumbprint()).then_some(certificate)
            }
            (None, Some(hash)) => match (self.hash_only, self.names) {
                (_, UnquotedNames::Trust) => Some(PeerCertificate::with_names(hash, names(element)?, chain)),
                (HashOnly::Accept, UnquotedNames::Distrust) => Some(PeerCertificate::from_thumbprint(hash, chain)),
                (HashOnly::Refuse, UnquotedNames::Distrust) => None,
            },
            (None, None) => None,
        }
    }
}

/// Returns `true` if a value looks as if it contained the `URI` or `DNS` of an element.
fn hides_name(pair: &Pair<'_>) -> bool {
    let begins_name = |text: &str| {
        let name = text.trim_start_matches([' ', '\t']).split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.eq_ignore_ascii_case("uri") || name.eq_ignore_ascii_case("dns"))
    };
    pair.value.split([';', ',']).skip(1).any(begins_name)
}

/// The value of the only pair with this name; the outer `None` if there are several, or if it has an escape.
fn only<'a>(element: &[Pair<'a>], name: &str) -> Option<Option<&'a str>> {
    let mut pairs = element.iter().filter(|pair| pair.is(name));
    let first = pairs.next().map(|pair| pair.plain().ok_or(())).transpose().ok()?;
    pairs.next().is_none().then_some(first)
}

/// The names of the certificate, as Envoy writes them: a pair for each, or one with an empty value if there is none.
fn names(element: &[Pair<'_>]) -> Option<Vec<CertificateName>> {
    let mut names = Vec::new();
    for pair in element {
        let name: fn(&str) -> CertificateName = match pair {
            pair if pair.is("uri") => |uri| CertificateName::uri(uri),
            pair if pair.is("dns") => |name| CertificateName::dns(name),
            _ => continue,
        };
        let value = pair.plain()?;
        if !value.is_empty() {
            names.push(name(value));
        }
    }
    Some(names)
}
