//! A TLS server, and clients that connect to it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::Request, routing::get};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::aws_lc_rs, pki_types::ServerName,
};
use tempfile::TempDir;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;
use tower_warden::{Head, UnixTime, certificate::PeerCertificate};
use tower_warden_tls::{TlsAcceptor, TlsFiles, TlsListener, with_connection};

use crate::pki::{Authority, Holder};

/// The time at which the tests begin.
pub const START: UnixTime = UnixTime::from_secs(1_800_000_000);

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// An axum server whose TLS files are in a temporary directory; it stops when dropped.
pub struct TestServer {
    pub acceptor: TlsAcceptor,
    pub address: SocketAddr,
    /// The authority that issues the server's certificate.
    pub authority: Authority,
    pub directory: TempDir,
    task: JoinHandle<()>,
}

impl TestServer {
    /// Starts a server that accepts the certificates of `clients`, and clients without a certificate.
    pub async fn start(clients: &Authority, app: Router) -> Self {
        Self::start_with(clients, app, |files| files).await
    }

    pub async fn start_with(clients: &Authority, app: Router, set_up: impl FnOnce(TlsFiles) -> TlsFiles) -> Self {
        Self::start_limited(clients, app, set_up, |listener| listener).await
    }

    pub async fn start_limited(
        clients: &Authority,
        app: Router,
        set_up: impl FnOnce(TlsFiles) -> TlsFiles,
        limit: impl FnOnce(TlsListener) -> TlsListener,
    ) -> Self {
        let (authority, directory) = (Authority::new("servers"), tempfile::tempdir().unwrap());
        install(directory.path(), &authority.server());
        std::fs::write(directory.path().join("clients.pem"), clients.pem()).unwrap();
        let acceptor = TlsAcceptor::open(set_up(files(directory.path()))).await.unwrap();
        let listener = limit(TlsListener::bind("127.0.0.1:0", acceptor.clone()).await.unwrap());
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, with_connection(app)).await.unwrap() });
        Self { acceptor, address, authority, directory, task }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration of a client that trusts this server.
    pub fn client(&self, holder: Option<&Holder>) -> Arc<ClientConfig> {
        client_config(&self.authority, holder, ALL_VERSIONS)
    }

    pub async fn connect(&self, config: &Arc<ClientConfig>) -> std::io::Result<Stream> {
        connect(self.address, config).await
    }

    pub async fn open(&self, holder: Option<&Holder>) -> HttpConnection {
        HttpConnection::over(self.connect(&self.client(holder)).await.unwrap()).await.unwrap()
    }

    /// Sends a request over a new connection.
    pub async fn get(&self, holder: Option<&Holder>, key: Option<&str>) -> Option<(StatusCode, String)> {
        self.get_with(&self.client(holder), key).await
    }

    pub async fn get_with(&self, config: &Arc<ClientConfig>, key: Option<&str>) -> Option<(StatusCode, String)> {
        HttpConnection::over(self.connect(config).await.ok()?).await?.get(key).await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub type Stream = tokio_rustls::client::TlsStream<TcpStream>;

pub fn files(directory: &Path) -> TlsFiles {
    let path = |name: &str| directory.join(name);
    TlsFiles::new(path("server.pem"), path("server.key")).client_authorities(path("clients.pem"))
}

pub fn install(directory: &Path, server: &Holder) {
    std::fs::write(directory.join("server.pem"), server.pem()).unwrap();
    std::fs::write(directory.join("server.key"), server.key.serialize_pem()).unwrap();
}

/// The configuration of a client that trusts the authority, with the certificate of the holder.
pub fn client_config(
    authority: &Authority,
    holder: Option<&Holder>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match holder {
        Some(holder) => {
            let (chain, key) = holder.for_rustls();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

pub async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::clone(config)).connect(server_name(), tcp).await
}

pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// A connection over which any number of requests is sent.
pub struct HttpConnection(hyper::client::conn::http1::SendRequest<Empty<Bytes>>);

impl HttpConnection {
    pub async fn over(stream: Stream) -> Option<Self> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Self(sender))
    }

    /// Sends a request; `None` if the server has closed the connection. With TLS 1.3 the handshake of a client whose
    /// certificate is refused succeeds, and only its first request fails.
    pub async fn get(&mut self, key: Option<&str>) -> Option<(StatusCode, String)> {
        let mut request = http::Request::builder().uri("/").header("host", "localhost");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = self.0.send_request(request.body(Empty::new()).unwrap()).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some((parts.status, String::from_utf8(body.to_vec()).unwrap()))
    }
}

/// An application that responds with the certificate and the address of the client.
pub fn describing_app() -> Router {
    Router::new().route("/", get(describe))
}

async fn describe(request: Request) -> String {
    let peer = Head::from(&request).peer().map_or_else(|| "nowhere".to_owned(), |peer| peer.to_string());
    let certificate = PeerCertificate::of(request.extensions());
    let subject = certificate.map_or_else(
        || "nobody".into(),
        |certificate| format!("{:?} {}", certificate.chain(), certificate.subject().unwrap()),
    );
    format!("{subject} from {peer}")
}

pub fn ok(text: &str) -> Option<(StatusCode, String)> {
    Some((StatusCode::OK, text.to_owned()))
}

pub fn status(response: Option<(StatusCode, String)>) -> u16 {
    response.expect("the server responds").0.as_u16()
}
