//! Who is at the other end, told to each request.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::{certificate::PeerCertificate, request::Peer};

/// Who is at the other end of a connection; as a layer, it tells each request.
#[derive(Clone, Debug)]
pub struct Connection {
    peer: SocketAddr,
    certificate: Option<PeerCertificate>,
}

impl Connection {
    pub(super) const fn new(peer: SocketAddr, certificate: Option<PeerCertificate>) -> Self {
        Self { peer, certificate }
    }

    /// The other end's address.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Its certificate, if it has shown one.
    #[must_use]
    pub const fn certificate(&self) -> Option<&PeerCertificate> {
        self.certificate.as_ref()
    }
}

impl<S> Layer<S> for Connection {
    type Service = Connected<S>;

    fn layer(&self, inner: S) -> Connected<S> {
        Connected { inner, connection: self.clone() }
    }
}

/// Tells each request who is at the other end of its connection.
///
/// No [`Gate`](crate::gate::Gate), because it decides nothing: it has no refusal, and so no body to make one of.
#[derive(Clone, Debug)]
pub struct Connected<S> {
    inner: S,
    connection: Connection,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Connected<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let extensions = request.extensions_mut();
        extensions.insert(Peer::new(self.connection.peer));
        match &self.connection.certificate {
            Some(certificate) => extensions.insert(certificate.clone()),
            None => extensions.remove::<PeerCertificate>(),
        };
        self.inner.call(request)
    }
}
