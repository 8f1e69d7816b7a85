use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_rustls::LazyConfigAcceptor;
use tower_warden::{
    Digest,
    certificate::{ChainStatus, PeerCertificate},
};

use crate::{
    connection::ConnectionInfo,
    error::{ErrorChain, TlsError, TlsErrorKind},
    files::TlsFiles,
    stream::TlsStream,
};

/// Performs the TLS handshakes of a server.
///
/// Clones share the configuration and its reloads. See the [crate docs](crate) for examples.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Inner>);

struct Inner {
    chain_status: ChainStatus,
    current: RwLock<Current>,
    files: Option<TlsFiles>,
}

/// The configuration of new connections.
struct Current {
    config: Arc<ServerConfig>,
    fingerprint: Option<[Digest; 3]>,
}

/// The result of checking the files for changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the files have changed or they have not")]
pub enum ReloadStatus {
    /// The files have changed, and new connections use them.
    Changed,
    /// The files have not changed.
    Unchanged,
}

impl TlsAcceptor {
    /// Loads the files, and starts a task that reloads them when they change.
    ///
    /// The files are checked at their [interval](TlsFiles::reload_interval). The task stops when all clones of the
    /// acceptor are dropped.
    ///
    /// # Errors
    ///
    /// [`Unreadable`](TlsErrorKind::Unreadable) if a file cannot be read, [`Invalid`](TlsErrorKind::Invalid) if its content
    /// is not valid or the files do not match each other.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    pub async fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let interval = files.reload_interval;
        let loading = tokio::task::spawn_blocking(move || Self::load(files));
        let acceptor = loading.await.unwrap_or_else(|error| {
            Err(TlsError::new(TlsErrorKind::Unreadable, "the task that loads the TLS files failed").with_source(error))
        })?;
        tokio::spawn(reload_periodically(Arc::downgrade(&acceptor.0), interval));
        Ok(acceptor)
    }

    /// Uses a custom configuration of rustls, which is never reloaded.
    ///
    /// `chain_status` is [`Verified`](ChainStatus::Verified) only if the client certificate verifier of the configuration
    /// refuses certificates that were not issued by a trusted authority.
    #[must_use]
    pub fn from_server_config(config: Arc<ServerConfig>, chain_status: ChainStatus) -> Self {
        let current = RwLock::new(Current { config, fingerprint: None });
        Self(Arc::new(Inner { chain_status, current, files: None }))
    }

    /// Checks the files for changes now, and loads them if there are any. It reads files and blocks the thread meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); the current configuration stays in use then.
    /// [`NotReloadable`](TlsErrorKind::NotReloadable) if the configuration was not loaded from files.
    pub fn reload(&self) -> Result<ReloadStatus, TlsError> {
        self.0.reload()
    }

    /// Performs the handshake of a connection, within ten seconds. The client has three seconds for its first message.
    ///
    /// # Errors
    ///
    /// If the client disconnects, exceeds the time, does not speak TLS, or presents a certificate that is not accepted.
    pub async fn accept<S>(&self, socket: S, peer_addr: SocketAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_reporting(socket, peer_addr, || ()).await
    }

    /// Performs a handshake, and calls `on_hello` when the first message of the client has arrived.
    pub(crate) async fn accept_reporting<S>(
        &self,
        socket: S,
        peer_addr: SocketAddr,
        on_hello: impl FnOnce(),
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let end = Instant::now() + HANDSHAKE_TIMEOUT;
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket);
        let start = tokio::time::timeout(HELLO_TIMEOUT, hello).await.map_err(io::Error::from)??;
        on_hello();
        let handshake = start.into_stream(self.0.config());
        let stream = tokio::time::timeout_at(end, handshake).await.map_err(io::Error::from)??;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = leaf.map(|leaf| PeerCertificate::from_der(leaf, self.0.chain_status)).transpose();
        // A certificate that cannot be parsed is refused, never treated as absent.
        let certificate = certificate.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(TlsStream::new(stream, ConnectionInfo::new(peer_addr, certificate)))
    }

    fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = Arc::new(files.server_config(&contents)?);
        let current = RwLock::new(Current { config, fingerprint: Some(contents.fingerprint()) });
        Ok(Self(Arc::new(Inner { chain_status: files.chain_status(), current, files: Some(files) })))
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("chain_status", &self.0.chain_status)
            .field("files", &self.0.files)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Replaces the configuration if the files differ from those that it was built from.
    ///
    /// The files are read without the lock, so that handshakes never wait for the file system. The configuration and the
    /// fingerprint of the same bytes are replaced together: if a concurrent reload has read older bytes and writes last,
    /// the next check detects the difference and loads the files again.
    fn reload(&self) -> Result<ReloadStatus, TlsError> {
        let not_reloadable = || {
            let message = "expected an acceptor that was opened with files: this one has a custom configuration";
            TlsError::new(TlsErrorKind::NotReloadable, message)
        };
        let files = self.files.as_ref().ok_or_else(not_reloadable)?;
        let contents = files.read()?;
        let fingerprint = Some(contents.fingerprint());
        if self.current.read().unwrap_or_else(PoisonError::into_inner).fingerprint == fingerprint {
            return Ok(ReloadStatus::Unchanged);
        }
        // A new configuration has a new session store and new ticket keys. Sessions of the previous one are not resumed, so
        // that no client is accepted by authorities that were removed.
        let config = Arc::new(files.server_config(&contents)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { config, fingerprint };
        Ok(ReloadStatus::Changed)
    }
}

/// Reloads the files at an interval until the acceptor is dropped.
async fn reload_periodically(inner: Weak<Inner>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(inner) = inner.upgrade() else { return };
        match tokio::task::spawn_blocking(move || inner.reload()).await {
            Ok(Ok(ReloadStatus::Changed)) => tracing::info!("the TLS files have changed; new connections use them"),
            Ok(Ok(ReloadStatus::Unchanged)) => {}
            Ok(Err(error)) => {
                let error = ErrorChain(&error);
                tracing::error!(%error, "the TLS files cannot be loaded; the previous configuration stays in use");
            }
            // The runtime is shutting down.
            Err(_) => return,
        }
    }
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for the first message of the client, which it sends without waiting for anything. A silent connection costs the
/// client nothing, so it is closed early.
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
