//! Where a request comes from: the socket's other end, or what a trusted proxy says of it.
//!
//! ```
//! use http::Request;
//! use tower_warden::{Head, peer::{Peer, TrustedProxies}};
//!
//! let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?]);
//! let mut request = Request::builder().header("x-forwarded-for", "6.6.6.6, 198.51.100.7").body(())?;
//!
//! request.extensions_mut().insert(Peer::new("10.0.0.2:4711".parse()?));
//! assert_eq!(proxies.client(&Head::from(&request)), Some("198.51.100.7".parse()?));
//!
//! // From anybody else the header is the client's own word.
//! request.extensions_mut().insert(Peer::new("203.0.113.9:4711".parse()?));
//! assert_eq!(proxies.client(&Head::from(&request)), Some("203.0.113.9".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use http::Extensions;
use ipnet::{IpNet, Ipv4Net};

use crate::{
    error::{ConfigError, ConfigErrorKind},
    head::Head,
};

/// The socket's other end, for servers that put it into a request's extensions themselves.
///
/// With the feature `axum`, `axum::extract::ConnectInfo<SocketAddr>` serves as well.
#[derive(Clone, Copy, Debug)]
pub struct Peer(SocketAddr);

impl Peer {
    /// The other end of the connection on which the request came.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// A range of IP addresses, written as `192.0.2.0/24` or as one address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address lies in the range; IPv4 that was mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => Ok(Self(canonical(network).trunc())),
            Err(_) => Err(ConfigError::new(ConfigErrorKind::Network, "not an IP network")),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

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

/// The socket's other end, if the server told it.
pub(crate) fn of(extensions: &Extensions) -> Option<IpAddr> {
    let address = match extensions.get::<Peer>() {
        Some(peer) => peer.0,
        None => connect_info(extensions)?,
    };
    Some(address.ip().to_canonical())
}

#[cfg(feature = "axum")]
fn connect_info(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<axum::extract::ConnectInfo<SocketAddr>>().map(|info| info.0)
}

#[cfg(not(feature = "axum"))]
const fn connect_info(_: &Extensions) -> Option<SocketAddr> {
    None
}

/// Addresses of IPv4 that are written as IPv6 are compared as what they are.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(network) if network.prefix_len() >= 96 => {
            network.addr().to_ipv4_mapped().zip(Some(network.prefix_len()))
        }
        IpNet::V4(_) | IpNet::V6(_) => None,
    };
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length - 96).ok()).map_or(network, IpNet::V4)
}

/// An address as proxies write it: bare, or with a port.
pub(crate) fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    bare.ok().map(|address| address.to_canonical())
}
