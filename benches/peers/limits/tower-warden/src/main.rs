//! `RateLimitLayer` with `LocalRateLimiter`.

use std::{net::IpAddr, num::NonZeroU32};

use axum::{Router, routing::get};
use peers::{
    Lines,
    limits::{self, Rate, handler},
};
use tower_warden::{
    Eventual,
    layer::RateLimitLayer,
    rate_limit::{
        Decision, LimitBy, LimitKey, LimitRequest, LocalRateLimiter, Quota, QuotaSet, RateLimitFields, RateLimiter,
    },
};

fn main() {
    let lines = Lines::new("tower-warden", "this commit");
    limits::run(&lines, |rate| server(rate, RateLimitFields::default()));
    limits::run_times(&lines, ", without response fields", |rate| server(rate, RateLimitFields::Silent));

    let (limiter, quotas) = (LocalRateLimiter::default(), QuotaSet::from(quota(Rate::LARGE)));
    limits::run_decision(&lines, |address| {
        let mut key = LimitKey::default();
        match address {
            IpAddr::V4(address) => key.push("ipv4", address.octets()),
            IpAddr::V6(address) => key.push("ipv6", &address.octets()[..8]),
        }
        match limiter.take(&LimitRequest::new(&key, &quotas)) {
            Eventual::Now(Ok(Decision::Admitted(status))) => status,
            _ => panic!("it is admitted at once"),
        }
    });
}

fn quota(rate: Rate) -> Quota {
    let count = NonZeroU32::new(rate.count).expect("a rate is not zero");
    Quota::new("peers", count, rate.period, count).expect("a quota")
}

fn server(rate: Rate, fields: RateLimitFields) -> Router {
    let limit = RateLimitLayer::new("peers", LocalRateLimiter::default(), LimitBy::peer(), quota(rate)).fields(fields);
    Router::new().route("/", get(handler)).layer(limit)
}
