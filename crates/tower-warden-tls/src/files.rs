//! What is in the files.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    error::{TlsError, TlsErrorKind},
    verifier::AnyCertificate,
};
use crate::{certificate::ChainStatus, digest::Digest};

/// How often the files are looked at.
const RELOAD: Duration = Duration::from_secs(10);

/// Where the server's certificate and key are, and which client certificates are taken; all in PEM.
///
/// See the [module docs](super).
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    clients: Clients,
    presence: Presence,
    protocols: Vec<Vec<u8>>,
    pub(super) reload: Duration,
}

/// Whose certificates are taken.
#[derive(Clone, Debug)]
enum Clients {
    Any,
    Nobody,
    Of(PathBuf),
}

#[derive(Clone, Copy, Debug)]
enum Presence {
    Optional,
    Required,
}

impl TlsFiles {
    /// The server's certificate, with those between it and the root behind it, and its key: PKCS #8, PKCS #1 or SEC 1.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            clients: Clients::Nobody,
            presence: Presence::Optional,
            protocols: vec![b"http/1.1".to_vec()],
            reload: RELOAD,
        }
    }

    /// Asks for client certificates, and takes those that these authorities have issued.
    #[must_use]
    pub fn client_authorities(mut self, certificates: impl Into<PathBuf>) -> Self {
        self.clients = Clients::Of(certificates.into());
        self
    }

    /// Asks for client certificates, and takes any: expired ones and self-signed ones too.
    ///
    /// The client proves to hold the key, and that is all. It is enough for bound tokens, RFC 8705 §6.2, and for
    /// certificates that are known by their thumbprint.
    #[must_use]
    pub fn danger_any_client_certificate(mut self) -> Self {
        self.clients = Clients::Any;
        self
    }

    /// Serves no client without a certificate.
    #[must_use]
    pub const fn require_client_certificate(mut self) -> Self {
        self.presence = Presence::Required;
        self
    }

    /// Which protocols are offered, RFC 7301, the best first: `http/1.1` by default. HTTP/2 is `h2`.
    #[must_use]
    pub fn protocols(mut self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.protocols = names.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// How often the files are looked at: every ten seconds by default.
    #[must_use]
    pub const fn reload_every(mut self, interval: Duration) -> Self {
        self.reload = interval;
        self
    }

    /// What the verifier says of the certificates that it takes.
    pub(super) const fn chain(&self) -> ChainStatus {
        match self.clients {
            Clients::Any => ChainStatus::Unverified,
            Clients::Nobody | Clients::Of(_) => ChainStatus::Verified,
        }
    }

    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| {
            let failed = |error| TlsError::file(TlsErrorKind::Unreadable, "cannot read", path).because(error);
            fs::read(path).map_err(failed)
        };
        let authorities = match &self.clients {
            Clients::Of(path) => Some(read(path)?),
            Clients::Any | Clients::Nobody => None,
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)?, authorities })
    }

    pub(super) fn configuration(&self, contents: &Contents) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable = |what| TlsError::file(TlsErrorKind::Unusable, what, &self.certificate);
        let chain = certificates(&contents.certificate).ok_or_else(|| unusable("no certificates in"))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| TlsError::file(TlsErrorKind::Unusable, "no key in", &self.key).because(error))?;
        let verifier = self.verifier(contents, &provider)?;
        let mut configuration = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("no version of TLS for").because(error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| unusable("the key does not fit the certificate in").because(error))?;
        configuration.alpn_protocols.clone_from(&self.protocols);
        Ok(configuration)
    }

    fn verifier(
        &self,
        contents: &Contents,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let path = match &self.clients {
            Clients::Any => {
                let is_mandatory = matches!(self.presence, Presence::Required);
                return Ok(Arc::new(AnyCertificate::new(provider, is_mandatory)));
            }
            // What cannot be had must not look as if it were demanded.
            Clients::Nobody => match self.presence {
                Presence::Optional => return Ok(WebPkiClientVerifier::no_client_auth()),
                Presence::Required => {
                    let message = "client certificates are required, and no authority for them was named";
                    return Err(TlsError::new(TlsErrorKind::Unusable, message));
                }
            },
            Clients::Of(path) => path,
        };
        let unusable = || TlsError::file(TlsErrorKind::Unusable, "no authorities for client certificates in", path);
        let mut roots = RootCertStore::empty();
        let authorities = contents.authorities.as_deref().and_then(certificates).ok_or_else(unusable)?;
        for authority in authorities {
            roots.add(authority).map_err(|error| unusable().because(error))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = match self.presence {
            Presence::Optional => builder.allow_unauthenticated(),
            Presence::Required => builder,
        };
        builder.build().map_err(|error| unusable().because(error))
    }
}

/// The bytes of the files.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Contents {
    /// By which changes are seen; of each file on its own, so that nothing moves from one into another unseen.
    pub(super) fn fingerprint(&self) -> [Digest; 3] {
        let authorities = self.authorities.as_deref().unwrap_or_default();
        [&self.certificate, &self.key, authorities].map(Digest::of)
    }
}

/// All certificates in a PEM text; `None` if there are none, or one cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}
