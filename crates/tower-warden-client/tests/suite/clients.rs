//! The layer over real clients, with servers on loopback: hyper-util, reqwest and tonic.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tonic::{Code, service::Routes, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_warden_client::{
    CachedToken, TokenLayer,
    grant::ClientCredentials,
    replay::ReplayNever,
    retry::{ConnectionFailure, RetryLayer},
};

use crate::support::{Body, Server};

/// Serves on loopback, with HTTP/1.1 and HTTP/2.
async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// An API that accepts `token-2` only, and returns the body of a request.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Vec<String>>>);

impl Api {
    async fn respond(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let token = request.headers().get(header::AUTHORIZATION).map_or("none", |value| value.to_str().unwrap());
        let token = token.to_owned();
        let path = request.uri().path().to_owned();
        self.0.lock().unwrap().push(format!("{path} {token}"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok(match (path.as_str(), token.as_str()) {
            ("/moved", _) => {
                let moved = Response::builder().status(307).header(header::LOCATION, "/elsewhere");
                moved.body(Body::default()).unwrap()
            }
            (_, "Bearer token-2") => Response::new(Full::new(body)),
            _ => {
                let challenge = r#"Bearer error="invalid_token""#;
                let refused = Response::builder().status(401).header(header::WWW_AUTHENTICATE, challenge);
                refused.body(Body::default()).unwrap()
            }
        })
    }

    async fn serve(&self) -> SocketAddr {
        let api = self.clone();
        serve(tower::service_fn(move |request| api.clone().respond(request))).await
    }

    fn received(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn tokens(server: &Server) -> CachedToken<ClientCredentials> {
    CachedToken::new(ClientCredentials::new(server.endpoint()))
}

fn post(address: SocketAddr, path: &str) -> Request<Body> {
    Request::post(format!("http://{address}{path}")).body(Full::from("{}")).unwrap()
}

/// Sends a request whose first token is refused, and returns the requests that the API received.
async fn assert_replaced<S, R>(client: S, api: &Api, address: SocketAddr)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: std::fmt::Debug,
{
    let layer = TokenLayer::new(tokens(&Server::default()), &format!("http://{address}")).unwrap();
    let client = layer.layer(client);
    let response = client.clone().oneshot(post(address, "/orders")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{}");
    assert_eq!(api.received(), ["/orders Bearer token-1", "/orders Bearer token-2"]);

    let response = client.clone().oneshot(post(address, "/moved")).await.unwrap();
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT, "a redirect is returned to the caller");
    assert_eq!(api.received().len(), 3);

    let other = Request::get("http://127.0.0.2/").body(Body::default()).unwrap();
    assert!(client.oneshot(other).await.is_err());
    assert_eq!(api.received().len(), 3);
}

#[tokio::test]
async fn a_refused_token_is_replaced_over_the_client_of_hyper() {
    let api = Api::default();
    let address = api.serve().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    assert_replaced(client, &api, address).await;
}

#[cfg(feature = "reqwest")]
mod reqwest_client {
    use tower_warden_client::ReqwestClient;

    use super::*;

    #[tokio::test]
    async fn a_refused_token_is_replaced_over_the_client_of_reqwest() {
        let api = Api::default();
        let address = api.serve().await;
        assert_replaced(ReqwestClient::new(reqwest::Client::builder()).unwrap(), &api, address).await;
    }

    #[tokio::test]
    async fn a_policy_that_follows_redirects_is_replaced() {
        let api = Api::default();
        let address = api.serve().await;
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(10));
        let client = ReqwestClient::new(builder).unwrap();
        let response = client.oneshot(post(address, "/moved")).await.unwrap();
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(api.received(), ["/moved none"]);
    }

    #[tokio::test]
    async fn an_error_does_not_contain_the_url() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = ReqwestClient::new(reqwest::Client::builder()).unwrap();
        let error = client.clone().oneshot(post(address, "/?code=s3cret")).await.unwrap_err();
        assert!(error.is_connect() && !format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        let relative = Request::get("/orders").body(Body::default()).unwrap();
        assert!(client.oneshot(relative).await.unwrap_err().is_builder());
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_out_is_one_that_is_retried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = ReqwestClient::new(reqwest::Client::builder().timeout(Duration::from_secs(10))).unwrap();
        let error = client.oneshot(post(address, "/")).await.unwrap_err();
        assert_eq!(ConnectionFailure::of(&error), Some(ConnectionFailure::Timeout), "{error:?}");
    }

    #[tokio::test]
    async fn a_path_that_would_continue_the_host_is_refused() {
        let client = ReqwestClient::new(reqwest::Client::builder().no_proxy()).unwrap();
        let url = http::Uri::builder().scheme("http").authority("127.0.0.1").path_and_query("*").build().unwrap();
        let request = Request::options(url).body(Body::default()).unwrap();
        let error = client.oneshot(request).await.unwrap_err();
        assert!(error.is_builder() && !error.is_connect(), "{error:?}");
    }

    #[tokio::test]
    async fn a_body_that_is_not_sync_is_sent_with_its_length() {
        /// A body that is `Send` only.
        struct Unshared(Full<Bytes>, std::marker::PhantomData<std::cell::Cell<()>>);

        impl http_body::Body for Unshared {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
                std::pin::Pin::new(&mut self.0).poll_frame(context)
            }

            fn size_hint(&self) -> http_body::SizeHint {
                self.0.size_hint()
            }
        }

        let lengths = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lengths);
        let address = serve(tower::service_fn(move |request: Request<Incoming>| {
            seen.lock().unwrap().push(request.headers().get(header::CONTENT_LENGTH).cloned());
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        }))
        .await;
        let client = ReqwestClient::new(reqwest::Client::builder()).unwrap();
        let body = Unshared(Full::from("{}"), std::marker::PhantomData);
        client.oneshot(Request::post(format!("http://{address}/")).body(body).unwrap()).await.unwrap();
        assert_eq!(lengths.lock().unwrap()[0].as_ref().unwrap(), "2");
    }
}

#[tokio::test]
async fn a_channel_of_tonic_sends_tokens() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&received);
    let (_reporter, health) = tonic_health::server::health_reporter();
    let service = ServiceBuilder::new()
        .map_request(move |request: Request<Incoming>| {
            seen.lock().unwrap().push(request.headers().get(header::AUTHORIZATION).cloned());
            request
        })
        .service(Routes::new(health).prepare());
    let address = serve(service).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();

    let layer = TokenLayer::new(tokens(&Server::default()), &format!("http://{address}")).unwrap();
    let channel = layer.replay(ReplayNever).complete_relative_urls().layer(channel);
    let mut client = HealthClient::new(channel.clone());
    for _ in 0..2 {
        client.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    }
    let received = received.lock().unwrap().clone();
    assert_eq!(received.iter().flatten().collect::<Vec<_>>(), ["Bearer token-1", "Bearer token-1"]);

    // A client for another origin than the declared one gets no token.
    let mut foreign = HealthClient::with_origin(channel, "http://127.0.0.2".parse().unwrap());
    let status = foreign.check(HealthCheckRequest { service: String::new() }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unknown);
}

#[tokio::test]
async fn a_token_that_is_refused_over_a_channel_of_tonic_is_replaced_for_the_next_call() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let refusing = tonic::service::InterceptorLayer::new(|request: tonic::Request<()>| {
        match request.metadata().get("authorization") {
            Some(token) if token == "Bearer token-2" => Ok(request),
            _ => Err(tonic::Status::unauthenticated("The credential is not valid.")),
        }
    });
    let address = serve(refusing.layer(Routes::new(health).prepare())).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let layer = TokenLayer::new(tokens(&Server::default()), &format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(layer.replay(ReplayNever).complete_relative_urls().layer(channel));
    let refused = client.check(HealthCheckRequest { service: String::new() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    client.check(HealthCheckRequest { service: String::new() }).await.unwrap();
}

#[tokio::test]
async fn a_layer_with_retries_and_tokens_serves_concurrent_requests() {
    let api = Api::default();
    let address = api.serve().await;
    let server = Server::default();
    let layer = TokenLayer::new(tokens(&server), &format!("http://{address}")).unwrap();
    let client = layer.layer(Client::builder(TokioExecutor::new()).build_http::<Body>());
    let retry = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let client = retry.layer(client);
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(client.clone().oneshot(post(address, "/orders")))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(server.count(), 2, "one token, and one for all requests that were refused");
}
