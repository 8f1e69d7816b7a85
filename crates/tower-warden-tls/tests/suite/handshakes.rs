//! Handshakes that do not come to an end, and those that they must not delay.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
};

use rustls::ClientConnection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::Instant,
};
use tower_warden_tls::{TlsAcceptor, TlsListener};

use crate::{
    pki::Authority,
    support::{TestServer, describing_app, ok, seconds, server_name},
};

async fn limited(clients: &Authority, limit: impl FnOnce(TlsListener) -> TlsListener) -> TestServer {
    TestServer::start_limited(clients, describing_app(), |files| files, limit).await
}

const fn count(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// A connection on which the client sends nothing.
async fn silent(server: &TestServer, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// A connection whose client has sent its first message, and stops after the server has replied.
async fn stalled(server: &TestServer) -> TcpStream {
    let mut hello = Vec::new();
    let mut client = ClientConnection::new(server.client(None), server_name()).unwrap();
    client.write_tls(&mut hello).unwrap();
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(&hello).await.unwrap();
    socket.read_exact(&mut [0; 5]).await.unwrap();
    socket
}

/// Waits until the server closes the connection.
async fn closed(mut socket: TcpStream) {
    let _ = socket.read_to_end(&mut Vec::new()).await;
}

fn is_open(socket: &TcpStream) -> bool {
    match socket.try_read(&mut [0; 1 << 14]) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

#[tokio::test]
async fn a_peer_with_too_many_handshakes_loses_the_oldest_on_which_it_has_sent_nothing() {
    let clients = Authority::new("clients");
    // Before the silent connections, which are closed after three seconds.
    let alice = clients.client("alice");
    let server = limited(&clients, |listener| listener.max_handshakes_per_peer(count(4))).await;
    let other = silent(&server, [127, 0, 0, 2]).await;
    let stalled = stalled(&server).await;
    let [first, second, third] = [
        silent(&server, [127, 0, 0, 1]).await,
        silent(&server, [127, 0, 0, 1]).await,
        silent(&server, [127, 0, 0, 1]).await,
    ];
    assert_eq!(server.get(Some(&alice), None).await, ok("Verified CN=alice from 127.0.0.1"));
    closed(first).await;
    for open in [&other, &stalled, &second, &third] {
        assert!(is_open(open));
    }
}

#[tokio::test]
async fn a_peer_that_stalls_every_handshake_loses_the_oldest() {
    let clients = Authority::new("clients");
    let server = limited(&clients, |listener| listener.max_handshakes_per_peer(count(2))).await;
    let (first, second) = (stalled(&server).await, stalled(&server).await);
    assert_eq!(server.get(None, None).await, ok("nobody from 127.0.0.1"));
    closed(first).await;
    assert!(is_open(&second));
}

#[tokio::test]
async fn a_listener_with_too_many_handshakes_loses_the_oldest_of_any_peer() {
    let clients = Authority::new("clients");
    let server = limited(&clients, |listener| listener.max_handshakes(count(2))).await;
    let (first, second) = (silent(&server, [127, 0, 0, 2]).await, silent(&server, [127, 0, 0, 3]).await);
    assert_eq!(server.get(None, None).await, ok("nobody from 127.0.0.1"));
    closed(first).await;
    assert!(is_open(&second));
}

#[tokio::test]
async fn peer_that_stalls_many_handshakes_drops_none_of_a_peer_with_one() {
    let clients = Authority::new("clients");
    let server = limited(&clients, |listener| listener.max_handshakes(count(4))).await;
    let honest = silent(&server, [127, 0, 0, 2]).await;
    let first = stalled(&server).await;
    let others = [stalled(&server).await, stalled(&server).await];
    // The table is full, and all but one of its clients have sent a message.
    let late = silent(&server, [127, 0, 0, 3]).await;
    closed(first).await;
    for open in others.iter().chain([&honest, &late]) {
        assert!(is_open(open));
    }
}

/// (154)
#[tokio::test]
async fn hundreds_of_silent_connections_of_one_peer_delay_none_of_its_handshakes() {
    let clients = Authority::new("clients");
    let server = TestServer::start(&clients, describing_app()).await;
    let mut connections = Vec::new();
    for _ in 0..400 {
        connections.push(silent(&server, [127, 0, 0, 1]).await);
    }
    for _ in 0..10 {
        assert_eq!(server.get(None, None).await, ok("nobody from 127.0.0.1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_has_three_seconds_for_its_first_message_and_ten_for_the_handshake() {
    let authority = Authority::new("servers");
    let (chain, key) = authority.server().for_rustls();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor =
        TlsAcceptor::from_server_config(Arc::new(config), tower_warden::certificate::ChainStatus::Unverified);
    let mut hello = Vec::new();
    let config = crate::support::client_config(&authority, None, rustls::ALL_VERSIONS);
    ClientConnection::new(config, server_name()).unwrap().write_tls(&mut hello).unwrap();
    for (sent, end) in [(&[][..], 3), (&hello[..1], 3), (&hello[..hello.len() - 1], 3), (&hello[..], 10)] {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        client.write_all(sent).await.unwrap();
        let start = Instant::now();
        let error = acceptor.accept(server, "192.0.2.1:4711".parse().unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (ErrorKind::TimedOut, end), "{} bytes", sent.len());
        assert!(start.elapsed() < seconds(end + 1));
    }
}
