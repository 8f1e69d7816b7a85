//! Real TLS over the loopback.

use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::{Router, extract::Request, routing::get};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::date_time_ymd;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName, server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tower::Layer;
use tower_warden::{
    AuthMethod, Environment, Head, Identity, ManualClock,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    caller::Confirmation,
    certificate::{
        CertificateMap, CertificateName, CertificateProof, ChainStatus, ClientCertificates, PeerCertificate,
    },
    layer::AuthLayer,
    tls::{Reloaded, TlsAcceptor, TlsErrorKind, TlsFiles, TlsListener, with_connection},
};

use crate::{
    pki::{Authority, Holder, client},
    support::{START, seconds},
};

/// A server with files, which ends with the value.
struct Site {
    acceptor: TlsAcceptor,
    address: SocketAddr,
    authority: Authority,
    files: TempDir,
    server: JoinHandle<()>,
}

impl Site {
    /// Client certificates are those of `clients`, and there need be none.
    async fn of(clients: &Authority, app: Router) -> Self {
        Self::with(clients, app, |files| files).await
    }

    async fn with(clients: &Authority, app: Router, set_up: impl FnOnce(TlsFiles) -> TlsFiles) -> Self {
        let (authority, directory) = (Authority::new("servers"), tempfile::tempdir().unwrap());
        install(directory.path(), &authority.server());
        std::fs::write(directory.path().join("clients.pem"), clients.pem()).unwrap();
        let acceptor = TlsAcceptor::open(set_up(files(directory.path()))).await.unwrap();
        let listener = TlsListener::bind("127.0.0.1:0", acceptor.clone()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, with_connection(app)).await.unwrap() });
        Self { acceptor, address, authority, files: directory, server }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    /// What a client trusts and shows.
    fn client(&self, holder: Option<&Holder>) -> Arc<ClientConfig> {
        trusting(&self.authority, holder)
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> std::io::Result<Stream> {
        connect(self.address, config).await
    }

    /// Asks over a connection of its own.
    async fn get(&self, holder: Option<&Holder>, key: Option<&str>) -> Option<(StatusCode, String)> {
        let stream = self.connect(&self.client(holder)).await.ok()?;
        ask(&mut Http::over(stream).await?, key).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

fn files(directory: &Path) -> TlsFiles {
    let path = |name: &str| directory.join(name);
    TlsFiles::new(path("server.pem"), path("server.key")).client_authorities(path("clients.pem"))
}

fn install(directory: &Path, server: &Holder) {
    std::fs::write(directory.join("server.pem"), server.pem()).unwrap();
    std::fs::write(directory.join("server.key"), server.key.serialize_pem()).unwrap();
}

fn trusting(authority: &Authority, holder: Option<&Holder>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
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

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::clone(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

/// One connection.
struct Http(hyper::client::conn::http1::SendRequest<Empty<Bytes>>);

impl Http {
    async fn over(stream: Stream) -> Option<Self> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Self(sender))
    }
}

/// `None` if the server has closed the connection: with TLS 1.3 a client hears later that its certificate is refused.
async fn ask(http: &mut Http, key: Option<&str>) -> Option<(StatusCode, String)> {
    let mut request = http::Request::builder().uri("/").header("host", "localhost");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let response = http.0.send_request(request.body(Empty::new()).unwrap()).await.ok()?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some((parts.status, String::from_utf8(body.to_vec()).unwrap()))
}

/// Tells the certificate, and whether there is a peer.
fn telling() -> Router {
    Router::new().route("/", get(tell))
}

async fn tell(request: Request) -> String {
    let peer = Head::from(&request).peer().map_or_else(|| "nowhere".to_owned(), |peer| peer.to_string());
    let certificate = PeerCertificate::of(request.extensions());
    let told = certificate.map_or_else(
        || "nobody".into(),
        |certificate| format!("{:?} {}", certificate.chain(), certificate.subject().unwrap()),
    );
    format!("{told} from {peer}")
}

fn ok(text: &str) -> Option<(StatusCode, String)> {
    Some((StatusCode::OK, text.to_owned()))
}

fn status(answer: Option<(StatusCode, String)>) -> u16 {
    answer.expect("the server answers").0.as_u16()
}

#[tokio::test]
async fn a_request_has_the_certificate_and_the_address_of_its_connection() {
    let clients = Authority::new("clients");
    let site = Site::of(&clients, telling()).await;
    let alice = clients.client("alice");
    assert_eq!(site.get(Some(&alice), None).await, ok("Verified CN=alice from 127.0.0.1"));
    assert_eq!(site.get(None, None).await, ok("nobody from 127.0.0.1"));
}

#[tokio::test]
async fn a_certificate_of_another_authority_an_expired_one_and_a_self_signed_one_are_disconnected() {
    let clients = Authority::new("clients");
    let site = Site::of(&clients, telling()).await;
    let mut old = client("alice");
    old.not_after = date_time_ymd(2020, 1, 1);
    for bad in [Authority::new("clients").client("alice"), clients.issue(&old), Holder::self_signed(&client("alice"))] {
        assert_eq!(site.get(Some(&bad), None).await, None);
    }
    let mut server = client("alice");
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(site.get(Some(&clients.issue(&server)), None).await, None, "it is none for clients");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_disconnected_where_one_is_required() {
    let clients = Authority::new("clients");
    let site = Site::with(&clients, telling(), TlsFiles::require_client_certificate).await;
    assert_eq!(site.get(None, None).await, None);
    assert!(site.get(Some(&clients.client("alice")), None).await.is_some());
}

#[tokio::test]
async fn any_certificate_is_taken_as_unverified_and_only_with_its_key() {
    let clients = Authority::new("clients");
    let site = Site::with(&clients, telling(), TlsFiles::danger_any_client_certificate).await;
    let own = Holder::self_signed(&client("alice"));
    assert_eq!(site.get(Some(&own), None).await, ok("Unverified CN=alice from 127.0.0.1"));
    let other = Authority::new("another").client("bob");
    assert_eq!(site.get(Some(&other), None).await, ok("Unverified CN=bob from 127.0.0.1"));
    assert_eq!(site.get(None, None).await, ok("nobody from 127.0.0.1"));

    // Whoever has but seen the certificate signs with a key of his own.
    let thief = Holder { certificate: own.certificate.clone(), key: rcgen::KeyPair::generate().unwrap() };
    let (chain, key) = thief.for_rustls();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let mut config = ClientConfig::clone(&site.client(None));
    config.client_auth_cert_resolver = Arc::new(Shows(Arc::new(rustls::sign::CertifiedKey::new(chain, key))));
    let http = Http::over(site.connect(&Arc::new(config)).await.unwrap()).await;
    assert_eq!(ask(&mut http.unwrap(), None).await, None);
}

/// Shows a certificate, whatever key is behind it.
#[derive(Debug)]
struct Shows(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Keys that are bound, or not, and their app.
async fn bound(holder: &Holder) -> (Router, String) {
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk").unwrap());
    let key = NewKey::new("alice").confirmation(Confirmation::certificate(holder.thumbprint()));
    let (_, key) = keys.mint(key).await.unwrap();
    (telling().layer(AuthLayer::new(keys).proof(CertificateProof)), key.expose().to_owned())
}

/// (101, 102, 111)
#[tokio::test]
async fn two_connections_that_share_a_cached_key_are_told_apart() {
    let clients = Authority::new("clients");
    let (right, wrong) = (clients.client("right"), clients.client("wrong"));
    let (app, key) = bound(&right).await;
    let site = Site::of(&clients, app).await;
    let open =
        async |holder: Option<&Holder>| Http::over(site.connect(&site.client(holder)).await.unwrap()).await.unwrap();
    let mut connections = [open(Some(&right)).await, open(Some(&wrong)).await, open(None).await];
    for _ in 0..3 {
        let [right, wrong, none] = &mut connections;
        assert_eq!(status(ask(right, Some(&key)).await), 200);
        assert_eq!(status(ask(wrong, Some(&key)).await), 401);
        assert_eq!(status(ask(none, Some(&key)).await), 401);
    }
}

/// (110)
#[tokio::test]
async fn a_resumed_session_has_the_certificate_that_it_began_with() {
    let clients = Authority::new("clients");
    let (right, wrong) = (clients.client("right"), clients.client("wrong"));
    let (app, key) = bound(&right).await;
    let site = Site::of(&clients, app).await;
    for (holder, expected) in [(&right, 200), (&wrong, 401)] {
        let config = site.client(Some(holder));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = site.connect(&config).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
            assert_eq!(status(ask(&mut Http::over(stream).await.unwrap(), Some(&key)).await), expected);
        }
    }
}

#[tokio::test]
async fn a_certificate_authenticates_over_a_real_connection_until_it_ends() {
    let clients = Authority::new("clients");
    let mut billing = Identity::new("billing", AuthMethod::ClientCertificate);
    billing.tenant = Some("acme".into());
    let map = CertificateMap::default().with([CertificateName::subject("CN=billing")], billing);
    let clock = ManualClock::at(START);
    let layer =
        AuthLayer::new(ClientCertificates::new(map)).environment(&Environment::default().with_clock(clock.clone()));
    let site = Site::of(&clients, telling().layer(layer)).await;
    let mut params = client("billing");
    params.not_after = date_time_ymd(2100, 1, 1);
    let holder = clients.issue(&params);

    let mut http = Http::over(site.connect(&site.client(Some(&holder))).await.unwrap()).await.unwrap();
    assert_eq!(status(ask(&mut http, None).await), 200);
    assert_eq!(status(site.get(Some(&clients.client("stranger")), None).await), 401);
    assert_eq!(status(site.get(None, None).await), 401);
    // A connection that is kept open does not keep its certificate alive.
    clock.set(holder.peer(ChainStatus::Verified).not_after().unwrap() + seconds(1));
    assert_eq!(status(ask(&mut http, None).await), 401);
}

#[tokio::test]
async fn changed_files_count_for_new_connections_and_open_ones_stay() {
    let (clients, others) = (Authority::new("clients"), Authority::new("others"));
    let (alice, bob) = (clients.client("alice"), others.client("bob"));
    let site = Site::of(&clients, telling()).await;
    let config = site.client(Some(&alice));
    let mut open = Http::over(site.connect(&config).await.unwrap()).await.unwrap();
    assert!(ask(&mut open, None).await.is_some());
    assert_eq!(site.get(Some(&bob), None).await, None);
    assert_eq!(site.acceptor.reload().unwrap(), Reloaded::Unchanged);

    std::fs::write(site.path("clients.pem"), others.pem()).unwrap();
    assert_eq!(site.acceptor.reload().unwrap(), Reloaded::Changed);
    assert!(ask(&mut open, None).await.is_some());
    assert_eq!(site.get(Some(&bob), None).await, ok("Verified CN=bob from 127.0.0.1"));
    // Nor by a session from before.
    let again = site.connect(&config).await.unwrap();
    assert_ne!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(ask(&mut Http::over(again).await.unwrap(), None).await, None);

    let server = site.authority.server();
    install(site.files.path(), &server);
    assert_eq!(site.acceptor.reload().unwrap(), Reloaded::Changed);
    let stream = site.connect(&site.client(Some(&bob))).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0].as_ref(), server.certificate);
}

#[tokio::test]
async fn files_of_no_use_leave_the_good_ones_in_place() {
    let clients = Authority::new("clients");
    let site = Site::of(&clients, telling()).await;
    let alice = clients.client("alice");
    let good = ["server.pem", "server.key", "clients.pem"].map(|name| std::fs::read(site.path(name)).unwrap());
    let other = site.authority.server();
    let refused = [
        ("server.pem", Some(other.pem()), TlsErrorKind::Unusable),
        ("server.key", Some(other.key.serialize_pem()), TlsErrorKind::Unusable),
        ("server.pem", Some(String::new()), TlsErrorKind::Unusable),
        ("server.key", Some("-----BEGIN".into()), TlsErrorKind::Unusable),
        ("clients.pem", Some(String::new()), TlsErrorKind::Unusable),
        (
            "clients.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()),
            TlsErrorKind::Unusable,
        ),
        ("clients.pem", None, TlsErrorKind::Unreadable),
    ];
    for (name, text, kind) in refused {
        match text {
            Some(text) => std::fs::write(site.path(name), text).unwrap(),
            None => std::fs::remove_file(site.path(name)).unwrap(),
        }
        let error = site.acceptor.reload().unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(site.get(Some(&alice), None).await.is_some());
        for (name, bytes) in ["server.pem", "server.key", "clients.pem"].into_iter().zip(&good) {
            std::fs::write(site.path(name), bytes).unwrap();
        }
        assert_eq!(site.acceptor.reload().unwrap(), Reloaded::Unchanged);
    }
    assert!(TlsAcceptor::open(files(Path::new("/nowhere"))).await.is_err());
    let required = TlsFiles::new(site.path("server.pem"), site.path("server.key")).require_client_certificate();
    assert_eq!(TlsAcceptor::open(required).await.unwrap_err().kind(), TlsErrorKind::Unusable);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_under_load_fail_no_request() {
    let clients = Authority::new("clients");
    let site = Arc::new(
        Site::with(&clients, telling(), |files| files.reload_every(std::time::Duration::from_millis(1))).await,
    );
    let alice = Arc::new(clients.client("alice"));
    let load = (0..4).map(|_| {
        let (site, alice) = (Arc::clone(&site), Arc::clone(&alice));
        tokio::spawn(async move {
            for _ in 0..50 {
                assert_eq!(site.get(Some(&alice), None).await, ok("Verified CN=alice from 127.0.0.1"));
            }
        })
    });
    let load: Vec<_> = load.collect();
    let mut newest = site.authority.server();
    while load.iter().any(|load| !load.is_finished()) {
        // One file after the other: what the server reads between is of no use.
        newest = site.authority.server();
        install(site.files.path(), &newest);
        tokio::task::yield_now().await;
    }
    for load in load {
        load.await.unwrap();
    }
    // Without being told, the server finds the last of them.
    let served = async || {
        let stream = site.connect(&site.client(None)).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].as_ref() == newest.certificate
    };
    while !served().await {}
}

#[tokio::test]
async fn clients_that_do_not_shake_hands_hold_up_nobody() {
    let clients = Authority::new("clients");
    let site = Site::of(&clients, telling()).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(site.address).await.unwrap());
    }
    let mut plain = TcpStream::connect(site.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP"), "TLS is spoken here");
    assert!(site.get(Some(&clients.client("alice")), None).await.is_some());
}

#[tokio::test]
async fn hyper_serves_a_stream_with_a_configuration_of_ones_own() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.der()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (chain, key) = servers.server().for_rustls();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::with_configuration(Arc::new(config), ChainStatus::Verified);
    assert_eq!(acceptor.reload().unwrap_err().kind(), TlsErrorKind::Fixed);

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (socket, peer) = tcp.accept().await.unwrap();
        let stream = acceptor.accept(socket, peer).await.unwrap();
        assert_eq!(stream.connection().peer(), peer);
        let service = TowerToHyperService::new(stream.connection().layer(telling()));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connection.await.unwrap();
    });
    let stream = connect(address, &trusting(&servers, Some(&clients.client("alice")))).await.unwrap();
    let mut http = Http::over(stream).await.unwrap();
    assert_eq!(ask(&mut http, None).await, ok("Verified CN=alice from 127.0.0.1"));
    drop(http);
    server.await.unwrap();
}
