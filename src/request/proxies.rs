use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{head::Head, network::Network};

/// The proxies whose `X-Forwarded-For` is believed.
///
/// # Deployment caveat
///
/// Name the networks of your own proxies only, and let each of them append the address it sees. The field is read from
/// its end, past trusted proxies, up to the first address that is none; what stands before it is the client's own word.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// Believes the proxies in these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// The client's address; `None` if the peer is unknown, or a trusted proxy forwards something that is no address.
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

    /// Whether an address is a proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// An address as proxies write it: bare, or with a port.
pub(crate) fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    bare.ok().map(|address| address.to_canonical())
}
