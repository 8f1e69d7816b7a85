//! Client certificates, and the requests of their connections.

use std::sync::Arc;

use axum::Router;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::date_time_ymd;
use rustls::{
    ALL_VERSIONS, CertificateError, ClientConfig, HandshakeKind, RootCertStore, crypto::aws_lc_rs,
    server::WebPkiClientVerifier, sign::CertifiedKey, version,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tower::Layer;
use tower_warden::{
    AuthMethod, Environment, Identity, ManualClock,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    caller::Confirmation,
    certificate::{CertificateMap, CertificateName, CertificateProof, ChainStatus, ClientCertificates},
    layer::AuthLayer,
};
use tower_warden_tls::{TlsAcceptor, TlsErrorKind, TlsFiles};

use crate::{
    pki::{Authority, Holder, client},
    support::{
        HttpConnection, START, TestServer, client_config, connect, describing_app, ok, seconds, server_name, status,
    },
};

#[tokio::test]
async fn a_request_has_the_certificate_and_the_address_of_its_connection() {
    let clients = Authority::new("clients");
    let server = TestServer::start(&clients, describing_app()).await;
    let alice = clients.client("alice");
    assert_eq!(server.get(Some(&alice), None).await, ok("Verified CN=alice from 127.0.0.1"));
    assert_eq!(server.get(None, None).await, ok("nobody from 127.0.0.1"));
}

#[tokio::test]
async fn a_certificate_that_is_foreign_expired_self_signed_or_for_servers_is_disconnected() {
    let clients = Authority::new("clients");
    let server = TestServer::start(&clients, describing_app()).await;
    let foreign = Authority::new("clients").client("alice");
    let mut expired = client("alice");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let mut for_servers = client("alice");
    for_servers.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let self_signed = Holder::self_signed(&client("alice"));
    for (name, holder) in [
        ("foreign", foreign),
        ("expired", clients.issue(&expired)),
        ("self-signed", self_signed),
        ("for servers", clients.issue(&for_servers)),
    ] {
        assert_eq!(server.get(Some(&holder), None).await, None, "{name}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_disconnected_if_one_is_required() {
    let clients = Authority::new("clients");
    let server = TestServer::start_with(&clients, describing_app(), TlsFiles::require_client_certificate).await;
    assert_eq!(server.get(None, None).await, None);
    assert!(server.get(Some(&clients.client("alice")), None).await.is_some());
}

#[tokio::test]
async fn any_certificate_is_accepted_as_unverified_if_so_configured() {
    let clients = Authority::new("clients");
    let server = TestServer::start_with(&clients, describing_app(), TlsFiles::danger_any_client_certificate).await;
    let own = Holder::self_signed(&client("alice"));
    assert_eq!(server.get(Some(&own), None).await, ok("Unverified CN=alice from 127.0.0.1"));
    let other = Authority::new("another").client("bob");
    assert_eq!(server.get(Some(&other), None).await, ok("Unverified CN=bob from 127.0.0.1"));
    assert_eq!(server.get(None, None).await, ok("nobody from 127.0.0.1"));
}

#[tokio::test]
async fn a_certificate_is_refused_without_its_key_over_every_tls_version() {
    let clients = Authority::new("clients");
    let server = TestServer::start_with(&clients, describing_app(), TlsFiles::danger_any_client_certificate).await;
    let alice = Holder::self_signed(&client("alice"));
    // The thief has seen the certificate, and signs with a key of its own.
    let thief = Holder { certificate: alice.certificate.clone(), key: rcgen::KeyPair::generate().unwrap() };
    for version in [&version::TLS12, &version::TLS13] {
        let honest = client_config(&server.authority, Some(&alice), &[version]);
        let stream = server.connect(&honest).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let response = HttpConnection::over(stream).await.unwrap().get(None).await;
        assert_eq!(response, ok("Unverified CN=alice from 127.0.0.1"), "{version:?}");

        let stolen = presenting(&client_config(&server.authority, None, &[version]), &thief);
        assert_eq!(server.get_with(&stolen, None).await, None, "{version:?}");

        // The signature is the reason, and not something else about this client.
        let (client_end, server_end) = tokio::io::duplex(1 << 16);
        let connector = TlsConnector::from(stolen);
        let (accepted, _) = tokio::join!(
            server.acceptor.accept(server_end, server.address),
            connector.connect(server_name(), client_end)
        );
        let error = accepted.unwrap_err().into_inner().unwrap().downcast::<rustls::Error>().unwrap();
        assert_eq!(*error, rustls::Error::InvalidCertificate(CertificateError::BadSignature), "{version:?}");
    }
}

/// What rustls does not parse, but other TLS libraries let clients present.
#[tokio::test]
async fn a_certificate_of_x509_v1_is_accepted_with_its_key_only_if_any_certificate_is() {
    let clients = Authority::new("clients");
    let any = TestServer::start_with(&clients, describing_app(), TlsFiles::danger_any_client_certificate).await;
    let issued = TestServer::start(&clients, describing_app()).await;
    let v3 = clients.client("alice");
    let v1 = Holder { certificate: version_1(&v3.certificate), key: v3.key };
    let thief = Holder { certificate: v1.certificate.clone(), key: rcgen::KeyPair::generate().unwrap() };
    for version in [&version::TLS12, &version::TLS13] {
        let config = |server: &TestServer, holder: &Holder| {
            presenting(&client_config(&server.authority, None, &[version]), holder)
        };
        let response = any.get_with(&config(&any, &v1), None).await;
        assert_eq!(response, ok("Unverified CN=alice from 127.0.0.1"), "{version:?}");
        assert_eq!(any.get_with(&config(&any, &thief), None).await, None, "{version:?}");
        assert_eq!(issued.get_with(&config(&issued, &v1), None).await, None, "{version:?}");
    }
}

/// The certificate without its version and extensions, and with a signature that does not fit: nobody verifies it.
fn version_1(certificate: &[u8]) -> Vec<u8> {
    let [whole] = &*children(certificate) else { panic!("one value") };
    let [tbs, algorithm, signature] = &*children(whole.1) else { panic!("three values") };
    let fields = children(tbs.1);
    let kept: Vec<u8> = fields.iter().filter(|field| !matches!(field.0, 0xa0 | 0xa3)).flat_map(encoded).collect();
    encoded(&(0x30, &[encoded(&(0x30, &kept)), encoded(algorithm), encoded(signature)].concat()))
}

/// The tags and contents of DER values that follow one another.
fn children(mut der: &[u8]) -> Vec<(u8, &[u8])> {
    let mut values = Vec::new();
    while let [tag, length, rest @ ..] = der {
        let octets = if *length < 0x80 { 0 } else { usize::from(*length - 0x80) };
        let long = rest[..octets].iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let length = if octets == 0 { usize::from(*length) } else { long };
        values.push((*tag, &rest[octets..octets + length]));
        der = &rest[octets + length..];
    }
    values
}

fn encoded((tag, content): &(u8, &[u8])) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![*tag, length[1]],
        0x80..0x100 => vec![*tag, 0x81, length[1]],
        _ => vec![*tag, 0x82, length[0], length[1]],
    };
    [&head[..], content].concat()
}

/// A client that presents the certificate and signs with the key of the holder, whether they match or not.
fn presenting(config: &ClientConfig, holder: &Holder) -> Arc<ClientConfig> {
    let (chain, key) = holder.for_rustls();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::new(Unchecked(Arc::new(CertifiedKey::new(chain, key))));
    Arc::new(config)
}

#[derive(Debug)]
struct Unchecked(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Unchecked {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// An application behind API keys, and a key that is bound to the certificate.
async fn app_with_bound_key(holder: &Holder) -> (Router, String) {
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk").unwrap());
    let key = NewKey::new("alice").confirmation(Confirmation::certificate(holder.thumbprint()));
    let (_, key) = keys.mint(key).await.unwrap();
    (describing_app().layer(AuthLayer::new(keys).proof(CertificateProof)), key.expose().to_owned())
}

/// (101, 102, 111)
#[tokio::test]
async fn a_cached_key_is_compared_with_the_certificate_of_each_connection() {
    let clients = Authority::new("clients");
    let (right, wrong) = (clients.client("right"), clients.client("wrong"));
    let (app, key) = app_with_bound_key(&right).await;
    let server = TestServer::start(&clients, app).await;
    let mut connections = [server.open(Some(&right)).await, server.open(Some(&wrong)).await, server.open(None).await];
    for _ in 0..3 {
        let [right, wrong, none] = &mut connections;
        assert_eq!(status(right.get(Some(&key)).await), 200);
        assert_eq!(status(wrong.get(Some(&key)).await), 401);
        assert_eq!(status(none.get(Some(&key)).await), 401);
    }
}

/// (110)
#[tokio::test]
async fn a_resumed_session_has_the_certificate_of_its_first_handshake() {
    let clients = Authority::new("clients");
    let (right, wrong) = (clients.client("right"), clients.client("wrong"));
    let (app, key) = app_with_bound_key(&right).await;
    let server = TestServer::start(&clients, app).await;
    for (holder, expected) in [(&right, 200), (&wrong, 401)] {
        let config = server.client(Some(holder));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = server.connect(&config).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
            let mut http = HttpConnection::over(stream).await.unwrap();
            assert_eq!(status(http.get(Some(&key)).await), expected);
        }
    }
}

#[tokio::test]
async fn a_certificate_authenticates_an_open_connection_until_it_expires() {
    let clients = Authority::new("clients");
    let mut billing = Identity::new("billing", AuthMethod::ClientCertificate);
    billing.tenant = Some("acme".into());
    let map = CertificateMap::default().with([CertificateName::subject("CN=billing")], billing);
    let clock = ManualClock::at(START);
    let environment = Environment::default().with_clock(clock.clone());
    let layer = AuthLayer::new(ClientCertificates::new(map)).environment(&environment);
    let server = TestServer::start(&clients, describing_app().layer(layer)).await;
    let mut params = client("billing");
    params.not_after = date_time_ymd(2100, 1, 1);
    let holder = clients.issue(&params);

    let mut http = server.open(Some(&holder)).await;
    assert_eq!(status(http.get(None).await), 200);
    assert_eq!(status(server.get(Some(&clients.client("stranger")), None).await), 401);
    assert_eq!(status(server.get(None, None).await), 401);
    clock.set(holder.peer(ChainStatus::Verified).not_after().unwrap() + seconds(1));
    assert_eq!(status(http.get(None).await), 401);
}

#[tokio::test]
async fn clients_that_never_complete_the_handshake_do_not_delay_others() {
    let clients = Authority::new("clients");
    let server = TestServer::start(&clients, describing_app()).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    plain.read_to_end(&mut response).await.unwrap_or_default();
    assert!(!response.starts_with(b"HTTP"), "a request without TLS gets no response");
    assert!(server.get(Some(&clients.client("alice")), None).await.is_some());
}

#[tokio::test]
async fn hyper_serves_a_stream_with_a_custom_configuration() {
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
    let acceptor = TlsAcceptor::from_server_config(Arc::new(config), ChainStatus::Verified);
    assert_eq!(acceptor.reload().unwrap_err().kind(), TlsErrorKind::NotReloadable);

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (socket, peer_addr) = tcp.accept().await.unwrap();
        let stream = acceptor.accept(socket, peer_addr).await.unwrap();
        assert_eq!(stream.connection_info().peer_addr(), peer_addr);
        let service = TowerToHyperService::new(stream.connection_info().layer(describing_app()));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connection.await.unwrap();
    });
    let config = client_config(&servers, Some(&clients.client("alice")), ALL_VERSIONS);
    let mut http = HttpConnection::over(connect(address, &config).await.unwrap()).await.unwrap();
    assert_eq!(http.get(None).await, ok("Verified CN=alice from 127.0.0.1"));
    drop(http);
    server.await.unwrap();
}
