//! The layer of the crate tower_governor.

use axum::{Router, routing::get};
use peers::{
    Lines,
    limits::{self, Rate, handler},
    pinned,
};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder};

fn main() {
    let lines = Lines::new("tower_governor", &pinned("tower_governor", include_str!("../Cargo.toml")));
    limits::run(&lines, |rate| server(rate, Fields::On));
    limits::run_times(&lines, ", without response fields", |rate| server(rate, Fields::Off));
}

/// Whether responses state the limit.
#[derive(Clone, Copy)]
enum Fields {
    Off,
    On,
}

/// With its response fields, or without.
fn server(rate: Rate, fields: Fields) -> Router {
    let mut builder = GovernorConfigBuilder::default();
    builder.period(rate.interval()).burst_size(rate.count);
    let router = Router::new().route("/", get(handler));
    match fields {
        Fields::Off => router.layer(GovernorLayer::new(builder.finish().expect("a limit"))),
        Fields::On => router.layer(GovernorLayer::new(builder.use_headers().finish().expect("a limit"))),
    }
}
