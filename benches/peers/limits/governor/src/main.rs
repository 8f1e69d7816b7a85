//! A keyed limiter of the crate governor, in a middleware that is written by hand.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use peers::{
    Lines,
    limits::{self, Rate, handler},
    pinned,
};

fn main() {
    let lines = Lines::new("governor, by hand", &pinned("governor", include_str!("../Cargo.toml")));
    limits::run(&lines, server);
    let limiter = limiter(Rate::LARGE);
    limits::run_decision(&lines, |address| limiter.check_key(&address).expect("it is admitted"));
}

type Limiter = DefaultKeyedRateLimiter<IpAddr>;

fn limiter(rate: Rate) -> Limiter {
    let quota = Quota::with_period(rate.interval()).expect("an interval");
    RateLimiter::keyed(quota.allow_burst(NonZeroU32::new(rate.count).expect("a rate is not zero")))
}

fn server(rate: Rate) -> Router {
    Router::new().route("/", get(handler)).layer(middleware::from_fn_with_state(Arc::new(limiter(rate)), limit))
}

async fn limit(
    State(limiter): State<Arc<Limiter>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match limiter.check_key(&peer.ip()) {
        Ok(()) => next.run(request).await,
        Err(until) => {
            let wait = until.wait_time_from(limiter.clock().now()).as_secs_f64().ceil();
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait.to_string())]).into_response()
        }
    }
}
