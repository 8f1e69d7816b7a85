use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{head::Head, network::Network};

/// The proxies whose `X-Forwarded-For` is trusted.
///
/// See the [module docs](super) for an example.
///
/// # Deployment caveat
///
/// Configure only the networks of the deployment's proxies, and have each of them append the address of its peer. The field is
/// read from its end, past trusted proxies, up to the first address that is not a trusted proxy. The addresses before
/// that one can be forged by the client, and are ignored.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Returns the address of the client; `None` if the peer is unknown, or if a trusted proxy forwards something that is
    /// not an address.
    #[must_use]
    pub fn client(&self, head: &Head<'_>) -> Option<IpAddr> {
        let mut client = head.peer()?;
        let lines = head.headers.get_all("x-forwarded-for").iter().rev();
        let mut hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.trusts(client) {
            let Some(hop) = hops.next() else { break };
            client = std::str::from_utf8(hop).ok().and_then(|hop| address(hop.trim()))?;
        }
        Some(client)
    }

    /// Returns whether the address is that of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Parses an address as proxies write it: alone, or with a port.
pub(crate) fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    bare.ok().map(|address| address.to_canonical())
}
