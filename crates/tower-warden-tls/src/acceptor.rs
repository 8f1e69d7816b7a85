//! From a socket to a stream whose other end is known.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    connection::Connection,
    error::{TlsError, TlsErrorKind},
    files::TlsFiles,
    stream::TlsStream,
};
use crate::{
    certificate::{ChainStatus, PeerCertificate},
    digest::Digest,
    log::{self, Causes},
};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts TLS connections; clones share everything.
///
/// See the [module docs](super).
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Inner>);

struct Inner {
    chain: ChainStatus,
    current: RwLock<Current>,
    files: Option<TlsFiles>,
}

struct Current {
    configuration: Arc<ServerConfig>,
    fingerprint: Option<[Digest; 3]>,
}

/// What a look at the files came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between")]
pub enum Reloaded {
    /// New connections get what is in the files now.
    Changed,
    /// The files are as they were.
    Unchanged,
}

impl TlsAcceptor {
    /// Reads the files, and looks at them again as often as they say, as long as there is a clone of this.
    ///
    /// # Errors
    ///
    /// [`Unreadable`](TlsErrorKind::Unreadable) if a file cannot be read, [`Unusable`](TlsErrorKind::Unusable) if what is
    /// in them is of no use.
    pub async fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let reading = tokio::task::spawn_blocking(move || Self::read(files));
        let lost = |lost| Err(TlsError::new(TlsErrorKind::Unreadable, "the files were not read").because(lost));
        let acceptor = reading.await.unwrap_or_else(lost)?;
        let interval = acceptor.0.files.as_ref().map_or(HANDSHAKE, |files| files.reload);
        tokio::spawn(watch(Arc::downgrade(&acceptor.0), interval));
        Ok(acceptor)
    }

    /// Takes a configuration of one's own; `chain` tells whether its verifier refuses certificates that nobody vouches
    /// for.
    #[must_use]
    pub fn with_configuration(configuration: Arc<ServerConfig>, chain: ChainStatus) -> Self {
        let current = RwLock::new(Current { configuration, fingerprint: None });
        Self(Arc::new(Inner { chain, current, files: None }))
    }

    /// Looks at the files now.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Fixed`](TlsErrorKind::Fixed) if there are no files; what was good before stays.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        self.0.reload()
    }

    /// Shakes hands, within ten seconds.
    ///
    /// # Errors
    ///
    /// If the client goes away, takes too long, speaks no TLS, or has a certificate that is not taken.
    pub async fn accept<S>(&self, socket: S, peer: SocketAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = tokio_rustls::TlsAcceptor::from(self.0.configuration()).accept(socket);
        let stream = tokio::time::timeout(HANDSHAKE, handshake).await.map_err(io::Error::from)??;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = leaf.map(|leaf| PeerCertificate::from_der(leaf, self.0.chain)).transpose();
        // One that cannot be read must not look like none.
        let certificate = certificate.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(TlsStream::new(stream, Connection::new(peer, certificate)))
    }

    fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let configuration = Arc::new(files.configuration(&contents)?);
        let current = RwLock::new(Current { configuration, fingerprint: Some(contents.fingerprint()) });
        Ok(Self(Arc::new(Inner { chain: files.chain(), current, files: Some(files) })))
    }
}

impl Inner {
    fn configuration(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).configuration)
    }

    fn reload(&self) -> Result<Reloaded, TlsError> {
        let fixed = || TlsError::new(TlsErrorKind::Fixed, "the configuration did not come from files");
        let files = self.files.as_ref().ok_or_else(fixed)?;
        let contents = files.read()?;
        let fingerprint = Some(contents.fingerprint());
        if self.current.read().unwrap_or_else(PoisonError::into_inner).fingerprint == fingerprint {
            return Ok(Reloaded::Unchanged);
        }
        // A configuration has a store of sessions of its own: none from before is resumed, whoever is trusted now.
        let configuration = Arc::new(files.configuration(&contents)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { configuration, fingerprint };
        Ok(Reloaded::Changed)
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("chain", &self.0.chain)
            .field("files", &self.0.files)
            .finish_non_exhaustive()
    }
}

/// Looks at the files, again and again, until nobody accepts with them any more.
async fn watch(inner: Weak<Inner>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(inner) = inner.upgrade() else { return };
        match tokio::task::spawn_blocking(move || inner.reload()).await {
            Ok(Ok(Reloaded::Changed)) => log::info!("the TLS files have changed; new connections get what is in them"),
            Ok(Ok(Reloaded::Unchanged)) => {}
            Ok(Err(error)) => {
                log::error!(error = %Causes(&error), "the TLS files are of no use; the last good ones stay")
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}
