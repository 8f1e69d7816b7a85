//! Allowed networks, peers and trusted proxies.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::request::Builder;
use tonic::transport::server::TcpConnectInfo;
use tower::Layer;
use tower_warden::{
    Head,
    api_key::NewKey,
    layer::{ClientAddressLayer, PeerLayer},
    request::{AddressField, Network, Peer, TrustedProxies, UnixPeer},
};

use crate::support::{App, Stack, bearer, send, unknown_key};

fn from(request: Builder, peer: &str) -> Builder {
    request.extension(Peer::new(SocketAddr::new(peer.parse().unwrap(), 4711)))
}

async fn restricted(stack: &Stack) -> String {
    let networks: [Network; 2] = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let (_, key) = stack.mint(NewKey::new("alice").networks(networks)).await;
    key.expose().to_owned()
}

#[tokio::test]
async fn a_key_is_accepted_from_its_networks_only_cached_or_not() {
    let stack = Stack::new();
    let key = restricted(&stack).await;
    for _ in 0..2 {
        for inside in ["10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"] {
            stack.send(from(bearer(&key), inside)).await.assert_subject("alice");
        }
        for outside in ["11.1.2.3", "192.168.0.1", "2001:db9::1", "::ffff:11.1.2.3", "::10.1.2.3"] {
            stack.send(from(bearer(&key), outside)).await.assert_invalid("network_forbidden");
        }
    }
    assert_eq!(stack.store.finds(), 1);
}

/// As limits by peer refuse it: the server's mistake is not that of the client.
#[tokio::test]
async fn a_server_that_inserts_no_peer_is_a_500_for_a_key_with_networks() {
    let stack = Stack::new();
    let key = restricted(&stack).await;
    for _ in 0..2 {
        stack.send(bearer(&key)).await.assert_reason(500, "peer_unknown");
    }
    // The same with a layer that finds no address.
    let resolving = ClientAddressLayer::new(TrustedProxies::default()).layer(stack.app.clone());
    send(resolving, bearer(&key).header("x-forwarded-for", "10.0.0.1")).await.assert_reason(500, "peer_unknown");
    // Credentials that are refused anyway, or need no address, are not affected.
    stack.send(bearer(unknown_key().expose())).await.assert_invalid("key_unknown");
    let (_, free) = stack.alice().await;
    stack.send(bearer(free.expose())).await.assert_subject("alice");
}

#[tokio::test]
async fn a_peer_layer_reads_the_address_that_the_server_has_stored() {
    let stack = Stack::new();
    let key = restricted(&stack).await;
    let layer = PeerLayer::new(|extensions| extensions.get::<TcpConnectInfo>()?.remote_addr());
    let tonic = |address: Option<&str>| {
        let remote_addr = address.map(|address| address.parse().unwrap());
        bearer(&key).extension(TcpConnectInfo { local_addr: None, remote_addr })
    };
    send(layer.layer(stack.app.clone()), tonic(Some("10.0.0.1:4711"))).await.assert_subject("alice");
    send(layer.layer(stack.app.clone()), tonic(Some("11.0.0.1:4711"))).await.assert_invalid("network_forbidden");
    send(layer.layer(stack.app.clone()), tonic(None)).await.assert_reason(500, "peer_unknown");
    send(layer.layer(stack.app.clone()), bearer(&key)).await.assert_reason(500, "peer_unknown");
}

#[tokio::test]
async fn a_proxy_on_a_unix_socket_is_trusted_if_so_configured() {
    let stack = Stack::new();
    let key = restricted(&stack).await;
    let ask = async |proxies: TrustedProxies, request: Builder| {
        let service = PeerLayer::unix_socket().layer(ClientAddressLayer::new(proxies).layer(stack.app.clone()));
        send(service, request).await
    };
    let networks = || TrustedProxies::new(["192.0.2.0/24".parse().unwrap()]);
    let via = |forwarded: &str| bearer(&key).header("x-forwarded-for", forwarded);
    ask(networks().trust_unix_sockets(), via("10.0.0.1")).await.assert_subject("alice");
    ask(networks().trust_unix_sockets(), via("10.0.0.1, 192.0.2.1")).await.assert_subject("alice");
    ask(networks().trust_unix_sockets(), via("10.0.0.1, 203.0.113.9")).await.assert_invalid("network_forbidden");
    for odd in [via("unknown"), via(""), bearer(&key)] {
        ask(networks().trust_unix_sockets(), odd).await.assert_invalid("peer_unknown");
    }
    ask(networks(), via("10.0.0.1")).await.assert_invalid("peer_unknown");
    // A peer with an address is not on a Unix socket.
    ask(networks().trust_unix_sockets(), from(via("10.0.0.1"), "203.0.113.9"))
        .await
        .assert_invalid("network_forbidden");
    send(
        ClientAddressLayer::new(networks().trust_unix_sockets()).layer(stack.app.clone()),
        from(via("10.0.0.1").extension(UnixPeer), "203.0.113.9"),
    )
    .await
    .assert_invalid("network_forbidden");
}

#[tokio::test]
async fn the_connect_info_of_axum_is_used_as_the_peer() {
    let stack = Stack::new();
    let key = restricted(&stack).await;
    let from = |peer: &str| bearer(&key).extension(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
    stack.send(from("10.0.0.1:1")).await.assert_subject("alice");
    stack.send(from("11.0.0.1:1")).await.assert_invalid("network_forbidden");
}

#[tokio::test]
async fn a_forwarded_address_is_not_trusted_by_default() {
    let stack = Stack::new();
    let key = restricted(&stack).await;
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip"] {
        let request = from(bearer(&key).header(header, "10.0.0.1"), "203.0.113.9");
        stack.send(request).await.assert_invalid("network_forbidden");
    }
}

#[tokio::test]
async fn the_address_that_a_trusted_proxy_forwards_is_that_of_the_client() {
    let proxies = TrustedProxies::new(["192.0.2.0/24".parse().unwrap()]);
    let mut stack = Stack::new();
    stack.app = App::new(ClientAddressLayer::new(proxies).layer(stack.app.clone()));
    let key = restricted(&stack).await;
    let via = |forwarded: &str, peer: &str| from(bearer(&key).header("x-forwarded-for", forwarded), peer);
    stack.send(via("10.0.0.1", "192.0.2.1")).await.assert_subject("alice");
    // (112): the addresses before the last untrusted hop can be forged by the client.
    stack.send(via("10.0.0.1, 203.0.113.9", "192.0.2.1")).await.assert_invalid("network_forbidden");
    stack.send(via("203.0.113.9, 10.0.0.1, 192.0.2.7", "192.0.2.1")).await.assert_subject("alice");
    // Not from a trusted proxy.
    stack.send(via("10.0.0.1", "203.0.113.9")).await.assert_invalid("network_forbidden");
    // Not an address.
    for odd in ["unknown", "10.0.0.1,", "", "10.0.0.1, _hidden", "10.0.0.999"] {
        stack.send(via(odd, "192.0.2.1")).await.assert_invalid("peer_unknown");
    }
}

#[tokio::test]
async fn trusted_proxy_that_sends_no_field_is_the_client() {
    let proxies = TrustedProxies::new(["10.0.0.0/24".parse().unwrap(), "192.0.2.0/24".parse().unwrap()]);
    let mut stack = Stack::new();
    stack.app = App::new(ClientAddressLayer::new(proxies).layer(stack.app.clone()));
    let key = restricted(&stack).await;
    stack.send(from(bearer(&key), "10.0.0.1")).await.assert_subject("alice");
    stack.send(from(bearer(&key), "192.0.2.1")).await.assert_invalid("network_forbidden");
}

#[test]
fn forwarded_addresses_are_read_from_the_end_over_several_lines() {
    let proxies = TrustedProxies::new(["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
    let client = |lines: &[&str]| {
        let request = lines.iter().fold(bearer("x"), |request, line| request.header("x-forwarded-for", *line));
        let request = from(request, "192.0.2.1").body(()).unwrap();
        proxies.client(&Head::from(&request)).map(|address| address.to_string())
    };
    assert_eq!(client(&["1.1.1.1, 2.2.2.2", "3.3.3.3"]).as_deref(), Some("3.3.3.3"));
    assert_eq!(client(&["1.1.1.1, 2.2.2.2", "192.0.2.9 , 2001:db8::9"]).as_deref(), Some("2.2.2.2"));
    assert_eq!(client(&["2.2.2.2:8080"]).as_deref(), Some("2.2.2.2"));
    for (text, address) in [
        ("[2001:db9::1]:443", "2001:db9::1"),
        ("[2001:db9::1]", "2001:db9::1"),
        ("2001:db9::1", "2001:db9::1"),
        ("[::ffff:2.2.2.2]", "2.2.2.2"),
        ("2.2.2.2:_port", "2.2.2.2"),
        ("[2001:db9::1]:_a.b", "2001:db9::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%2]:443", "fe80::1"),
    ] {
        assert_eq!(client(&[text]).as_deref(), Some(address), "{text}");
    }
    for odd in [
        "[2001:db9::1",
        "2001:db9::1]",
        "[2.2.2.2]",
        "[2001:db9::1]x",
        "[2001:db9::1]:",
        "[2001:db9::1]:65536",
        "2.2.2.2:",
        "2.2.2.2:x",
        "2.2.2.2:+1",
        "2.2.2.2:_",
        "[]",
        "[",
        "fe80::1%",
        "\"2.2.2.2\"",
        "[[2001:db9::1]]",
    ] {
        assert_eq!(client(&[odd]), None, "{odd}");
    }
    assert_eq!(client(&["::ffff:2.2.2.2"]).as_deref(), Some("2.2.2.2"));
    assert_eq!(client(&[]).as_deref(), Some("192.0.2.1"), "the proxy itself");
    assert_eq!(client(&["192.0.2.3"]).as_deref(), Some("192.0.2.3"), "trusted to its beginning");
}

/// (153)
#[test]
fn the_field_of_rfc_7239_is_read_from_the_end_if_it_is_configured() {
    let networks = ["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let proxies = TrustedProxies::new(networks).field(AddressField::Forwarded);
    let client = |lines: &[&str]| {
        let request = lines.iter().fold(bearer("x"), |request, line| request.header("forwarded", *line));
        let request = from(request.header("x-forwarded-for", "9.9.9.9"), "192.0.2.1").body(()).unwrap();
        proxies.client(&Head::from(&request)).map(|address| address.to_string())
    };
    for (lines, address) in [
        (&["for=2.2.2.2"][..], "2.2.2.2"),
        (&["FOR=2.2.2.2;proto=http;by=203.0.113.43"], "2.2.2.2"),
        (&["for=\"[2001:db9::17]:4711\""], "2001:db9::17"),
        (&["for=\"[2001:db9::17]\""], "2001:db9::17"),
        (&["for=[2001:db9::17]:4711"], "2001:db9::17"),
        (&["for=\"2.2.2.2:_x\""], "2.2.2.2"),
        (&["for=1.1.1.1, for=\"[2001:db8::9]\", for=192.0.2.9"], "1.1.1.1"),
        (&["for=1.1.1.1, for=2.2.2.2", "by=a;for=192.0.2.9"], "2.2.2.2"),
        (&["for=unknown, for=2.2.2.2"], "2.2.2.2"),
        (&[], "192.0.2.1"),
    ] {
        assert_eq!(client(lines).as_deref(), Some(address), "{lines:?}");
    }
    for odd in [
        "for=unknown",
        "for=\"_hidden\"",
        "for=2.2.2.2;for=3.3.3.3",
        "proto=http",
        "for=\"2.2.2.\\2\"",
        "for=2.2.2.2,",
        "",
        "2.2.2.2",
        // A quote that the client has opened, and one that a proxy has written.
        "for=1.1.1.1;x=\", for=\"[2001:db9::17]\"",
        "for=1.1.1.1;x=\"\\, for=2.2.2.2",
        "for=\"1.1.1.1\"2, for=192.0.2.9",
    ] {
        assert_eq!(client(&[odd]), None, "{odd}");
    }
    let default = TrustedProxies::new(networks);
    let request = from(bearer("x").header("forwarded", "for=2.2.2.2"), "192.0.2.1").body(()).unwrap();
    assert_eq!(default.client(&Head::from(&request)), Some([192, 0, 2, 1].into()), "the other field is ignored");
}

#[test]
fn networks_are_parsed() {
    for (text, canonical) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("::1", "::1/128"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
    ] {
        assert_eq!(text.parse::<Network>().unwrap().to_string(), canonical);
    }
    for bad in ["", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/-1", "10.0.0.0/8 "] {
        assert_eq!(bad.parse::<Network>().unwrap_err().refused_value(), Some(bad));
    }
}

#[test]
fn a_peer_returns_its_address() {
    let address: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
    assert_eq!(Peer::new(address).address(), address);
}
