//! Tokens of an issuer that is discovered, with the defaults, and without the cache of verified tokens.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use peers::{
    Lines, handler,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use tower::Layer;
use tower_warden::{
    ConfigError,
    jwt::{Jwt, RemoteKeys},
    layer::AuthLayer,
};

fn main() {
    let lines = |name| Lines::new(name, "this commit");
    let default = lines("tower-warden");
    default.about("tokens", "aws-lc-rs");
    tokens::run(&default, Finds::KeysByDiscovery, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let jwt = Jwt::discover(&issuer.name(), AUDIENCE).await?;
        Ok::<_, ConfigError>(AuthLayer::new(jwt).layer(handler()))
    });

    let uncached = lines("tower-warden, without its cache");
    uncached.about("tokens", "aws-lc-rs");
    tokens::times(&uncached, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let keys = RemoteKeys::discovery(&issuer.name()).build()?;
        let rules = tower_warden::jwt::Issuer::new(&issuer.name(), AUDIENCE)?;
        let jwt = Jwt::builder(rules, keys).positive_ttl(Duration::ZERO).build()?;
        Ok::<_, ConfigError>(AuthLayer::new(jwt).layer(handler()))
    });
}
