use std::{fmt, sync::Arc};

use super::{
    directory::CertificateDirectory,
    peer::{ChainStatus, PeerCertificate},
    proof::{CertificateProof, CertificateScheme},
};
use crate::{
    Eventual,
    answer::within_time_out,
    auth::{Authenticator, Presented, ProofOfPossession},
    caller::{AuthMethod, Confirmation, Identity},
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Credential, CredentialKind, Scheme},
    time::UnixTime,
};

/// Authenticates callers by their client certificate, if a request carries no other credential.
///
/// A certificate next to another credential is not a second credential: it proves possession if the credential is bound to
/// it. A certificate whose holder is unknown is an invalid credential, not an absent one: it is refused even by an
/// [optional](crate::layer::AuthLayer::optional) layer.
///
/// A layer with this authenticator also accepts other credentials that are bound to certificates: it includes
/// [`CertificateProof`].
///
/// See the [module docs](super).
#[derive(Clone)]
pub struct ClientCertificates {
    directory: Arc<dyn CertificateDirectory>,
    unverified: Unverified,
    /// The state of the directory.
    outage: Outage,
}

#[derive(Clone, Copy, Debug)]
enum Unverified {
    Accept,
    Refuse,
}

impl ClientCertificates {
    /// An authenticator that looks up certificates in a directory, such as a [`CertificateMap`](super::CertificateMap).
    #[must_use]
    pub fn new(directory: impl CertificateDirectory) -> Self {
        Self {
            directory: Arc::new(directory),
            unverified: Unverified::Refuse,
            outage: Outage::of("certificate directory"),
        }
    }

    /// Accepts certificates that were not verified against an authority, such as self-signed ones.
    ///
    /// Anyone can make a certificate with any names: the directory must identify such certificates by their thumbprint.
    #[must_use]
    pub fn danger_accept_unverified(mut self) -> Self {
        self.unverified = Unverified::Accept;
        self
    }
}

impl Authenticator for ClientCertificates {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(CertificateScheme)]
    }

    /// The identities are bound to the certificate that they were found by.
    fn proofs(&self) -> Vec<Arc<dyn ProofOfPossession>> {
        vec![Arc::new(CertificateProof)]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == CredentialKind::Certificate
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let refused = |kind, reason| Eventual::Now(Err(Rejection::new(kind, reason)));
        let Some(certificate) = PeerCertificate::of(presented.head.extensions) else {
            return refused(RejectionKind::Missing, Reason::CREDENTIAL_MISSING);
        };
        if let (ChainStatus::Unverified, Unverified::Refuse) = (certificate.chain(), self.unverified) {
            return refused(RejectionKind::Invalid, Reason::CERTIFICATE_UNVERIFIED);
        }
        if certificate.not_before().is_some_and(|start| presented.now < start) {
            return refused(RejectionKind::Invalid, Reason::CERTIFICATE_NOT_YET_VALID);
        }
        match self.directory.find(certificate) {
            Eventual::Now(found) => Eventual::Now(authenticated(found, certificate, &self.outage)),
            Eventual::Later(found) => {
                let (certificate, outage) = (certificate.clone(), self.outage.clone());
                // The directory.
                Eventual::later(async move {
                    let found = within_time_out("the directory of certificates", found).await;
                    authenticated(found, &certificate, &outage)
                })
            }
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.outage.observed_by(observer);
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("unverified", &self.unverified).finish_non_exhaustive()
    }
}

/// The identity that the directory has found, limited to the validity of the certificate.
fn authenticated(
    found: Result<Option<Arc<Identity>>, Unavailable>,
    certificate: &PeerCertificate,
    outage: &Outage,
) -> Result<Arc<Identity>, Rejection> {
    let found = found.map_err(|error| {
        outage.begin(Causes(&error), || {
            log::warning!(
                error = %Causes(&error),
                "the certificate directory does not respond; requests are refused with 503 until it does"
            );
        });
        Rejection::new(RejectionKind::Unavailable, Reason::CERTIFICATE_DIRECTORY_UNAVAILABLE)
    })?;
    outage.end();
    let identity = found.ok_or_else(|| Rejection::new(RejectionKind::Invalid, Reason::CERTIFICATE_UNKNOWN))?;
    let mut identity = Identity::clone(&identity);
    // RFC 5280 §4.1.2.5: `not_after` is the last second of the validity, `expires_at` the first second after it.
    let end = certificate.not_after().map(|last| UnixTime::from_secs(last.as_secs().saturating_add(1)));
    identity.expires_at = identity.expires_at.into_iter().chain(end).min();
    identity.issued_at = identity.issued_at.or_else(|| certificate.not_before());
    identity.method = AuthMethod::ClientCertificate;
    identity.confirmation.get_or_insert_with(|| Confirmation::certificate(*certificate.thumbprint()));
    Ok(Arc::new(identity))
}
