//! The layer of the crate throttle-kit, with its limiter in memory.

use axum::{Router, routing::get};
use futures_util::FutureExt;
use peers::{
    Lines,
    limits::{self, Rate, handler},
    pinned,
};
use throttle_kit::{InMemoryBackend, Quota, RateLimitLayer, RateLimiter};

fn main() {
    let lines = Lines::new("throttle-kit", &pinned("throttle-kit", include_str!("../Cargo.toml")));
    limits::run(&lines, server);
    let limiter = RateLimiter::new(quota(Rate::LARGE), InMemoryBackend::new());
    limits::run_decision(&lines, |address| {
        let decision = limiter.check(&address.to_string()).now_or_never().expect("it waits for nothing");
        assert!(decision.allowed);
        decision
    });
}

fn quota(rate: Rate) -> Quota {
    Quota::from_parts(rate.interval(), rate.count)
}

fn server(rate: Rate) -> Router {
    Router::new().route("/", get(handler)).layer(RateLimitLayer::new(quota(rate), InMemoryBackend::new()))
}
