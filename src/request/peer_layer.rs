use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::peer::{self, Peer, UnixPeer};

/// Inserts the [`Peer`] into each request, for servers that store the address of the connection in a type of their own.
///
/// Place it outside of all other layers, also of `AuditLayer`, whose event names the peer. Servers of axum with
/// `ConnectInfo<SocketAddr>`, and those of the crate `tower-warden-tls`, do not need it.
///
/// # Examples
///
/// With tonic's own server, `PeerLayer::new(|extensions| extensions.get::<TcpConnectInfo>()?.remote_addr())`, or
/// `extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref().remote_addr()` with TLS. In general:
///
/// ```
/// use std::net::SocketAddr;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{Head, layer::PeerLayer};
///
/// /// What the server inserts.
/// #[derive(Clone)]
/// struct Connection {
///     remote: SocketAddr,
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let peer = PeerLayer::new(|extensions| Some(extensions.get::<Connection>()?.remote));
/// let service = ServiceBuilder::new().layer(peer).service_fn(async |request: Request<()>| {
///     assert_eq!(Head::from(&request).peer(), Some([192, 0, 2, 1].into()));
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
/// });
/// let connection = Connection { remote: "192.0.2.1:4711".parse()? };
/// service.oneshot(Request::builder().extension(connection).body(())?).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PeerLayer(Source);

#[derive(Clone)]
enum Source {
    Read(Arc<dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync>),
    UnixSocket,
}

impl PeerLayer {
    /// A layer that reads the address from the extensions of the request. Where the function returns `None`, it inserts
    /// nothing.
    #[must_use]
    pub fn new(address: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Read(Arc::new(address)))
    }

    /// A layer for a service that listens on a Unix socket only: each request without an address is one of a
    /// [`UnixPeer`].
    ///
    /// # Deployment caveat
    ///
    /// Do not serve the same service on TCP: requests of a TCP server that inserts no address would be those of a
    /// `UnixPeer` too, which may be trusted as a proxy. The permissions of the socket decide who can connect to it.
    #[must_use]
    pub const fn unix_socket() -> Self {
        Self(Source::UnixSocket)
    }
}

impl<S> Layer<S> for PeerLayer {
    type Service = InsertPeer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InsertPeer { inner, source: self.0.clone() }
    }
}

impl fmt::Debug for PeerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerLayer").field(&self.0).finish()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read(..)",
            Self::UnixSocket => "UnixSocket",
        })
    }
}

/// The service of [`PeerLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate): it refuses nothing.
#[derive(Clone, Debug)]
pub struct InsertPeer<S> {
    inner: S,
    source: Source,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for InsertPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        match &self.source {
            Source::Read(address) => {
                if let Some(address) = address(request.extensions()) {
                    request.extensions_mut().insert(Peer::new(address));
                }
            }
            Source::UnixSocket if peer::of(request.extensions()).is_none() => {
                request.extensions_mut().insert(UnixPeer);
            }
            Source::UnixSocket => {}
        }
        self.inner.call(request)
    }
}
