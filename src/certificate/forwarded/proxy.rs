use http::Extensions;

use super::super::{
    name::CertificateName,
    peer::{ChainStatus, PeerCertificate},
};
use crate::request::{Head, TrustedProxies};

/// Matches requests that come from a trusted proxy: those whose [`CertificateHeader`](super::CertificateHeader) is trusted.
///
/// See the [module docs](crate::certificate#behind-a-proxy).
#[derive(Clone, Debug)]
pub struct ProxyMatcher(Matcher);

#[derive(Clone, Debug)]
enum Matcher {
    Certificates(Vec<CertificateName>),
    Networks(TrustedProxies),
}

impl ProxyMatcher {
    /// Matches proxies that connect with a client certificate that has one of these names.
    ///
    /// The proxy's certificate must be [verified](ChainStatus::Verified), unless it is identified by its thumbprint.
    #[must_use]
    pub fn certificates(names: impl IntoIterator<Item = CertificateName>) -> Self {
        Self(Matcher::Certificates(names.into_iter().collect()))
    }

    /// Matches the trusted proxies: peers whose address is in their networks, and peers on Unix sockets with
    /// [`trust_unix_sockets`](TrustedProxies::trust_unix_sockets).
    #[must_use]
    pub const fn networks(proxies: TrustedProxies) -> Self {
        Self(Matcher::Networks(proxies))
    }

    /// Returns `true` if the server has not inserted the peer, by which proxies are distinguished.
    pub(crate) fn lacks_peer(&self, head: &Head<'_>) -> bool {
        matches!(self.0, Matcher::Networks(_)) && head.peer().is_none() && !head.is_on_unix_socket()
    }

    /// Returns `true` if the request with these extensions comes from a proxy.
    pub(super) fn matches(&self, extensions: &Extensions) -> bool {
        match &self.0 {
            Matcher::Certificates(names) => PeerCertificate::of(extensions).is_some_and(|certificate| {
                let is_trusted = |name: &CertificateName| {
                    certificate.chain() == ChainStatus::Verified || name.as_thumbprint().is_some()
                };
                names.iter().any(|name| is_trusted(name) && certificate.has_name(name))
            }),
            Matcher::Networks(proxies) => proxies.trusts_peer(extensions),
        }
    }
}
