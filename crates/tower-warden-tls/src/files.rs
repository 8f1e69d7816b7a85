use std::{fmt, fs, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tower_warden::{Digest, certificate::ChainStatus};

use crate::{
    error::{TlsError, TlsErrorKind},
    verifier::AnyCertificate,
};

/// The PEM files of a TLS server, and the client certificates that it accepts.
///
/// See the [crate docs](crate#accepted-certificates) for which certificates are accepted, and
/// [when files are reloaded](crate#reloading).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tower_warden_tls::TlsFiles;
///
/// let files = TlsFiles::new("server.pem", "server.key")
///     .client_authorities("clients.pem")
///     .require_client_certificate()
///     .reload_interval(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    accepted: AcceptedCertificates,
    requirement: Requirement,
    alpn_protocols: Vec<Vec<u8>>,
    pub(crate) reload_interval: Duration,
}

/// The client certificates that are accepted.
#[derive(Clone, Debug)]
enum AcceptedCertificates {
    Any,
    IssuedBy(PathBuf),
    None,
}

/// The requirement that clients present a certificate, or the lack of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Requirement {
    Optional,
    Required,
}

impl TlsFiles {
    /// Configures the server's certificate, followed by its intermediate certificates, and its private key in the format
    /// PKCS #8, PKCS #1 or SEC 1. The key must not be encrypted: protect the file by its permissions.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            accepted: AcceptedCertificates::None,
            requirement: Requirement::Optional,
            alpn_protocols: vec![b"http/1.1".to_vec()],
            reload_interval: DEFAULT_RELOAD_INTERVAL,
        }
    }

    /// Requests client certificates, and accepts those of X.509 v3 that were issued by one of these authorities.
    #[must_use]
    pub fn client_authorities(mut self, certificates: impl Into<PathBuf>) -> Self {
        self.accepted = AcceptedCertificates::IssuedBy(certificates.into());
        self
    }

    /// Requests client certificates, and accepts any of them, including expired and self-signed ones, and those of X.509 v1.
    ///
    /// The client proves that it holds the key of the certificate; nothing else is verified. This suffices for tokens
    /// that are bound to a certificate ([RFC 8705 §6.2](https://www.rfc-editor.org/rfc/rfc8705#section-6.2)), and for
    /// certificates that are identified by their thumbprint.
    #[must_use]
    pub fn danger_any_client_certificate(mut self) -> Self {
        self.accepted = AcceptedCertificates::Any;
        self
    }

    /// Disconnects clients that present no certificate. By default they are served.
    #[must_use]
    pub const fn require_client_certificate(mut self) -> Self {
        self.requirement = Requirement::Required;
        self
    }

    /// Replaces the protocols that are offered with ALPN ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301)), in order of
    /// preference: `http/1.1` by default. HTTP/2 is `h2`.
    #[must_use]
    pub fn alpn_protocols(mut self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.alpn_protocols = names.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Sets the interval at which the files are checked for changes: ten seconds by default.
    #[must_use]
    pub const fn reload_interval(mut self, interval: Duration) -> Self {
        self.reload_interval = interval;
        self
    }

    /// The chain status of the certificates that the verifier accepts.
    pub(crate) const fn chain_status(&self) -> ChainStatus {
        match self.accepted {
            AcceptedCertificates::Any => ChainStatus::Unverified,
            AcceptedCertificates::IssuedBy(_) | AcceptedCertificates::None => ChainStatus::Verified,
        }
    }

    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|error| {
                TlsError::file(TlsErrorKind::Unreadable, path, "the file cannot be read").with_source(error)
            })
        };
        let authorities = match &self.accepted {
            AcceptedCertificates::IssuedBy(path) => Some(read(path)?),
            AcceptedCertificates::Any | AcceptedCertificates::None => None,
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)?, authorities })
    }

    pub(crate) fn server_config(&self, contents: &Contents) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let invalid = |problem: &str| TlsError::file(TlsErrorKind::Invalid, &self.certificate, problem);
        let chain = certificates(&contents.certificate).ok_or_else(|| {
            let expected = "expected the server's certificate in PEM, followed by its intermediates";
            invalid(&format!("{expected}{}", Found(&contents.certificate)))
        })?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| {
            let problem = format!("expected an unencrypted private key in PEM{}", Found(&contents.key));
            TlsError::file(TlsErrorKind::Invalid, &self.key, &problem).with_source(error)
        })?;
        let verifier = self.verifier(contents, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("the cryptographic provider supports no version of TLS").with_source(error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| invalid("expected a certificate that matches the private key").with_source(error))?;
        config.alpn_protocols.clone_from(&self.alpn_protocols);
        Ok(config)
    }

    fn verifier(
        &self,
        contents: &Contents,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let path = match &self.accepted {
            AcceptedCertificates::Any => return Ok(Arc::new(AnyCertificate::new(provider, self.requirement))),
            AcceptedCertificates::IssuedBy(path) => path,
            // A requirement that no certificate can meet is an error, not ignored.
            AcceptedCertificates::None => match self.requirement {
                Requirement::Optional => return Ok(WebPkiClientVerifier::no_client_auth()),
                Requirement::Required => {
                    let message = "client certificates are required: expected `client_authorities` as well";
                    return Err(TlsError::new(TlsErrorKind::Invalid, message));
                }
            },
        };
        let found = Found(contents.authorities.as_deref().unwrap_or_default());
        let invalid = || {
            let problem = format!("expected the certificates of the client authorities in PEM{found}");
            TlsError::file(TlsErrorKind::Invalid, path, &problem)
        };
        let mut roots = RootCertStore::empty();
        for authority in contents.authorities.as_deref().and_then(certificates).ok_or_else(invalid)? {
            roots.add(authority).map_err(|error| invalid().with_source(error))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = match self.requirement {
            Requirement::Optional => builder.allow_unauthenticated(),
            Requirement::Required => builder,
        };
        builder.build().map_err(|error| invalid().with_source(error))
    }
}

/// The bytes of the files.
pub(crate) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Contents {
    /// The digests of the files, by which changes are detected. Each file has its own, so that moving bytes from one file
    /// to another is a change too.
    pub(crate) fn fingerprint(&self) -> [Digest; 3] {
        let authorities = self.authorities.as_deref().unwrap_or_default();
        [&self.certificate, &self.key, authorities].map(Digest::of)
    }
}

/// Displays what is in a file instead of what was expected: nothing if there is no PEM block.
struct Found<'a>(&'a [u8]);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        let labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        // The names of blocks are not secret, and short unless the file is something else.
        let labels: Vec<_> = labels.filter(|label| label.len() <= 40).take(3).collect();
        if !labels.is_empty() {
            write!(f, ", found {}", labels.join(", "))?;
        }
        let is_encrypted =
            text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED");
        if is_encrypted {
            f.write_str(", which is encrypted: decrypt it with `openssl pkey -in FILE -out FILE`")?;
        }
        Ok(())
    }
}

/// Parses all certificates of a PEM text; `None` if it contains none, or if one cannot be parsed.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

const DEFAULT_RELOAD_INTERVAL: Duration = Duration::from_secs(10);
