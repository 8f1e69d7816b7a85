//! Services to send requests to, and waiting for conditions.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Builder};
use http_body_util::Full;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    AuthMethod, Identity, Principal, UnixTime,
    api_key::{KeyDigest, KeyFormat, KeyId, KeyRecord, KeySecret},
    layer::{AuthLayer, RateLimitLayer},
    rate_limit::{LimitKey, LimitSecret},
    request::Peer,
};
use tower_warden_redis::RedisConnection;

use crate::server::{Redis, TEST_TIMEOUT};

/// The issuer of the tokens.
pub const ISSUER: &str = "https://auth.example.com";

/// A service that responds with the subject of the caller.
pub type App = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

pub fn authenticated(layer: &AuthLayer) -> App {
    BoxCloneSyncService::new(layer.layer(service_fn(handle)))
}

pub fn limited(layer: &RateLimitLayer) -> App {
    BoxCloneSyncService::new(layer.layer(service_fn(handle)))
}

async fn handle(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = request.extensions().get::<Principal>().map_or("nobody", Principal::subject);
    Ok(Response::new(Full::from(subject.to_owned())))
}

pub fn bearer(key: &str) -> Builder {
    Request::builder().uri("/").header("authorization", format!("Bearer {key}"))
}

/// A request of one peer.
pub fn from_peer() -> Builder {
    Request::builder().uri("/").extension(Peer::new(([192, 0, 2, 1], 4711).into()))
}

pub async fn send(app: &App, request: Builder) -> Answer {
    let response = app.clone().oneshot(request.body(Full::default()).unwrap()).await.unwrap();
    Answer { status: response.status(), headers: response.headers().clone() }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
}

/// A record of a key that another system minted.
pub fn imported(id: &str, key: &str) -> KeyRecord {
    KeyRecord::new(KeyId::parse(id).unwrap(), KeyDigest::sha256(key), "imported", UnixTime::from_secs(1_800_000_000))
}

/// A well-formed key without a record.
pub fn unknown_key() -> KeySecret {
    KeyFormat::new("sk_agent").unwrap().generate().unwrap()
}

/// The key of a caller with this name.
pub fn limit_key(name: &str) -> LimitKey {
    let mut key = LimitKey::default();
    key.push("subject", name);
    key
}

/// The secret of the deployment that the nodes of a test belong to.
pub fn secret() -> LimitSecret {
    LimitSecret::new([7; 32]).unwrap()
}

/// The identity of alice's token with this id.
pub fn token(id: &str) -> Identity {
    let mut identity = Identity::new("alice", AuthMethod::Jwt);
    (identity.issuer, identity.token_id) = (Some(ISSUER.into()), Some(id.into()));
    identity
}

pub async fn connection(redis: &Redis, timeout: Duration) -> RedisConnection {
    RedisConnection::connect(redis.client(), "test".parse().unwrap()).await.timeout(timeout)
}

/// Waits until a condition holds, and returns how long that took.
pub async fn until(mut holds: impl AsyncFnMut() -> bool, what: &str) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < TEST_TIMEOUT, "not in time: {what}");
        sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

/// The first value that there is.
pub async fn until_some<T>(mut value: impl AsyncFnMut() -> Option<T>, what: &str) -> T {
    let mut found = None;
    let is_found = async || {
        found = value().await;
        found.is_some()
    };
    until(is_found, what).await;
    found.unwrap()
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
