use std::{
    fmt,
    future::pending,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use axum::serve::{IncomingStream, Listener};
use futures_util::future::select;
use pin_project_lite::pin_project;
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    task::{JoinError, JoinSet},
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    acceptor::TlsAcceptor,
    connection::{ConnectionInfo, WithConnection},
    stream::TlsStream,
};

/// TLS listener for `axum::serve`.
///
/// Up to 1024 handshakes run concurrently, so that a slow client does not delay other clients. Further connections wait
/// until one of them has completed or failed, which takes ten seconds at most.
///
/// Serve the application [`with_connection`], so that its requests have the certificate of their connection. See the
/// [crate docs](crate#quick-start) for an example.
pub struct TlsListener {
    acceptor: TlsAcceptor,
    handshakes: JoinSet<io::Result<TlsStream<TcpStream>>>,
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
        Self { acceptor, handshakes: JoinSet::new(), tcp }
    }

    /// Returns the address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// If the operating system cannot report it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Waits for a handshake to finish, or for a connection if another handshake may start.
    async fn next(&mut self) -> Event {
        let may_start = self.handshakes.len() < MAX_HANDSHAKES;
        let Self { handshakes, tcp, .. } = self;
        // Both futures are cancel safe: the one that is dropped has taken no connection and no result.
        let connected = pin!(async {
            if !may_start {
                pending::<()>().await;
            }
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
                    let acceptor = self.acceptor.clone();
                    self.handshakes.spawn(async move { acceptor.accept(socket, peer_addr).await });
                }
                Event::Finished(Ok(Ok(stream))) => {
                    let peer_addr = stream.connection_info().peer_addr();
                    return (stream, peer_addr);
                }
                Event::Finished(Ok(Err(error))) => tracing::debug!(%error, "a TLS handshake failed"),
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

const MAX_HANDSHAKES: usize = 1024;
