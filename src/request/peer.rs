use std::net::{IpAddr, SocketAddr};

use http::Extensions;

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
