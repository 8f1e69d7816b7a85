use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;
use tower_warden::{certificate::PeerCertificate, request::Peer};

/// The address and the certificate of the client of a connection.
///
/// As a [`Layer`], it adds both to the extensions of every request of the connection: see [`WithConnection`].
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    peer_addr: SocketAddr,
    peer_certificate: Option<PeerCertificate>,
}

impl ConnectionInfo {
    pub(crate) const fn new(peer_addr: SocketAddr, peer_certificate: Option<PeerCertificate>) -> Self {
        Self { peer_addr, peer_certificate }
    }

    /// Returns the address of the client.
    #[must_use]
    pub const fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    /// Returns the certificate of the client, if it presented one.
    #[must_use]
    pub const fn peer_certificate(&self) -> Option<&PeerCertificate> {
        self.peer_certificate.as_ref()
    }
}

impl<S> Layer<S> for ConnectionInfo {
    type Service = WithConnection<S>;

    fn layer(&self, inner: S) -> WithConnection<S> {
        WithConnection { inner, info: self.clone() }
    }
}

/// Service that adds the [`Peer`] and the [`PeerCertificate`] of the connection to the extensions of each request.
///
/// A [`PeerCertificate`] that a request has already is replaced, or removed if the client presented none.
#[derive(Clone, Debug)]
pub struct WithConnection<S> {
    inner: S,
    info: ConnectionInfo,
}

// Not a `tower_warden::gate::Gate`: it refuses no request.
impl<S: Service<Request<B>>, B> Service<Request<B>> for WithConnection<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let extensions = request.extensions_mut();
        extensions.insert(Peer::new(self.info.peer_addr));
        match &self.info.peer_certificate {
            Some(certificate) => extensions.insert(certificate.clone()),
            None => extensions.remove::<PeerCertificate>(),
        };
        self.inner.call(request)
    }
}
