use http::Extensions;

use super::super::{
    name::CertificateName,
    peer::{ChainStatus, PeerCertificate},
};
use crate::request::{self, TrustedProxies};

/// Who is a proxy, so that its word counts.
///
/// See the [module docs](crate::certificate).
#[derive(Clone, Debug)]
pub struct ProxyRule(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Certificates(Vec<CertificateName>),
    Networks(TrustedProxies),
}

impl ProxyRule {
    /// Who comes with a certificate of its own that bears one of these names: a [verified](ChainStatus::Verified) one, unless
    /// it is named by its thumbprint.
    #[must_use]
    pub fn certificates(names: impl IntoIterator<Item = CertificateName>) -> Self {
        Self(Rule::Certificates(names.into_iter().collect()))
    }

    /// A peer whose address is one of the trusted proxies'. A peer of a Unix socket has no address, and is never a proxy.
    #[must_use]
    pub const fn trusted(proxies: TrustedProxies) -> Self {
        Self(Rule::Networks(proxies))
    }

    /// Whether a request comes from a proxy.
    pub(super) fn admits(&self, extensions: &Extensions) -> bool {
        match &self.0 {
            Rule::Certificates(names) => PeerCertificate::of(extensions).is_some_and(|certificate| {
                let is_vouched = |name: &CertificateName| {
                    certificate.chain() == ChainStatus::Verified || name.as_thumbprint().is_some()
                };
                names.iter().any(|name| is_vouched(name) && certificate.has_name(name))
            }),
            Rule::Networks(networks) => request::of(extensions).is_some_and(|address| networks.trusts(address)),
        }
    }
}
