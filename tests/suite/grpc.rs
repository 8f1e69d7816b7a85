//! Refusals as gRPC clients see them: a real tonic client, a generated service, a server on loopback.

use std::{collections::HashMap, net::SocketAddr, num::NonZeroU32};

use tokio::net::TcpListener;
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    service::Routes,
    transport::{Channel, server::Router as Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_warden::{
    Environment,
    api_key::NewKey,
    layer::{AuthLayer, AuthorizeLayer, ConcurrencyLayer, FailureLimitLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    refusal::GrpcStatus,
    scope::Scope,
};

use crate::support::{Mode, Stack, unknown_key};

const READ: Scope = Scope::from_static("health:read");

fn auth(stack: &Stack) -> AuthLayer<GrpcStatus> {
    let environment = Environment::default().with_clock(stack.clock.clone());
    AuthLayer::new(stack.keys.clone()).environment(&environment).respond_with(GrpcStatus::default())
}

/// Serves the health service of tonic, wrapped by a function.
macro_rules! serve {
    ($layers:expr) => {{
        let (_reporter, health) = tonic_health::server::health_reporter();
        let routes = Routes::new(health).prepare();
        let service = $layers.service(routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(service.clone());
                let connection = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        address
    }};
}

async fn check(address: SocketAddr, key: Option<&str>) -> Result<(), Status> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    HealthClient::new(channel).check(request).await.map(|_| ())
}

/// The details of a status: the type of each, and its bytes as text with the bytes that are not printable left out.
fn details(status: &Status) -> HashMap<String, String> {
    let printable = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().filter(|c| c.is_ascii_graphic()).collect();
    decode(status.details())
        .into_iter()
        .filter(|(field, _)| *field == 3)
        .map(|(_, any)| {
            let any: HashMap<u8, Vec<u8>> = decode(&any).into_iter().collect();
            let name = String::from_utf8(any[&1].clone()).unwrap();
            (name.rsplit('.').next().unwrap().to_owned(), printable(&any[&2]))
        })
        .collect()
}

/// The fields of a message with a length, by an independent reader of the encoding.
fn decode(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7F) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let number = varint(&mut bytes);
        if tag & 7 == 2 {
            let (value, rest) = bytes.split_at(usize::try_from(number).unwrap());
            fields.push((u8::try_from(tag >> 3).unwrap(), value.to_vec()));
            bytes = rest;
        }
    }
    fields
}

#[tokio::test]
async fn a_tonic_client_sees_the_code_of_each_refusal() {
    let stack = Stack::new();
    let (_, key) = stack.mint(NewKey::new("alice").scopes([READ])).await;
    let (_, other) = stack.mint(NewKey::new("bob")).await;
    let address = serve!(
        ServiceBuilder::new()
            .layer(auth(&stack))
            .layer(AuthorizeLayer::all_of([READ]).respond_with(GrpcStatus::default()))
    );

    check(address, Some(key.expose())).await.unwrap();
    let missing = check(address, None).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::Unauthenticated, "A credential is required."));
    assert_eq!(missing.metadata().get("www-authenticate").unwrap(), "Bearer realm=\"api\"");
    let invalid = check(address, Some(unknown_key().expose())).await.unwrap_err();
    assert_eq!(invalid.code(), Code::Unauthenticated);
    assert!(details(&invalid)["ErrorInfo"].contains("INVALID_TOKEN"), "{:?}", details(&invalid));
    assert_eq!(check(address, Some("a b")).await.unwrap_err().code(), Code::Unauthenticated);
    let forbidden = check(address, Some(other.expose())).await.unwrap_err();
    assert_eq!(forbidden.code(), Code::PermissionDenied);
    let info = &details(&forbidden)["ErrorInfo"];
    assert!(info.contains("INSUFFICIENT_SCOPE") && info.contains("health:read"), "{info}");

    stack.store.set(Mode::Fail);
    let down = check(address, Some(unknown_key().expose())).await.unwrap_err();
    assert_eq!(down.code(), Code::Unavailable);
    assert_eq!(down.metadata().get("retry-after"), Some(&MetadataValue::from_static("5")));
    assert!(details(&down).contains_key("RetryInfo"));
    stack.store.set(Mode::Panic);
    assert_eq!(check(address, Some(unknown_key().expose())).await.unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn a_tonic_client_sees_an_exceeded_quota_as_resource_exhausted() {
    let quota = Quota::per_day(1).named("calls");
    let limit = RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::global(), quota);
    let address = serve!(ServiceBuilder::new().layer(limit.respond_with(GrpcStatus::default())));
    check(address, None).await.unwrap();
    let refused = check(address, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.metadata().contains_key("retry-after"));
    assert!(details(&refused)["QuotaFailure"].contains("calls"));
}

#[tokio::test]
async fn a_tonic_client_sees_refused_guesses_as_resource_exhausted() {
    let stack = Stack::new();
    let quota = Quota::per_day(1).named("failures");
    let limit = FailureLimitLayer::new("failures", LocalRateLimiter::default(), LimitBy::global(), quota);
    let address = serve!(ServiceBuilder::new().layer(limit.respond_with(GrpcStatus::default())).layer(auth(&stack)));
    let key = unknown_key();
    assert_eq!(check(address, Some(key.expose())).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(check(address, Some(key.expose())).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_refusal_is_trailers_only() {
    let stack = Stack::new();
    let service = ServiceBuilder::new().layer(auth(&stack)).service_fn(async |_: http::Request<()>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::default()))
    });
    let refused = tower::ServiceExt::oneshot(service, http::Request::new(())).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    assert!(http_body::Body::is_end_stream(refused.body()));
}

#[test]
fn all_limits_take_the_status() {
    fn responds<L: tower::Layer<S>, S>(_: &L)
    where
        L::Service: tower::Service<http::Request<()>, Response: Sized>,
    {
    }
    type Inner = tower::util::BoxCloneSyncService<
        http::Request<()>,
        http::Response<tonic::body::Body>,
        std::convert::Infallible,
    >;
    let limit = ConcurrencyLayer::new(LimitBy::global(), NonZeroU32::MIN).respond_with(GrpcStatus::default());
    responds::<_, Inner>(&limit);
}

#[expect(dead_code, reason = "it only has to compile: layers of tonic's own server")]
fn on_tonics_own_server(stack: &Stack) -> Server<impl Sized> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    tonic::transport::Server::builder().layer(auth(stack)).add_service(health)
}
