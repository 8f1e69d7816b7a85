//! Real servers at the other end of the default client, and metadata that leads to keys.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower_warden::{
    ConfigErrorKind, Environment,
    fetch::{Fetch, HttpClient},
    jwt::{Jwt, RemoteKeys},
    layer::AuthLayer,
    testing::TestIssuer,
};

use crate::{
    endpoint::{self, Endpoint, Mode, settle},
    secrets::listen,
    support,
    tokens::{self, AUDIENCE},
};

/// Longer than any machine needs.
const LONG: Duration = Duration::from_secs(600);

/// A server on loopback that treats each connection in the same way, once it has read the head of a request.
struct Server {
    connections: Arc<AtomicUsize>,
    url: String,
}

impl Server {
    async fn start<F>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connections, url) =
            (Arc::new(AtomicUsize::new(0)), format!("http://{}/jwks", listener.local_addr().unwrap()));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                tokio::spawn(treat(stream));
            }
        });
        Self { connections, url }
    }

    /// Answers with these bytes.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                stream.write_all(&answer).await?;
                stream.shutdown().await
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Whether keys come from there, however slow the machine is.
    async fn serves_keys(&self) -> bool {
        RemoteKeys::builder(&self.url).timeout(LONG).connect().await.unwrap().is_ready()
    }
}

fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{fields}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn jwk_set() -> String {
    TestIssuer::new("https://issuer.test").jwk_set().to_string()
}

#[tokio::test]
async fn keys_are_fetched_from_a_well_behaved_server() {
    let server = Server::answering(answer("200 OK", "", jwk_set().as_bytes())).await;
    assert!(server.serves_keys().await);
}

// (67)
#[tokio::test]
async fn redirect_is_not_followed() {
    let target = Server::answering(answer("200 OK", "", jwk_set().as_bytes())).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}\r\n", target.url);
        let server = Server::answering(answer(status, &location, jwk_set().as_bytes())).await;
        assert!(!server.serves_keys().await, "{status}");
        assert_eq!((server.connections(), target.connections()), (1, 0));
    }
}

// (67)
#[tokio::test]
async fn response_for_which_a_custom_client_followed_a_redirect_is_refused() {
    let target = Server::answering(answer("200 OK", "", jwk_set().as_bytes())).await;
    let location = format!("location: {}\r\n", target.url);
    let server = Server::answering(answer("302 Found", &location, b"")).await;
    let follows = reqwest::Client::new();
    let keys = RemoteKeys::builder(&server.url).fetch(follows.clone()).timeout(LONG).connect().await.unwrap();
    assert_eq!(target.connections(), 1, "it follows");
    assert!(!keys.is_ready());
    assert!(RemoteKeys::builder(&target.url).fetch(follows).timeout(LONG).connect().await.unwrap().is_ready());
}

// (67)
#[tokio::test]
async fn truncated_response_is_a_failed_fetch() {
    let whole = answer("200 OK", "", jwk_set().as_bytes());
    let server = Server::answering(&whole[..whole.len() - 1]).await;
    assert!(!server.serves_keys().await);
}

// (68)
#[tokio::test]
async fn body_of_a_gibibyte_is_cut_at_the_limit() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let server = Server::start(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await?;
            let chunk = vec![b' '; 64 * 1024];
            loop {
                stream.write_all(&chunk).await?;
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    assert!(!server.serves_keys().await);
    // What is not read stays in the buffers of the two sockets.
    assert!(sent.load(Ordering::SeqCst) < 64 << 20, "{sent:?} bytes");
}

// (68)
#[tokio::test]
async fn compressed_response_is_not_decompressed() {
    let server = Server::answering(answer("200 OK", "content-encoding: gzip\r\n", &gzip(jwk_set().as_bytes()))).await;
    assert!(!server.serves_keys().await);
    let unpacks = RemoteKeys::builder(&server.url).fetch(reqwest::Client::new()).timeout(LONG).connect().await.unwrap();
    assert!(unpacks.is_ready(), "the build has a reqwest that could");
}

// (68)
#[tokio::test]
async fn response_that_a_custom_client_decompresses_is_cut_at_the_limit() {
    let body = gzip(format!("{}{}", " ".repeat(1 << 20), jwk_set()).as_bytes());
    assert!(body.len() < 4096);
    let server = Server::answering(answer("200 OK", "content-encoding: gzip\r\n", &body)).await;
    let keys = RemoteKeys::builder(&server.url).fetch(reqwest::Client::new()).timeout(LONG).connect().await.unwrap();
    assert!(!keys.is_ready());
}

// (66, 68)
#[tokio::test(start_paused = true)]
async fn fetch_from_a_slow_server_is_abandoned_after_five_seconds() {
    let hangs = Server::start(async |_stream| std::future::pending().await).await;
    let trickles = Server::start(async |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(b" ").await?;
        }
    })
    .await;
    for server in [hangs, trickles] {
        let begun = tokio::time::Instant::now();
        let keys = RemoteKeys::builder(&server.url).connect();
        assert!(!timeout(LONG, keys).await.expect("it ends by itself").unwrap().is_ready());
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn jwt_of_a_discovered_issuer_accepts_its_tokens_and_a_rotated_key_at_once() {
    // With `rust-crypto` alone, the HTTP client uses the TLS provider that the process has installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = TestIssuer::listen().await.unwrap();
    let keys = RemoteKeys::discovery(issuer.name()).timeout(LONG).connect().await.unwrap();
    let jwt = Jwt::new(tokens::rules(&issuer), keys);
    assert!(jwt.is_ready());
    let app = tokens::app(&AuthLayer::new(jwt));
    let send = |token: String| support::send(app.clone(), support::bearer(&token));
    let old = issuer.token("alice").audience(AUDIENCE).sign();
    send(old.clone()).await.assert_subject("alice");
    issuer.rotate();
    send(issuer.token("bob").audience(AUDIENCE).sign()).await.assert_subject("bob");
    send(old).await.assert_invalid("key_unknown");
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn jwt_that_is_discovered_in_one_line_becomes_ready() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = TestIssuer::listen().await.unwrap();
    let jwt = Jwt::discover(issuer.name(), AUDIENCE).await.unwrap();
    // On a slow machine, the first fetch may time out; it is repeated.
    while !jwt.is_ready() {
        tokio::task::yield_now().await;
    }
    let token = issuer.token("alice").audience(AUDIENCE).sign();
    support::send(tokens::app(&AuthLayer::new(jwt)), support::bearer(&token)).await.assert_subject("alice");
}

// (78)
#[tokio::test]
async fn discovered_issuer_that_is_down_at_start_is_503_and_not_ready() {
    let issuer = TestIssuer::listen().await.unwrap();
    issuer.fail();
    let jwt = Jwt::discover(issuer.name(), AUDIENCE).await.unwrap();
    assert!(!jwt.is_ready());
    let app = tokens::app(&AuthLayer::new(jwt));
    let token = issuer.token("alice").audience(AUDIENCE).sign();
    support::send(app, support::bearer(&token)).await.assert_unavailable("keys_unavailable");
}

// (79)
#[tokio::test]
async fn metadata_of_another_issuer_is_an_error_at_build() {
    for name in ["https://other.test", "https://issuer.test/", "https://ISSUER.test", "https://issuer.test/x"] {
        let (clock, _) = endpoint::issuer();
        let fetch = Endpoint::new(&TestIssuer::new(name));
        let keys = RemoteKeys::discovery("https://issuer.test")
            .fetch(fetch)
            .environment(&Environment::default().with_clock(clock))
            .connect()
            .await;
        assert_eq!(keys.unwrap_err().kind(), ConfigErrorKind::Issuer, "{name}");
    }
    let listening = TestIssuer::listen().await.unwrap();
    let other = listening.name().replace("127.0.0.1", "localhost");
    let error = Jwt::discover(&other, AUDIENCE).await.unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Issuer);
}

// (79)
#[tokio::test]
async fn metadata_of_another_issuer_at_one_url_does_not_hide_the_right_one_at_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://{}", listener.local_addr().unwrap());
    let (jwks, stranger) = (format!("{name}/keys"), json!({ "issuer": "https://other.test", "jwks_uri": "/" }));
    let metadata = json!({ "issuer": name, "jwks_uri": jwks });
    let app = axum::Router::new()
        .route("/.well-known/oauth-authorization-server", axum::routing::get(async || axum::Json(stranger)))
        .route("/.well-known/openid-configuration", axum::routing::get(async || axum::Json(metadata)))
        .route("/keys", axum::routing::get(async || jwk_set()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert!(RemoteKeys::discovery(&name).timeout(LONG).connect().await.unwrap().is_ready());
}

#[tokio::test]
async fn metadata_is_found_where_either_standard_has_it() {
    for place in ["/.well-known/oauth-authorization-server/realms/x", "/realms/x/.well-known/openid-configuration"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let name = format!("{origin}/realms/x");
        let metadata = json!({ "issuer": name, "jwks_uri": format!("{origin}/keys") });
        let app = axum::Router::new()
            .route(place, axum::routing::get(async || axum::Json(metadata)))
            .route("/keys", axum::routing::get(async || jwk_set()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        assert!(RemoteKeys::discovery(&name).timeout(LONG).connect().await.unwrap().is_ready(), "{place}");
    }
}

// (80)
#[tokio::test]
async fn metadata_cannot_refer_to_this_machine_or_to_plain_http() {
    for uri in [
        "http://issuer.test/jwks",
        "http://127.0.0.1/jwks",
        "https://127.0.0.1/jwks",
        "https://127.1/jwks",
        "https://0x7f.0.0.1/jwks",
        "https://2130706433/jwks",
        "https://127.5.5.5/jwks",
        "https://0177.0.0.1/jwks",
        "https://127.0.0.1./jwks",
        "https://[0:0:0:0:0:0:0:1]/jwks",
        "https://localhost/jwks",
        "https://LOCALHOST./jwks",
        "https://[::1]/jwks",
        "https://[::ffff:127.0.0.1]/jwks",
        "file:///etc/passwd",
        "/jwks",
        "",
    ] {
        let (clock, issuer) = endpoint::issuer();
        let fetch = Endpoint::new(&issuer);
        let metadata = json!({ "issuer": issuer.name(), "jwks_uri": uri });
        fetch.set(Mode::Canned(http::StatusCode::OK, metadata.to_string()));
        let keys = RemoteKeys::discovery(issuer.name())
            .fetch(fetch.clone())
            .environment(&Environment::default().with_clock(clock));
        assert!(!keys.connect().await.unwrap().is_ready());
        let asked: Vec<_> = fetch.requests().iter().map(|request| request.uri().path().to_owned()).collect();
        assert!(asked.iter().all(|path| path.starts_with("/.well-known/")), "{uri}: {asked:?}");
    }
}

// (80)
#[tokio::test]
async fn addresses_that_are_not_public_are_not_reached_unless_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = HttpClient::new().unwrap();
    // Names of this machine that are none of the three.
    let urls = ["https://127.1", "https://[::ffff:127.0.0.1]"].map(|host| format!("{host}:{port}/"));
    let others = ["https://169.254.169.254/", "https://10.0.0.1/", "https://[fe80::1]/", "https://[fd00:ec2::254]/"];
    for url in others.into_iter().chain(urls[1..].iter().map(|url| &**url)) {
        let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
        let error = refused.fetch(request, 1024).wait().await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the address is not allowed", "{url}");
    }
    // Allowed, it is reached: what fails is TLS.
    let allowed = HttpClient::allowing_networks(["127.0.0.0/8".parse().unwrap()]).unwrap();
    let request = http::Request::get(&urls[1]).body(bytes::Bytes::new()).unwrap();
    let (accepted, answered) =
        futures_util::join!(async { drop(listener.accept().await.unwrap()) }, allowed.fetch(request, 1024).wait(),);
    ((), ()) = (accepted, drop(answered.unwrap_err()));
}

#[test]
fn unsafe_urls_are_refused_at_build() {
    for uri in
        ["http://a.example/jwks", "https://user:password@a.example/jwks", "ftp://a.example", "jwks", "", "https://"]
    {
        let error = RemoteKeys::new(uri).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::KeySet, "{uri}");
        assert!(!format!("{error:?}{error}").contains("password"));
    }
    for issuer in ["http://a.example", "https://a.example?x=1", "https://a.example#x", "a.example"] {
        assert_eq!(RemoteKeys::discovery(issuer).build().unwrap_err().kind(), ConfigErrorKind::KeySet, "{issuer}");
    }
}

// (143)
#[tokio::test]
async fn only_the_host_of_a_url_and_no_part_of_a_response_is_logged() {
    let (log, _guard) = listen();
    let body = answer("500 Oops-hunter2", "x-secret: hunter2\r\n", b"hunter2");
    let server = Server::answering(body).await;
    let uri = format!("{}?api_key=hunter2", server.url);
    for uri in [uri, "http://127.0.0.1:1/jwks?api_key=hunter2".to_owned()] {
        let keys = RemoteKeys::builder(&uri).timeout(LONG).connect().await.unwrap();
        assert!(!format!("{keys:?}").contains("hunter2"));
    }
    settle().await;
    let text = log.text();
    let ours: Vec<_> = text.lines().filter(|line| line.contains("tower_warden")).collect();
    assert_eq!(ours.iter().filter(|line| line.contains("could not be fetched")).count(), 2, "{ours:#?}");
    assert!(!ours.iter().any(|line| line.contains("hunter2")), "{ours:#?}");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}
