use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use tower_warden::certificate::{ChainStatus, PeerCertificate};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use crate::files::Requirement;

/// Accepts any client certificate, including expired and self-signed ones, and those of X.509 v1.
///
/// Only the signature of the handshake is verified, which proves that the client holds the key of the certificate.
#[derive(Debug)]
pub(crate) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
    requirement: Requirement,
}

impl AnyCertificate {
    pub(crate) fn new(provider: &Arc<CryptoProvider>, requirement: Requirement) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, requirement }
    }

    /// Verifies a signature by a key. A scheme of TLS 1.2 does not determine the curve: the first algorithm for the key's
    /// type decides.
    fn verify_tls12_signature_of_key(
        &self,
        message: &[u8],
        key: &SubjectPublicKeyInfoDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = RawPublicKeyEntity::try_from(key).map_err(|_| CertificateError::BadEncoding)?;
        let known = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
        let (_, algorithms) = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let is_valid = algorithms.iter().any(|algorithm| {
            // An algorithm for keys of another type returns an error.
            key.verify_signature(*algorithm, message, signature.signature()).is_ok()
        });
        if is_valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }
}

/// The key of an X.509 v1 certificate, which rustls does not parse; `None` for other versions, and for bytes that are not a
/// certificate, which rustls then refuses.
///
/// # Errors
///
/// If the certificate is one of v1, and its key cannot be read.
fn certificate_v1_key(certificate: &CertificateDer<'_>) -> Result<Option<SubjectPublicKeyInfoDer<'static>>, Error> {
    if !matches!(EndEntityCert::try_from(certificate), Err(webpki::Error::UnsupportedCertVersion)) {
        return Ok(None);
    }
    let parsed = PeerCertificate::from_der(certificate, ChainStatus::Unverified).ok();
    let key = parsed.and_then(|certificate| certificate.public_key_info()).ok_or(CertificateError::BadEncoding)?;
    Ok(Some(key.into()))
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        matches!(self.requirement, Requirement::Required)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match certificate_v1_key(certificate)? {
            Some(key) => self.verify_tls12_signature_of_key(message, &key, signature),
            None => verify_tls12_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match certificate_v1_key(certificate)? {
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms),
            None => verify_tls13_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
