//! The futures of public async functions are `Send`, so that they can be spawned and awaited in handlers. It is the compiler
//! that tests this: none of them is polled.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tower_warden_tls::{TlsAcceptor, TlsFiles, TlsListener};

use crate::async_functions::assert_all_are_in;

fn assert_send<F: Future + Send>(_: F) {}

#[expect(dead_code, reason = "it is compiled only")]
fn futures(files: TlsFiles, acceptor: &TlsAcceptor, socket: TcpStream, peer: SocketAddr) {
    assert_send(TlsAcceptor::open(files));
    assert_send(acceptor.accept(socket, peer));
    assert_send(TlsListener::bind("127.0.0.1:0", acceptor.clone()));
}

#[test]
fn every_public_async_function_is_in_this_test() {
    let tested = assert_all_are_in(include_str!("futures.rs"), concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(tested > 0, "{tested}");
}
