use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The address of the other end of the connection, in the extensions of a request.
///
/// A server inserts it. With the feature `axum`, `axum::extract::ConnectInfo<SocketAddr>` is used as well.
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
