//! The certificate of the connection as a proof of possession, and as a credential.

use http::Extensions;

use super::peer::PeerCertificate;
use crate::{
    auth::{PresentedProof, ProofOfPossession},
    caller::ConfirmationMethod,
    request::Head,
    scheme::{ChallengeLine, ChallengeRequest, Credential, CredentialKind, Location, Scheme},
};

/// Proves possession of the client certificate that a credential is bound to
/// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)).
///
/// The TLS handshake has proved that the client holds the certificate's key; this compares the thumbprint with that of the
/// credential. A layer without it refuses credentials that are bound to a certificate, unless it has
/// [`ClientCertificates`](super::ClientCertificates), which includes it.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     certificate::CertificateProof,
///     layer::AuthLayer,
/// };
///
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let auth = AuthLayer::new(keys).proof(CertificateProof);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct CertificateProof;

impl ProofOfPossession for CertificateProof {
    fn method(&self) -> ConfirmationMethod {
        ConfirmationMethod::CERTIFICATE
    }

    fn read(&self, head: &Head<'_>, _: &Credential<'_>) -> PresentedProof {
        match PeerCertificate::of(head.extensions) {
            Some(certificate) => PresentedProof::Verified(*certificate.thumbprint()),
            None => PresentedProof::Absent,
        }
    }
}

/// The certificate of the connection, for requests that carry no other credential.
#[derive(Clone, Copy, Debug)]
pub(super) struct CertificateScheme;

impl Scheme for CertificateScheme {
    fn name(&self) -> &str {
        "ClientCertificate"
    }

    fn kind(&self) -> CredentialKind {
        CredentialKind::Certificate
    }

    fn locations(&self) -> Vec<Location> {
        vec![Location::Extension(has_certificate)]
    }

    /// A certificate is requested in the TLS handshake, not by a challenge.
    fn challenge(&self, _: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        None
    }
}

fn has_certificate(extensions: &Extensions) -> bool {
    PeerCertificate::of(extensions).is_some()
}
