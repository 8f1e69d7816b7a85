use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::Extensions;

use super::{head::Head, network::Network, pairs, peer};

/// The proxies whose `X-Forwarded-For` or `Forwarded` is trusted.
///
/// See the [module docs](super) for an example.
///
/// # Deployment caveat
///
/// Configure only the networks of the deployment's proxies, and have each of them append the address of its peer. The field is
/// read from its end, past trusted proxies, up to the first address that is not a trusted proxy. The addresses before
/// that one can be forged by the client, and are ignored.
///
/// A request of a trusted proxy without the field is one of the proxy itself, such as a health check: its client is the
/// address of the proxy. If a proxy does not set the field for its clients, all of them have that address: they share the
/// limits by peer, and a key that is restricted to a network of proxies is valid for all of them.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    field: AddressField,
    networks: Arc<[Network]>,
    unix_sockets: UnixSockets,
}

/// The field in which proxies forward the address of their client.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AddressField {
    /// `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)), its parameter `for`. A field that does not match the
    /// grammar of [RFC 7239 §4](https://www.rfc-editor.org/rfc/rfc7239#section-4) has no address.
    Forwarded,
    /// `X-Forwarded-For`: the default.
    #[default]
    XForwardedFor,
}

/// The trust in peers on Unix sockets, or the lack of it.
#[derive(Clone, Copy, Debug, Default)]
enum UnixSockets {
    #[default]
    Distrust,
    Trust,
}

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self { networks: networks.into_iter().collect(), ..Self::default() }
    }

    /// Sets the field that is read: `X-Forwarded-For` by default. The other one is ignored.
    #[must_use]
    pub const fn field(mut self, field: AddressField) -> Self {
        self.field = field;
        self
    }

    /// Trusts proxies that connect over a Unix socket, such as nginx with `proxy_pass http://unix:/run/api.sock`.
    ///
    /// Their requests have a [`UnixPeer`](super::UnixPeer) in the extensions:
    /// [`PeerLayer::unix_socket`](super::PeerLayer::unix_socket) inserts it.
    #[must_use]
    pub const fn trust_unix_sockets(mut self) -> Self {
        self.unix_sockets = UnixSockets::Trust;
        self
    }

    /// Returns the address of the client, which is that of the proxy if it is trusted and has sent no field; `None` if the peer
    /// is unknown, if a trusted proxy forwards something that is not an address, or if one on a Unix socket forwards none.
    #[must_use]
    pub fn client(&self, head: &Head<'_>) -> Option<IpAddr> {
        let lines = |name| head.headers.get_all(name).iter().rev();
        match self.field {
            AddressField::Forwarded => {
                let elements = |line: &http::HeaderValue| forwarded_for(line.to_str().unwrap_or_default());
                self.walk(head.extensions, lines("forwarded").flat_map(|line| elements(line).into_iter().rev()))
            }
            AddressField::XForwardedFor => {
                let hops = lines("x-forwarded-for").flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
                self.walk(
                    head.extensions,
                    hops.map(|hop| std::str::from_utf8(hop).ok().and_then(|hop| address(hop.trim()))),
                )
            }
        }
    }

    /// The first address that is not a trusted proxy; the hops are in the order from the end of the field.
    fn walk(&self, extensions: &Extensions, mut hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut client = match peer::of(extensions) {
            Some(peer) => peer,
            None if self.trusts_peer(extensions) => hops.next()??,
            None => return None,
        };
        while self.trusts(client) {
            let Some(hop) = hops.next() else { break };
            client = hop?;
        }
        Some(client)
    }

    /// Returns whether the request comes from a trusted proxy.
    pub(crate) fn trusts_peer(&self, extensions: &Extensions) -> bool {
        match (peer::of(extensions), self.unix_sockets) {
            (Some(address), _) => self.trusts(address),
            (None, UnixSockets::Trust) => peer::is_on_unix_socket(extensions),
            (None, UnixSockets::Distrust) => false,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// The addresses of a line of `Forwarded`, one for each element; a single `None` if the line is malformed.
fn forwarded_for(line: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = pairs::elements(line) else { return vec![None] };
    let node = |element: Vec<pairs::Pair<'_>>| {
        let mut nodes = element.iter().filter(|pair| pair.is("for"));
        let only = nodes.next().filter(|_| nodes.next().is_none())?;
        address(only.plain()?.trim())
    };
    elements.into_iter().map(node).collect()
}

/// Parses an address as proxies write it: alone or with a port, an IPv6 address in brackets or not, with a zone or not.
pub(crate) fn address(hop: &str) -> Option<IpAddr> {
    let address = match hop.strip_prefix('[') {
        Some(hop) => {
            let (address, port) = hop.split_once(']')?;
            ipv6(address).filter(|_| port.is_empty() || is_port(port))
        }
        None => ipv6(hop).or_else(|| {
            let (address, port) = hop.split_at(hop.find(':').unwrap_or(hop.len()));
            let address = address.parse::<Ipv4Addr>().ok().filter(|_| port.is_empty() || is_port(port));
            address.map(IpAddr::V4)
        }),
    };
    address.map(|address| address.to_canonical())
}

/// An IPv6 address; the name of an interface is not a part of it (RFC 4007 §11).
fn ipv6(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address,
        Some(_) => return None,
        None => text,
    };
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Returns `true` for a colon and a port, which may be obfuscated (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return false };
    match port.strip_prefix('_') {
        Some(name) => {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}
