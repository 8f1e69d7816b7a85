use std::{fmt, net::IpAddr};

use http::{Extensions, HeaderMap, Method, Request, Uri};

use super::{client_address::ClientAddress, peer};

/// A request without its body.
///
/// Its [`Debug`](fmt::Debug) shows the names of header fields without their values, and the path without the query: both
/// may hold a credential.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Head<'a> {
    /// Values that the server and outer layers have added, such as the peer.
    pub extensions: &'a Extensions,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The method.
    pub method: &'a Method,
    /// The request target.
    pub uri: &'a Uri,
}

impl<'a> Head<'a> {
    /// The request target before axum's `nest` removed a prefix of the path: as the outermost `Router` has received it, from
    /// [`OriginalUri`](https://docs.rs/axum/0.8/axum/extract/struct.OriginalUri.html) (feature `axum`). Outside of axum, that
    /// of the request.
    ///
    /// A layer outside of the router that rewrites the target, and a prefix that another framework removes, are not undone.
    #[must_use]
    pub fn original_uri(&self) -> &'a Uri {
        #[cfg(feature = "axum")]
        if let Some(original) = self.extensions.get::<axum::extract::OriginalUri>() {
            return &original.0;
        }
        self.uri
    }

    /// The address of the peer, if the server put it into the extensions: as [`Peer`](crate::request::Peer),
    /// or as axum's `ConnectInfo<SocketAddr>` with the feature `axum`. A [`PeerLayer`](crate::request::PeerLayer) reads it
    /// for other servers, such as tonic's.
    ///
    /// An IPv4-mapped IPv6 address is returned as IPv4.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        peer::of(self.extensions)
    }

    /// The address of the client: the one that [`ClientAddressLayer`](super::ClientAddressLayer) has resolved, or else
    /// that of the [peer](Self::peer).
    ///
    /// `None` if the peer is unknown, or if a trusted proxy forwards something that is not an address.
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        match self.extensions.get::<ClientAddress>() {
            Some(address) => address.get(),
            None => self.peer(),
        }
    }

    /// The [address of the client](Self::client_address).
    pub(crate) fn client(&self) -> Result<IpAddr, UnknownClient> {
        let unknown = || match self.peer() {
            None if !self.is_on_unix_socket() => UnknownClient::NoPeer,
            _ => UnknownClient::NotForwarded,
        };
        self.client_address().ok_or_else(unknown)
    }

    /// Returns `true` if the peer is on a Unix socket, and has no address therefore.
    pub(crate) fn is_on_unix_socket(&self) -> bool {
        peer::is_on_unix_socket(self.extensions)
    }
}

/// The cause of a missing client address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UnknownClient {
    /// The server has not inserted the peer: a mistake of the server.
    NoPeer,
    /// The proxy has forwarded no address.
    NotForwarded,
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            extensions: request.extensions(),
            headers: request.headers(),
            method: request.method(),
            uri: request.uri(),
        }
    }
}

impl<'a> From<&'a http::request::Parts> for Head<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self { extensions: &parts.extensions, headers: &parts.headers, method: &parts.method, uri: &parts.uri }
    }
}
