//! Real servers on loopback, and other frameworks' body types.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, Principal, Rejection,
    api_key::NewKey,
    axum::Scoped,
    layer::{AuthLayer, AuthorizeLayer},
    refusal::EmptyBody,
    scope::{Scopes, scopes},
};

use crate::support::{Answer, Stack};

scopes! {
    /// Read.
    Read = "read";
}

fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn call(address: SocketAddr, path: &str, key: Option<&str>) -> Answer {
    let mut request = Request::builder().uri(format!("http://{address}{path}"));
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    Answer::read(client().request(request.body(Empty::new()).unwrap()).await.unwrap()).await
}

async fn reader(stack: &Stack) -> String {
    let networks = ["127.0.0.0/8".parse().unwrap()];
    let key = NewKey::new("alice").scopes(Scopes::parse("read").unwrap()).networks(networks);
    stack.mint(key).await.1.expose().to_owned()
}

#[tokio::test]
async fn an_axum_server_by_layer_route_layer_and_service_builder() {
    let stack = Stack::new();
    let key = reader(&stack).await;
    let auth =
        || AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let name = async |caller: Principal| caller.subject().to_owned();
    let app = Router::new()
        .nest("/layer", Router::new().route("/", get(name)).layer(auth()))
        .nest("/route-layer", Router::new().route("/", get(name)).route_layer(auth()))
        .nest(
            "/builder",
            Router::new()
                .route("/", get(async |caller: Scoped<Read>| caller.subject().to_owned()))
                .layer(ServiceBuilder::new().layer(auth()).layer(AuthorizeLayer::scoped::<Read>())),
        )
        .route("/health", get(async || "ok"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The peers' addresses come by axum's ConnectInfo.
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    tokio::spawn(server.into_future());

    for path in ["/layer", "/route-layer", "/builder"] {
        call(address, path, Some(&key)).await.assert_subject("alice");
        let refused = call(address, path, None).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"api\""));
        assert_eq!(call(address, path, Some("sk_agent_bad")).await.status, 401);
    }
    assert_eq!(call(address, "/health", None).await.body, "ok");
}

#[tokio::test]
async fn a_hyper_server_with_full_bodies() {
    let stack = Stack::new();
    let key = stack.mint(NewKey::new("alice")).await.1.expose().to_owned();
    let handler = |request: Request<hyper::body::Incoming>| {
        let caller = request.extensions().get::<Principal>().map_or("nobody", Principal::subject).to_owned();
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(caller))))
    };
    let service = AuthLayer::new(stack.keys.clone())
        .environment(&Environment::default().with_clock(stack.clock.clone()))
        .layer(service_fn(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    call(address, "/", Some(&key)).await.assert_subject("alice");
    assert_eq!(call(address, "/", None).await.status, 401);
    assert_eq!(call(address, "/", Some("bad")).await.status, 401);
}

#[tokio::test]
async fn a_tonic_service_with_tonics_body() {
    let stack = Stack::new();
    let key = stack.mint(NewKey::new("alice")).await.1.expose().to_owned();
    let handler = async |request: Request<tonic::body::Body>| {
        let caller = request.extensions().get::<Principal>().map_or("nobody", Principal::subject).to_owned();
        Ok::<_, Infallible>(Response::new(tonic::body::Body::new(
            Full::<Bytes>::from(caller).map_err(|never| match never {}),
        )))
    };
    let request = |key: Option<&str>| {
        let mut request = Request::builder().uri("/grpc.Echo/Echo").header("content-type", "application/grpc");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request.body(tonic::body::Body::empty()).unwrap()
    };
    let auth =
        || AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));

    let empty = auth().respond_with(EmptyBody).layer(service_fn(handler));
    let answer = Answer::read(empty.clone().oneshot(request(Some(&key))).await.unwrap()).await;
    answer.assert_subject("alice");
    let refused = Answer::read(empty.oneshot(request(None)).await.unwrap()).await;
    assert_eq!((refused.status.as_u16(), &*refused.body), (401, ""));

    // A status that gRPC clients read, in the headers.
    let grpc = auth().respond_with(|rejection: &Rejection| {
        let status = tonic::Status::unauthenticated(rejection.detail());
        status.into_http::<tonic::body::Body>()
    });
    let refused = grpc.layer(service_fn(handler)).oneshot(request(None)).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "16");
}

#[tokio::test]
async fn odd_paths_around_a_protected_prefix_are_protected_too() {
    // (139): the layer wraps the service and looks at no path.
    let stack = Stack::new();
    let key = reader(&stack).await;
    let app = Router::new()
        .route("/v1/secret", get(async || "secret"))
        .fallback(async || "fallback")
        .layer(AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    tokio::spawn(server.into_future());
    for path in
        ["/v1/secret", "//v1//secret", "/v1/%73ecret", "/v1%2Fsecret", "/v1/..;/v1/secret", "/V1/SECRET", "/v1/secret/"]
    {
        assert_eq!(call(address, path, None).await.status, 401, "{path}");
        assert_eq!(call(address, path, Some(&key)).await.status, 200, "{path}");
    }
}
