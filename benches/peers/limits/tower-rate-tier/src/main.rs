//! The layer of the crate tower-rate-tier, with its limiter in memory.
//!
//! It identifies callers by header fields only. A middleware outside of it, which is measured with it, puts the address of the
//! peer into one.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderName, HeaderValue},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use futures_util::FutureExt;
use peers::{
    Lines,
    limits::{self, Rate, handler},
    pinned,
};
use tower_rate_tier::{Quota, RateTier, TierIdentity, TierLimitLayer};

fn main() {
    let lines = Lines::new("tower-rate-tier", &pinned("tower-rate-tier", include_str!("../Cargo.toml")));
    limits::run(&lines, server);
    let limiter = limiter(Rate::LARGE);
    limits::run_decision(&lines, |address| {
        let decision = limiter.check(&address.to_string(), "peers", 1).now_or_never().expect("it waits for nothing");
        decision.expect("a limiter in memory responds").expect("it is admitted")
    });
}

const PEER: HeaderName = HeaderName::from_static("x-peer");

fn limiter(rate: Rate) -> RateTier {
    RateTier::builder().tier("peers", Quota::with_window(rate.count, rate.period)).build()
}

fn server(rate: Rate) -> Router {
    let limit = TierLimitLayer::new(limiter(rate))
        .identifier_fn(|headers| Some(TierIdentity::new(headers.get(PEER)?.to_str().ok()?, "peers")));
    Router::new().route("/", get(handler)).layer(limit).layer(middleware::from_fn(name_peer))
}

async fn name_peer(mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(PEER);
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = HeaderValue::try_from(peer.ip().to_string()).expect("an address is a header value");
        request.headers_mut().insert(PEER, address);
    }
    next.run(request).await
}
