use std::{collections::HashMap, sync::Arc};

use super::{
    name::CertificateName,
    peer::{ChainStatus, PeerCertificate},
};
use crate::{Eventual, caller::Identity, error::Unavailable};

/// Looks up the identity of a certificate's holder.
///
/// [`CertificateMap`] is a fixed directory; implement this trait for one that changes.
///
/// # Examples
///
/// A directory of SPIFFE IDs, which grants all services of one trust domain the same scopes:
///
/// ```
/// use std::sync::Arc;
/// use tower_warden::{
///     AuthMethod, Digest, Eventual, Identity, Unavailable,
///     certificate::{CertificateDirectory, ChainStatus, ClientCertificates, PeerCertificate},
///     scope::Scopes,
/// };
///
/// struct TrustDomain {
///     prefix: &'static str,
///     scopes: Scopes,
/// }
///
/// impl CertificateDirectory for TrustDomain {
///     fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
///         let id = certificate.spiffe_id().filter(|id| id.starts_with(self.prefix));
///         Eventual::Now(Ok(id.map(|id| {
///             let mut identity = Identity::new(id, AuthMethod::ClientCertificate);
///             identity.scopes = self.scopes.clone();
///             Arc::new(identity)
///         })))
///     }
/// }
///
/// let directory = TrustDomain { prefix: "spiffe://example.org/", scopes: Scopes::parse("billing:read")? };
/// let unknown = PeerCertificate::from_thumbprint(Digest::of(b"a certificate"), ChainStatus::Verified);
/// assert!(matches!(directory.find(&unknown), Eventual::Now(Ok(None))));
/// let authenticator = ClientCertificates::new(directory);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub trait CertificateDirectory: Send + Sync + 'static {
    /// Returns the identity of the certificate's holder, with scopes and tenant; `None` if the holder is unknown.
    ///
    /// The certificate is [verified](ChainStatus::Verified), unless
    /// [`danger_accept_unverified`](super::ClientCertificates::danger_accept_unverified) was called.
    ///
    /// # Errors
    ///
    /// If the directory does not answer; the request is refused with 503.
    fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>>;
}

impl<D: CertificateDirectory + ?Sized> CertificateDirectory for Arc<D> {
    fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
        (**self).find(certificate)
    }
}

/// A fixed directory: the identities of certain names.
///
/// A certificate whose names have two different identities is refused. Of an unverified certificate, only the thumbprint is
/// looked up.
#[derive(Clone, Debug, Default)]
pub struct CertificateMap(HashMap<CertificateName, Arc<Identity>>);

impl CertificateMap {
    /// Adds an identity for certificates with one of these names. It replaces the identity of a name that is present.
    #[must_use]
    pub fn with(mut self, names: impl IntoIterator<Item = CertificateName>, identity: Identity) -> Self {
        let identity = Arc::new(identity);
        self.0.extend(names.into_iter().map(|name| (name, Arc::clone(&identity))));
        self
    }

    /// The identities of all names of a certificate that can be trusted.
    fn identities<'a>(&'a self, certificate: &'a PeerCertificate) -> impl Iterator<Item = &'a Arc<Identity>> {
        let is_verified = certificate.chain() == ChainStatus::Verified;
        let verified = certificate.valid_names().filter(move |_| is_verified);
        let pinned = self.0.get(&CertificateName::thumbprint(*certificate.thumbprint()));
        pinned.into_iter().chain(verified.filter_map(|name| self.0.get(name)))
    }
}

impl CertificateDirectory for CertificateMap {
    fn find(&self, certificate: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
        let mut identities = self.identities(certificate);
        let found = identities.next().filter(|first| identities.all(|other| Arc::ptr_eq(first, other)));
        Eventual::Now(Ok(found.cloned()))
    }
}
