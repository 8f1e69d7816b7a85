//! Responses of introspection endpoints.

use std::sync::{
    Arc, LazyLock, Mutex,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable, fetch::Fetch, introspection::Introspection, jwt::Issuer,
    layer::AuthLayer,
};

use super::{block_on, send};
use crate::support::{App, START, app, bearer};

const SECRET: &str = "top-secret";

/// The response of the endpoint, whatever is asked.
#[derive(Clone, Default)]
struct Endpoint(Arc<Mutex<Response<Bytes>>>);

impl Fetch for Endpoint {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        Eventual::Now(Ok(self.0.lock().unwrap().clone()))
    }
}

static BENCH: LazyLock<(Endpoint, App)> = LazyLock::new(|| {
    let endpoint = Endpoint::default();
    let issuer = Issuer::new("https://issuer.test", "https://api.test").unwrap();
    let builder = Introspection::builder(issuer, "https://issuer.test/introspect", "api", SECRET);
    let introspection = builder.fetch(endpoint.clone()).build().unwrap();
    let environment = Environment::default().with_clock(ManualClock::at(START));
    (endpoint, app(&AuthLayer::new(introspection).environment(&environment)))
});

/// A line with a status and `Retry-After`, and the body of the response.
pub fn run(input: &[u8]) -> bool {
    static TOKENS: AtomicU64 = AtomicU64::new(0);
    let (endpoint, app) = &*BENCH;
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let line = String::from_utf8_lossy(&input[..end]);
    let body = input.get(end + 1..).unwrap_or_default();
    let (status, wait) = line.split_once(' ').unwrap_or((&line, ""));
    let Ok(status) = StatusCode::from_bytes(status.as_bytes()) else { return false };
    let response = Response::builder().status(status).header("retry-after", wait);
    let Ok(response) = response.body(Bytes::copy_from_slice(body)) else { return false };
    *endpoint.0.lock().unwrap() = response;
    // A new one each time: the last response is cached.
    let token = format!("opaque-{}", TOKENS.fetch_add(1, Ordering::Relaxed));
    let (first, second) = block_on(async { (send(app, bearer(&token)).await, send(app, bearer(&token)).await) });
    assert_eq!(first.seen(), second.seen(), "a cached response has the same outcome");
    assert!(!format!("{:?}", first.seen()).contains(SECRET));
    assert!(matches!(first.status.as_u16(), 200 | 401 | 503), "{first:?}");
    if first.status != 200 {
        return false;
    }
    assert_eq!(status, 200);
    let members: Value = serde_json::from_slice(body).expect("the response of an active token is JSON");
    assert_eq!(members["active"], true);
    assert!(members.get("iss").is_none_or(|issuer| issuer.is_null() || *issuer == "https://issuer.test"), "{members}");
    let audiences = members["aud"].as_array().cloned().unwrap_or_else(|| vec![members["aud"].clone()]);
    assert!(audiences.contains(&"https://api.test".into()), "{members}");
    // RFC 7662 §2.2: the issuer may name the user by `username` alone.
    let named = ["sub", "username"].map(|name| members[name].as_str().filter(|text| !text.is_empty()));
    assert_eq!(named[0].or(named[1]), Some(&*first.body), "{members}");
    let now = START.as_secs() as f64;
    assert!(members["exp"].as_f64().is_none_or(|end| end + 60.0 > now), "{members}");
    assert!(members.get("cnf").is_none_or(Value::is_null), "{members}");
    true
}
