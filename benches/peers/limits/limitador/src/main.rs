//! The limiter in memory of the crate limitador, in a middleware that is written by hand.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use limitador::{
    CheckResult, RateLimiter,
    limit::{Context, Limit},
};
use peers::{
    Lines,
    limits::{self, Rate, handler},
    pinned,
};

fn main() {
    let lines = Lines::new("limitador, by hand", &pinned("limitador", include_str!("../Cargo.toml")));
    limits::run(&lines, server);
    let limiter = limiter(Rate::LARGE);
    limits::run_decision(&lines, |address| {
        let result = check(&limiter, address.to_string());
        assert!(!result.limited);
        result
    });
}

const NAMESPACE: &str = "peers";

/// Counters in memory; the least recently used ones are dropped beyond this.
const COUNTERS: u64 = 1_000_000;

fn limiter(rate: Rate) -> RateLimiter {
    let limiter = RateLimiter::new(COUNTERS);
    let variable = "address".try_into().expect("a variable");
    limiter.add_limit(Limit::new(NAMESPACE, rate.count.into(), rate.period.as_secs(), [], [variable]));
    limiter
}

fn check(limiter: &RateLimiter, address: String) -> CheckResult {
    let context = Context::from(HashMap::from([("address".to_owned(), address)]));
    limiter.check_rate_limited_and_update(&NAMESPACE.into(), &context, 1).expect("a limiter in memory responds")
}

fn server(rate: Rate) -> Router {
    Router::new().route("/", get(handler)).layer(middleware::from_fn_with_state(Arc::new(limiter(rate)), limit))
}

async fn limit(
    State(limiter): State<Arc<RateLimiter>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut result = check(&limiter, peer.ip().to_string());
    let fields = fields(&mut result);
    let mut response = match result.limited {
        false => next.run(request).await,
        true => {
            let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
            if let Some(reset) = fields.get("x-ratelimit-reset") {
                response.headers_mut().insert(header::RETRY_AFTER, reset.clone());
            }
            response
        }
    };
    response.headers_mut().extend(fields);
    response
}

/// The fields that the limiter proposes.
fn fields(result: &mut CheckResult) -> HeaderMap {
    let fields = result.response_header().into_iter();
    fields
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)))
        .collect()
}
