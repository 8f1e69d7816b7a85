//! For `axum::serve`.

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

use super::{
    acceptor::TlsAcceptor,
    connection::{Connected, Connection},
    stream::TlsStream,
};
use crate::log;

/// So many handshakes at once; who comes then waits for one of them to end, which takes ten seconds at the most.
const HANDSHAKES: usize = 1024;

/// Listens for TLS connections. See the [module docs](super).
///
/// Handshakes go on side by side, so that nobody who is slow at it holds up others.
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
    /// If the address cannot be had.
    pub async fn bind(address: impl ToSocketAddrs, acceptor: TlsAcceptor) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, acceptor))
    }

    /// Takes a listener of one's own.
    #[must_use]
    pub fn new(tcp: TcpListener, acceptor: TlsAcceptor) -> Self {
        Self { acceptor, handshakes: JoinSet::new(), tcp }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Waits for a connection, if there is room for its handshake, or for the end of a handshake.
    async fn next(&mut self) -> Next {
        let room = self.handshakes.len() < HANDSHAKES;
        let Self { handshakes, tcp, .. } = self;
        // Neither loses anything when it is dropped for the other's sake.
        let connected = pin!(async {
            if !room {
                pending::<()>().await;
            }
            let (socket, peer) = Listener::accept(tcp).await;
            Next::Connected(socket, peer)
        });
        let ended = pin!(async {
            match handshakes.join_next().await {
                Some(ended) => Next::Ended(ended),
                None => pending().await,
            }
        });
        select(ended, connected).await.factor_first().0
    }
}

/// What happens next.
#[expect(clippy::large_enum_variant, reason = "it is moved twice in the life of a connection")]
enum Next {
    Connected(TcpStream, SocketAddr),
    Ended(Result<io::Result<TlsStream<TcpStream>>, JoinError>),
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            match self.next().await {
                Next::Connected(socket, peer) => {
                    let acceptor = self.acceptor.clone();
                    self.handshakes.spawn(async move { acceptor.accept(socket, peer).await });
                }
                Next::Ended(Ok(Ok(stream))) => {
                    let peer = stream.connection().peer();
                    return (stream, peer);
                }
                Next::Ended(Ok(Err(error))) => log::debug!(error = %error, "a TLS handshake failed"),
                Next::Ended(Err(error)) => log::error!(error = %error, "a TLS handshake panicked"),
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

/// Has each request told who is at the other end of its connection; `app` is a router, or what
/// `into_make_service…` makes of one.
pub const fn with_connection<M>(app: M) -> MakeWithConnection<M> {
    MakeWithConnection(app)
}

/// Makes services that tell each request who is at the other end of its connection: see [`with_connection`].
#[derive(Clone, Debug)]
pub struct MakeWithConnection<M>(M);

impl<'a, M> Service<IncomingStream<'a, TlsListener>> for MakeWithConnection<M>
where
    M: Service<IncomingStream<'a, TlsListener>>,
{
    type Response = Connected<M::Response>;
    type Error = M::Error;
    type Future = MakeWithConnectionFuture<M::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, stream: IncomingStream<'a, TlsListener>) -> Self::Future {
        let connection = stream.io().connection().clone();
        MakeWithConnectionFuture { future: self.0.call(stream), connection }
    }
}

pin_project! {
    /// The future of [`MakeWithConnection`].
    #[derive(Debug)]
    pub struct MakeWithConnectionFuture<F> {
        #[pin]
        future: F,
        connection: Connection,
    }
}

impl<F: Future<Output = Result<S, E>>, S, E> Future for MakeWithConnectionFuture<F> {
    type Output = Result<Connected<S>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let service = ready!(this.future.poll(cx))?;
        Poll::Ready(Ok(this.connection.layer(service)))
    }
}
