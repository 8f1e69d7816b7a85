use std::{
    fmt,
    future::pending,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use axum::serve::{IncomingStream, Listener};
use futures_util::future::select;
use pin_project_lite::pin_project;
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    task::JoinError,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    acceptor::TlsAcceptor,
    connection::{ConnectionInfo, WithConnection},
    handshakes::Handshakes,
    stream::TlsStream,
};

/// TLS listener for `axum::serve`.
///
/// Handshakes run concurrently, so that a slow client does not delay other clients: up to 1024, and up to 256 of one
/// peer (an IPv4 address, or a /64 of IPv6). A further connection replaces an older handshake of its peer, or of the
/// peer that has the most, preferably one whose client has sent nothing. A handshake takes ten seconds at most, and
/// its client has three seconds for the first message.
///
/// Serve the application [`with_connection`], so that its requests have the certificate of their connection. See the
/// [crate docs](crate#quick-start) for an example.
pub struct TlsListener {
    acceptor: TlsAcceptor,
    handshakes: Handshakes,
    tcp: TcpListener,
}

impl TlsListener {
    /// Binds to an address.
    ///
    /// # Errors
    ///
    /// If the address cannot be resolved or bound.
    pub async fn bind(address: impl ToSocketAddrs, acceptor: TlsAcceptor) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, acceptor))
    }

    /// Uses an existing TCP listener.
    #[must_use]
    pub fn new(tcp: TcpListener, acceptor: TlsAcceptor) -> Self {
        Self { acceptor, handshakes: Handshakes::default(), tcp }
    }

    /// Sets the maximum number of concurrent handshakes: 1024 by default.
    #[must_use]
    pub const fn max_handshakes(mut self, max: NonZeroUsize) -> Self {
        self.handshakes.max = max;
        self
    }

    /// Sets the maximum number of concurrent handshakes of one peer: 256 by default. Behind a load balancer that forwards
    /// TCP connections, all clients are one peer: set it to the value of [`max_handshakes`](Self::max_handshakes).
    #[must_use]
    pub const fn max_handshakes_per_peer(mut self, max: NonZeroUsize) -> Self {
        self.handshakes.max_per_peer = max;
        self
    }

    /// Returns the address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// If the operating system cannot report it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Waits for a handshake to finish, or for a connection.
    async fn next(&mut self) -> Event {
        let Self { handshakes, tcp, .. } = self;
        // Both futures are cancel safe: the one that is dropped has taken no connection and no result.
        let connected = pin!(async {
            let (socket, peer_addr) = Listener::accept(tcp).await;
            Event::Connected(socket, peer_addr)
        });
        let finished = pin!(async {
            match handshakes.join_next().await {
                Some(finished) => Event::Finished(finished),
                None => pending().await,
            }
        });
        select(finished, connected).await.factor_first().0
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            match self.next().await {
                Event::Connected(socket, peer_addr) => {
                    self.handshakes.start(self.acceptor.clone(), socket, peer_addr);
                }
                Event::Finished(Ok(Ok(stream))) => {
                    let peer_addr = stream.connection_info().peer_addr();
                    return (stream, peer_addr);
                }
                Event::Finished(Ok(Err(error))) => tracing::debug!(%error, "a TLS handshake failed"),
                Event::Finished(Err(error)) if error.is_cancelled() => {
                    tracing::debug!("a TLS handshake was dropped, because there are too many");
                }
                Event::Finished(Err(error)) => tracing::error!(%error, "a TLS handshake panicked"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("acceptor", &self.acceptor).field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

/// An event that the listener waits for.
#[expect(clippy::large_enum_variant, reason = "it is moved twice in the lifetime of a connection")]
enum Event {
    Connected(TcpStream, SocketAddr),
    Finished(Result<io::Result<TlsStream<TcpStream>>, JoinError>),
}

/// Adds the [`ConnectionInfo`] of each connection to the requests of an application.
///
/// `app` is a `Router`, or the result of one of its `into_make_service` methods.
pub const fn with_connection<M>(app: M) -> MakeWithConnection<M> {
    MakeWithConnection(app)
}

/// Makes a [`WithConnection`] service for each connection: see [`with_connection`].
#[derive(Clone, Debug)]
pub struct MakeWithConnection<M>(M);

impl<'a, M> Service<IncomingStream<'a, TlsListener>> for MakeWithConnection<M>
where
    M: Service<IncomingStream<'a, TlsListener>>,
{
    type Response = WithConnection<M::Response>;
    type Error = M::Error;
    type Future = MakeWithConnectionFuture<M::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, stream: IncomingStream<'a, TlsListener>) -> Self::Future {
        let info = stream.io().connection_info().clone();
        MakeWithConnectionFuture { future: self.0.call(stream), info }
    }
}

pin_project! {
    /// The future of [`MakeWithConnection`].
    #[derive(Debug)]
    pub struct MakeWithConnectionFuture<F> {
        #[pin]
        future: F,
        info: ConnectionInfo,
    }
}

impl<F: Future<Output = Result<S, E>>, S, E> Future for MakeWithConnectionFuture<F> {
    type Output = Result<WithConnection<S>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let service = ready!(this.future.poll(cx))?;
        Poll::Ready(Ok(this.info.layer(service)))
    }
}
