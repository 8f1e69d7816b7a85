//! The certificate of the peer.

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

/// The result of verifying a certificate's chain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a chain is verified or not")]
pub enum ChainStatus {
    /// Not verified: the certificate proves which key the peer holds, and its names cannot be trusted.
    Unverified,
    /// Issued by an authority that is trusted for clients, and valid when the connection was established.
    Verified,
}

/// The client certificate of a connection: the peer has proved in the TLS handshake that it holds the certificate's key.
///
/// It is in the extensions of each request of the connection. The `TlsListener` of the crate `tower-warden-tls` inserts it,
/// or [`ForwardedCertificateLayer`](crate::layer::ForwardedCertificateLayer) behind a proxy, or a custom TLS server.
///
/// # Examples
///
/// A custom TLS server inserts the certificate into each request:
///
/// ```
/// use http::Request;
/// use tower_warden::certificate::{ChainStatus, PeerCertificate};
///
/// # let encoded = include_str!("../../tests/vectors/rfc9440/leaf.der.base64").trim();
/// # use base64::Engine;
/// # let der = base64::prelude::BASE64_STANDARD.decode(encoded)?;
/// let certificate = PeerCertificate::from_der(&der, ChainStatus::Verified)?;
/// assert_eq!(certificate.subject(), Some("CN=BC"));
/// assert!(PeerCertificate::from_der(b"other bytes", ChainStatus::Verified).is_err());
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(certificate);
/// assert!(PeerCertificate::of(request.extensions()).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PeerCertificate(Arc<Inner>);

struct Inner {
    chain: ChainStatus,
    details: Option<Details>,
    names: Vec<CertificateName>,
    thumbprint: Digest,
}

struct Details {
    der: Box<[u8]>,
    issuer: Box<str>,
    not_after: UnixTime,
    not_before: UnixTime,
    subject: Arc<str>,
}

/// The error for bytes that are not one certificate in DER.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not one certificate in DER")]
#[non_exhaustive]
pub struct MalformedCertificate;

impl PeerCertificate {
    /// The certificate of a request; `None` if its connection has none.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Parses a certificate in DER. The caller has verified that the peer holds the certificate's key.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly one certificate in DER.
    pub fn from_der(der: &[u8], chain: ChainStatus) -> Result<Self, MalformedCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| MalformedCertificate)?;
        if !rest.is_empty() {
            return Err(MalformedCertificate);
        }
        let details = Details::read(der, &certificate);
        let mut names = alternative_names(&certificate)?;
        if !details.subject.is_empty() {
            names.push(CertificateName::subject(&*details.subject));
        }
        // RFC 8705 §3.1: over the DER of the certificate.
        Ok(Self(Arc::new(Inner { chain, details: Some(details), names, thumbprint: Digest::of(der) })))
    }

    /// A certificate of which only the thumbprint is known.
    #[must_use]
    pub fn from_thumbprint(thumbprint: Digest, chain: ChainStatus) -> Self {
        Self::with_names(thumbprint, Vec::new(), chain)
    }

    /// A certificate of which only the thumbprint and names are known.
    pub(super) fn with_names(thumbprint: Digest, names: Vec<CertificateName>, chain: ChainStatus) -> Self {
        Self(Arc::new(Inner { chain, details: None, names, thumbprint }))
    }

    /// The result of verifying the chain.
    #[must_use]
    pub fn chain(&self) -> ChainStatus {
        self.0.chain
    }

    /// The SHA-256 thumbprint of the DER encoding: `x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> &Digest {
        &self.0.thumbprint
    }

    /// The certificate in DER; `None` if only the thumbprint is known.
    #[must_use]
    pub fn der(&self) -> Option<&[u8]> {
        self.details().map(|details| &*details.der)
    }

    /// The subject's public key in DER: `SubjectPublicKeyInfo`
    /// ([RFC 5280 §4.1.2.7](https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.7)).
    #[must_use]
    pub fn public_key_info(&self) -> Option<Vec<u8>> {
        let (_, certificate) = X509Certificate::from_der(self.der()?).ok()?;
        Some(certificate.public_key().raw.to_vec())
    }

    /// The subject's distinguished name in the form of [`CertificateName::subject`]; it may be empty.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.details().map(|details| &*details.subject)
    }

    /// The issuer's distinguished name.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.details().map(|details| &*details.issuer)
    }

    /// The first second in which the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.details().map(|details| details.not_before)
    }

    /// The last second in which the certificate is valid
    /// ([RFC 5280 §4.1.2.5](https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5)).
    #[must_use]
    pub fn not_after(&self) -> Option<UnixTime> {
        self.details().map(|details| details.not_after)
    }

    /// The host names among the subject's alternative names, in lower case.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.names().iter().filter_map(CertificateName::as_dns)
    }

    /// The email addresses among the subject's alternative names.
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

    /// Returns `true` if the certificate has the name.
    ///
    /// Only the thumbprint of an [unverified](ChainStatus::Unverified) certificate can be trusted. A certificate with
    /// a SPIFFE ID and another URI has no valid SPIFFE ID.
    #[must_use]
    pub fn has_name(&self, name: &CertificateName) -> bool {
        match name.as_thumbprint() {
            Some(thumbprint) => thumbprint == self.thumbprint(),
            None => self.valid_names().any(|valid| valid == name),
        }
    }

    /// The names in the certificate that identify its holder.
    pub(super) fn valid_names(&self) -> impl Iterator<Item = &CertificateName> {
        let is_spiffe = |name: &CertificateName| name.as_uri().is_some_and(|uri| uri.starts_with("spiffe://"));
        self.names().iter().filter(move |name| !is_spiffe(name) || self.spiffe_id().is_some())
    }

    /// The certificate as an audit event names it.
    #[cfg(feature = "audit")]
    pub(crate) fn audited(&self) -> crate::trail::AuditedCertificate {
        let subject = self.details().map(|details| Arc::clone(&details.subject));
        crate::trail::AuditedCertificate { subject, thumbprint: self.0.thumbprint }
    }

    /// The names in the certificate.
    pub(super) fn names(&self) -> &[CertificateName] {
        &self.0.names
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
    fn read(der: &[u8], certificate: &X509Certificate<'_>) -> Self {
        let time = |seconds| UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0));
        Self {
            der: der.into(),
            issuer: distinguished(certificate.issuer()),
            not_after: time(certificate.validity().not_after.timestamp()),
            not_before: time(certificate.validity().not_before.timestamp()),
            subject: distinguished(certificate.subject()).into(),
        }
    }
}

/// The subject's alternative names of the supported kinds, RFC 5280 §4.2.1.6.
fn alternative_names(certificate: &X509Certificate<'_>) -> Result<Vec<CertificateName>, MalformedCertificate> {
    // A second extension is an error, and so is one that cannot be parsed.
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
