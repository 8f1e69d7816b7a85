//! The certificate of the other end.

use std::{fmt, sync::Arc};

use http::Extensions;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::FromDer,
};

use super::name::{CertificateName, distinguished};
use crate::{digest::Digest, time::UnixTime};

/// Whether somebody has verified who issued a certificate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between")]
pub enum ChainStatus {
    /// Nobody has: it shows which key the other end holds, and what it says of itself is its own word.
    Unverified,
    /// It was issued by an authority that is trusted with clients, and was good when the connection began.
    Verified,
}

/// The certificate by which the other end of a connection has proved to hold a key.
///
/// It stands in the extensions of each request of the connection. The [TLS listener](crate::tls) puts it there, or
/// [`ForwardedCertificateLayer`](crate::layer::ForwardedCertificateLayer) behind a proxy, or a TLS server of one's own:
///
/// ```
/// use http::Request;
/// use tower_warden::certificate::{ChainStatus, PeerCertificate};
///
/// # let der = tower_warden::Digest::of(b"").as_bytes().to_vec();
/// assert!(PeerCertificate::from_der(&der, ChainStatus::Verified).is_err(), "these bytes are no certificate");
///
/// let mut request = Request::new(());
/// # let thumbprint = tower_warden::Digest::of(b"");
/// request.extensions_mut().insert(PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Unverified));
/// assert!(PeerCertificate::of(request.extensions()).is_some());
/// ```
#[derive(Clone)]
pub struct PeerCertificate(Arc<Inner>);

struct Inner {
    chain: ChainStatus,
    details: Option<Details>,
    thumbprint: Digest,
}

struct Details {
    der: Box<[u8]>,
    issuer: Box<str>,
    names: Vec<CertificateName>,
    not_after: UnixTime,
    not_before: UnixTime,
    subject: Box<str>,
}

/// Bytes that are no certificate.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not one certificate in DER")]
#[non_exhaustive]
pub struct MalformedCertificate;

impl PeerCertificate {
    /// The certificate of a request, if there is one.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Reads a certificate; whoever calls this has seen the other end prove to hold its key.
    ///
    /// # Errors
    ///
    /// If these bytes are not one certificate in DER and nothing else.
    pub fn from_der(der: &[u8], chain: ChainStatus) -> Result<Self, MalformedCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| MalformedCertificate)?;
        if !rest.is_empty() {
            return Err(MalformedCertificate);
        }
        let details = Some(Details::read(der, &certificate)?);
        // RFC 8705 §3.1: over the DER of the certificate.
        Ok(Self(Arc::new(Inner { chain, details, thumbprint: Digest::of(der) })))
    }

    /// A certificate of which the thumbprint is all that is known.
    #[must_use]
    pub fn from_thumbprint(thumbprint: Digest, chain: ChainStatus) -> Self {
        Self(Arc::new(Inner { chain, details: None, thumbprint }))
    }

    /// Whether somebody has verified who issued it.
    #[must_use]
    pub fn chain(&self) -> ChainStatus {
        self.0.chain
    }

    /// SHA-256 of the DER: `x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> &Digest {
        &self.0.thumbprint
    }

    /// The certificate in DER, if more than the thumbprint is known.
    #[must_use]
    pub fn der(&self) -> Option<&[u8]> {
        self.details().map(|details| &*details.der)
    }

    /// The subject's distinguished name, as [`CertificateName::subject`] writes it; it may be empty.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.details().map(|details| &*details.subject)
    }

    /// The issuer's distinguished name.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.details().map(|details| &*details.issuer)
    }

    /// From when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.details().map(|details| details.not_before)
    }

    /// The last second in which it is valid, RFC 5280 §4.1.2.5.
    #[must_use]
    pub fn not_after(&self) -> Option<UnixTime> {
        self.details().map(|details| details.not_after)
    }

    /// The host names among the subject's alternative names, in lower case.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.names().iter().filter_map(CertificateName::as_dns)
    }

    /// The mail addresses among the subject's alternative names.
    pub fn emails(&self) -> impl Iterator<Item = &str> {
        self.names().iter().filter_map(CertificateName::as_email)
    }

    /// The URIs among the subject's alternative names.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.names().iter().filter_map(CertificateName::as_uri)
    }

    /// The SPIFFE ID: the only URI, with the scheme `spiffe`.
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&str> {
        let mut uris = self.uris();
        let only = uris.next().filter(|_| uris.next().is_none())?;
        only.starts_with("spiffe://").then_some(only)
    }

    /// Whether it bears the name. Those of an [unverified](ChainStatus::Unverified) one, but its thumbprint, are its own word.
    #[must_use]
    pub fn has_name(&self, name: &CertificateName) -> bool {
        match name.as_thumbprint() {
            Some(thumbprint) => thumbprint == self.thumbprint(),
            None => self.names().contains(name),
        }
    }

    /// The names that its issuer has put into it.
    pub(super) fn names(&self) -> &[CertificateName] {
        self.details().map_or(&[], |details| &details.names)
    }

    fn details(&self) -> Option<&Details> {
        self.0.details.as_ref()
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field("chain", &self.0.chain)
            .field("subject", &self.subject())
            .finish_non_exhaustive()
    }
}

impl Details {
    fn read(der: &[u8], certificate: &X509Certificate<'_>) -> Result<Self, MalformedCertificate> {
        let time = |seconds| UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0));
        let subject = distinguished(certificate.subject());
        let mut names = alternative(certificate)?;
        if !subject.is_empty() {
            names.push(CertificateName::subject(&*subject));
        }
        Ok(Self {
            der: der.into(),
            issuer: distinguished(certificate.issuer()),
            names,
            not_after: time(certificate.validity().not_after.timestamp()),
            not_before: time(certificate.validity().not_before.timestamp()),
            subject,
        })
    }
}

/// The subject's alternative names, RFC 5280 §4.2.1.6, of the kinds that are understood.
fn alternative(certificate: &X509Certificate<'_>) -> Result<Vec<CertificateName>, MalformedCertificate> {
    // Two such extensions are an error, and so is one that cannot be read.
    let extension =
        certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME).map_err(|_| MalformedCertificate)?;
    let names = match extension.map(|extension| extension.parsed_extension()) {
        None => return Ok(Vec::new()),
        Some(ParsedExtension::SubjectAlternativeName(extension)) => &extension.general_names,
        Some(_) => return Err(MalformedCertificate),
    };
    let mut read = Vec::new();
    for name in names {
        match name {
            GeneralName::DNSName(name) => read.push(CertificateName::dns(*name)),
            GeneralName::RFC822Name(name) => read.push(CertificateName::email(*name)),
            GeneralName::URI(name) => read.push(CertificateName::uri(*name)),
            GeneralName::Invalid(..) => return Err(MalformedCertificate),
            _ => {}
        }
    }
    Ok(read)
}
