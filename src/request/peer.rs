use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The address of the other end of the connection, in the extensions of a request.
///
/// A server inserts it, or a [`PeerLayer`](super::PeerLayer). With the feature `axum`,
/// `axum::extract::ConnectInfo<SocketAddr>` is used as well.
#[derive(Clone, Copy, Debug)]
pub struct Peer(SocketAddr);

impl Peer {
    /// Creates a peer from its socket address.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    /// The socket address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0
    }
}

/// Marks requests of a connection over a Unix socket, in the extensions of a request: the peer is on this machine, and has no
/// address.
///
/// [`PeerLayer::unix_socket`](super::PeerLayer::unix_socket) inserts it, or a custom server.
/// [`TrustedProxies::trust_unix_sockets`](super::TrustedProxies::trust_unix_sockets) trusts such peers as proxies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct UnixPeer;

/// Returns `true` if the peer is on a Unix socket.
pub(crate) fn is_on_unix_socket(extensions: &Extensions) -> bool {
    extensions.get::<UnixPeer>().is_some() && of(extensions).is_none()
}

/// Returns the IP address of the peer, if the server has inserted it.
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
