//! A request without its body.

use std::{fmt, net::IpAddr};

use http::{Extensions, HeaderMap, Method, Request, Uri};

use super::peer;

/// Everything of a request but its body.
///
/// Its [`Debug`](fmt::Debug) tells the names of header fields and no values, and the path without the query: both may
/// hold a credential.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Head<'a> {
    /// What the request carries besides HTTP: the peer, what outer layers left.
    pub extensions: &'a Extensions,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
}

impl Head<'_> {
    /// The address of the socket's other end, if the server put it into the extensions: as [`Peer`](crate::request::Peer),
    /// or as axum's `ConnectInfo<SocketAddr>` with the feature `axum`.
    ///
    /// An IPv4 address that was mapped into IPv6 is told as IPv4.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        peer::of(self.extensions)
    }
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
