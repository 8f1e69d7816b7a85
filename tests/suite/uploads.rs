//! Refusals reach clients that are still sending, on real connections.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::DefaultBodyLimit, routing::post};
use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    Eventual, Head, Rejection,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
    body::{BodyCheck, BodyLimits, BufferedRequest},
    layer::{AuthLayer, BodyCheckLayer, DrainLayer},
};

const UPLOAD: usize = 100 << 20;

fn auth() -> AuthLayer {
    AuthLayer::new(ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap()))
}

/// An axum server with nothing but the authentication.
async fn axum_server() -> SocketAddr {
    let app = Router::new()
        .route("/", post(async |body: Bytes| body.len().to_string()))
        .layer(DefaultBodyLimit::disable())
        .layer(auth());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// A server of hyper.
async fn hyper_server(drain: DrainLayer) -> SocketAddr {
    let service = ServiceBuilder::new()
        .layer(drain)
        .layer(auth())
        .service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Sends a large body with an invalid key, all of it before anything is read, and returns the status line.
async fn upload(address: SocketAddr, fields: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head =
        format!("POST / HTTP/1.1\r\nhost: a\r\nx-api-key: sk_agent_guess\r\ncontent-length: {UPLOAD}\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..UPLOAD / chunk.len() {
        stream.write_all(&chunk).await?;
    }
    status(&mut stream).await
}

async fn status(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut response = Vec::new();
    while !response.windows(2).any(|end| end == b"\r\n") {
        let count = stream.read_buf(&mut response).await?;
        assert!(count > 0, "the connection was closed without a response");
    }
    Ok(String::from_utf8(response).unwrap().lines().next().unwrap().to_owned())
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_uploads_to_axum() {
    let address = axum_server().await;
    for _ in 0..3 {
        assert_eq!(upload(address, "").await.unwrap(), "HTTP/1.1 401 Unauthorized");
    }
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_uploads_to_hyper() {
    let address = hyper_server(DrainLayer::default()).await;
    assert_eq!(upload(address, "").await.unwrap(), "HTTP/1.1 401 Unauthorized");
}

#[tokio::test]
async fn the_connection_serves_the_next_request_after_an_upload_was_refused() {
    let address = axum_server().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        let request = "POST / HTTP/1.1\r\nhost: a\r\nx-api-key: sk_agent_guess\r\ncontent-length: 100000\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"}") {
            assert!(stream.read_buf(&mut response).await.unwrap() > 0, "the connection was closed");
        }
        assert!(response.starts_with(b"HTTP/1.1 401"));
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_not_asked_to_send_the_body() {
    for address in [axum_server().await, hyper_server(DrainLayer::default()).await] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 100000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(status(&mut stream).await.unwrap(), "HTTP/1.1 401 Unauthorized");
    }
}

/// A body to which the test sends frames, and a notice of its end.
fn open_body() -> (mpsc::Sender<Result<Frame<Bytes>, Infallible>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    (sender, Body::new(StreamBody::new(frames)))
}

/// A service that refuses, around bodies of axum.
async fn refuse(drain: DrainLayer, body: Body) {
    let service = ServiceBuilder::new()
        .layer(drain)
        .layer(auth())
        .service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    assert_eq!(service.oneshot(Request::post("/").body(body).unwrap()).await.unwrap().status(), 401);
}

#[tokio::test(start_paused = true)]
async fn an_endless_body_is_read_up_to_the_limit_of_bytes() {
    let (sender, body) = open_body();
    refuse(DrainLayer::default().max_bytes(10 << 10), body).await;
    let mut sent = 0;
    while sender.send(Ok(Frame::data(Bytes::from_static(&[0; 1 << 10])))).await.is_ok() {
        sent += 1;
        assert!(sent < 20, "the body is still read");
    }
    assert!(sent >= 10, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_waited_for_no_longer_than_the_limit_of_time() {
    let (sender, body) = open_body();
    refuse(DrainLayer::default().timeout(Duration::from_secs(7)), body).await;
    let began = tokio::time::Instant::now();
    sender.closed().await;
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_an_admitted_request_is_not_read_by_the_layer() {
    let (sender, body) = open_body();
    let service = ServiceBuilder::new()
        .layer(DrainLayer::default())
        .service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    service.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
    assert!(sender.is_closed());
}

#[tokio::test]
async fn a_body_passes_through_the_layer_unchanged() {
    let echo = async |request: Request<tower_warden::drain::DrainedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::new(request.into_body().collect().await.unwrap().to_bytes())))
    };
    let service = ServiceBuilder::new().layer(DrainLayer::default()).service_fn(echo);
    let response = service.oneshot(Request::post("/").body(Full::from("hello")).unwrap()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
#[ignore = "needs nginx; ./scripts/test runs it"]
async fn a_refusal_reaches_a_client_that_uploads_through_nginx() {
    let upstreams = [axum_server().await, hyper_server(DrainLayer::default()).await];
    let folder = tempfile::tempdir().unwrap();
    for upstream in upstreams {
        for buffering in ["on", "off"] {
            let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let root = folder.path().display();
            let configuration = format!(
                "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
                 http {{ access_log off; client_max_body_size 0; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;\n\
                 fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
                 server {{ listen {port}; location / {{ proxy_pass http://{upstream}; proxy_request_buffering {buffering};\n\
                 proxy_http_version 1.1; }} }} }}"
            );
            let file = folder.path().join("nginx.conf");
            std::fs::write(&file, configuration).unwrap();
            let mut nginx = tokio::process::Command::new("nginx");
            let mut nginx = nginx.arg("-e").arg("stderr").arg("-c").arg(&file).kill_on_drop(true).spawn().unwrap();
            while TcpStream::connect(port).await.is_err() {
                assert!(nginx.try_wait().unwrap().is_none(), "nginx ended");
                tokio::task::yield_now().await;
            }
            for _ in 0..10 {
                assert_eq!(upload(port, "").await.unwrap(), "HTTP/1.1 401 Unauthorized", "buffering {buffering}");
            }
            nginx.kill().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_layer_apply_to_refusals_by_layers_inside_axum() {
    let (sender, body) = open_body();
    let app = Router::new().route("/", post(async || "admitted")).layer(auth());
    let app = ServiceBuilder::new().layer(DrainLayer::default().max_bytes(10 << 10)).service(app);
    assert_eq!(app.oneshot(Request::post("/").body(body).unwrap()).await.unwrap().status(), 401);
    let mut sent = 0;
    while sender.send(Ok(Frame::data(Bytes::from_static(&[0; 1 << 10])))).await.is_ok() {
        sent += 1;
        assert!(sent < 20, "the body is still read");
    }
    assert!(sent >= 10, "{sent}");
}

#[tokio::test]
async fn refusal_in_mid_body_reaches_a_client_that_waited_for_100_continue() {
    let limits = BodyLimits::new(1 << 10, Duration::from_secs(30)).unwrap();
    let service = ServiceBuilder::new()
        .layer(DrainLayer::default())
        .layer(BodyCheckLayer::new(SmallBodies(limits)))
        .service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(service);
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Of unknown length: the limit is exceeded only while the body is read.
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = Vec::new();
    while !interim.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut interim).await.unwrap() > 0, "the connection was closed");
    }
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for _ in 0..UPLOAD / (1 << 20) {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(status(&mut stream).await.unwrap(), "HTTP/1.1 413 Payload Too Large");
}

/// Accepts every body within limits.
struct SmallBodies(BodyLimits);

impl BodyCheck for SmallBodies {
    fn limits(&self, _: &Head<'_>) -> Option<BodyLimits> {
        Some(self.0)
    }

    fn check(&self, _: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        Eventual::Now(Ok(Extensions::new()))
    }
}
