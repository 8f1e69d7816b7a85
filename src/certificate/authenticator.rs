//! Certificates as an authentication of their own.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    name::CertificateName,
    peer::{ChainStatus, PeerCertificate},
    proof::{CertificateProof, CertificateScheme},
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented, ProofOfPossession},
    caller::Confirmation,
    caller::{AuthMethod, Identity},
    error::Unavailable,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Credential, CredentialKind, Scheme},
    time::UnixTime,
};

/// Knows who holds which certificate.
pub trait CertificateDirectory: Send + Sync + 'static {
    /// Who holds the certificate, with scopes and tenant; `None` if it is nobody who is known.
    ///
    /// The certificate is [verified](ChainStatus::Verified), unless
    /// [`danger_accept_unverified`](ClientCertificates::danger_accept_unverified) was called.
    fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>>;
}

impl<D: CertificateDirectory + ?Sized> CertificateDirectory for Arc<D> {
    fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
        (**self).find(certificate)
    }
}

/// Who holds which certificate, as it was set up.
///
/// A certificate whose names lead to two identities is nobody's. Of an unverified one, nothing but its thumbprint counts.
#[derive(Clone, Debug, Default)]
pub struct CertificateMap(HashMap<CertificateName, Arc<Identity>>);

impl CertificateMap {
    /// Whoever bears one of these names is this caller. A name that is there already is given anew.
    #[must_use]
    pub fn with(mut self, names: impl IntoIterator<Item = CertificateName>, identity: Identity) -> Self {
        let identity = Arc::new(identity);
        self.0.extend(names.into_iter().map(|name| (name, Arc::clone(&identity))));
        self
    }

    fn holders<'a>(&'a self, certificate: &'a PeerCertificate) -> impl Iterator<Item = &'a Arc<Identity>> {
        let vouched: &[CertificateName] = match certificate.chain() {
            ChainStatus::Unverified => &[],
            ChainStatus::Verified => certificate.names(),
        };
        // A certificate with a SPIFFE ID has no other URI, or it has no SPIFFE ID.
        let is_spiffe = |name: &&CertificateName| name.as_uri().is_some_and(|uri| uri.starts_with("spiffe://"));
        let vouched = vouched.iter().filter(move |name| !is_spiffe(name) || certificate.spiffe_id().is_some());
        let pinned = self.0.get(&CertificateName::thumbprint(*certificate.thumbprint()));
        pinned.into_iter().chain(vouched.filter_map(|name| self.0.get(name)))
    }
}

impl CertificateDirectory for CertificateMap {
    fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
        let mut holders = self.holders(certificate);
        let found = holders.next().filter(|first| holders.all(|other| Arc::ptr_eq(first, other)));
        Eventual::Now(Ok(found.cloned()))
    }
}

/// Authenticates callers by their certificate alone, where a request carries no credential.
///
/// A certificate beside a credential is no second credential: it is what the credential may be bound to. Nor is a
/// certificate of nobody who is known an absent one: it is refused, also under an
/// [optional](crate::layer::AuthLayer::optional) layer.
///
/// See the [module docs](super).
#[derive(Clone)]
pub struct ClientCertificates {
    directory: Arc<dyn CertificateDirectory>,
    unverified: Unverified,
}

#[derive(Clone, Copy, Debug)]
enum Unverified {
    Accept,
    Refuse,
}

impl ClientCertificates {
    /// Asks a directory, or a [`CertificateMap`].
    #[must_use]
    pub fn new(directory: impl CertificateDirectory) -> Self {
        Self { directory: Arc::new(directory), unverified: Unverified::Refuse }
    }

    /// Asks the directory for certificates too that nobody has verified, self-signed ones for example.
    ///
    /// What they say of themselves is their own word: a directory must know them by their thumbprint.
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

    /// Its identities are bound to the certificate that they were found by.
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
            Eventual::Now(found) => Eventual::Now(judge(found, certificate)),
            Eventual::Later(found) => {
                let certificate = certificate.clone();
                // The directory.
                Eventual::later(async move { judge(found.await, &certificate) })
            }
        }
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("unverified", &self.unverified).finish_non_exhaustive()
    }
}

fn judge(
    found: Result<Option<Arc<Identity>>, Unavailable>,
    certificate: &PeerCertificate,
) -> Result<Arc<Identity>, Rejection> {
    let found = found.map_err(|error| {
        log::warning!(error = %Causes(&error), "who holds a certificate was not told; the request is answered with 503");
        Rejection::new(RejectionKind::Unavailable, Reason::CERTIFICATE_DIRECTORY_UNAVAILABLE)
    })?;
    let identity = found.ok_or_else(|| Rejection::new(RejectionKind::Invalid, Reason::CERTIFICATE_UNKNOWN))?;
    let mut identity = Identity::clone(&identity);
    // The last second in which a certificate is valid is still part of its validity.
    let end = certificate.not_after().map(|last| UnixTime::from_secs(last.as_secs().saturating_add(1)));
    identity.expires_at = identity.expires_at.into_iter().chain(end).min();
    identity.issued_at = identity.issued_at.or_else(|| certificate.not_before());
    identity.method = AuthMethod::ClientCertificate;
    identity.confirmation.get_or_insert_with(|| Confirmation::certificate(*certificate.thumbprint()));
    Ok(Arc::new(identity))
}
