//! What a request with a cached token allocates: exact counts, and no time.
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/counting/allocator.rs"]
mod allocator;

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use tower_warden_client::{CachedToken, TokenLayer, grant::StaticKey};

use self::allocator::{Allocator, allocations};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

type Body = Full<Bytes>;

/// A request as clients send them, with a body that can be copied.
fn request() -> Request<Body> {
    let request = Request::post("https://api.example/orders?limit=10")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .header("x-request-id", "01JB2V5QK3");
    request.body(Full::new(Bytes::from_static(br#"{"amount":5}"#))).unwrap()
}

/// The allocations of a request that is prepared and sent, after those that warm up.
fn of<S: Service<Request<Body>, Error: std::fmt::Debug>>(mut service: S) -> u64 {
    let mut send = || {
        let request = request();
        allocations(|| service.call(request).now_or_never().unwrap().unwrap()).1
    };
    send();
    let counts: Vec<_> = (0..100).map(|_| send()).collect();
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    counts[0]
}

#[tokio::test]
async fn a_cached_token_costs_one_allocation() {
    let api = service_fn(async |request: Request<Body>| {
        Ok::<_, Infallible>(Response::new(request.headers().contains_key("authorization")))
    });
    let tokens = CachedToken::new(StaticKey::bearer("s3cret-0123456789").unwrap());
    let mut client = TokenLayer::new(tokens, "https://api.example").unwrap().layer(api);
    assert!(client.call(request()).await.unwrap().into_body(), "the token is cached and sent");
    assert_eq!(of(client) - of(api), 1);
}
