//! `AuthorizationLayer` of axum-jose, with the cache and the rate limit of its documentation.

use std::{num::NonZero, time::Duration};

use axum::{Router, body::Body, routing::get};
use axum_jose::{AuthorizationLayer, RemoteJwkSet};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use url::Url;

fn main() {
    let lines = Lines::new("axum-jose", &pinned("axum-jose", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 10, aws-lc-rs");
    let routes = || Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByUrl, routes(), async |issuer: &Issuer| {
        let keys = RemoteJwkSet::builder(Url::parse(&issuer.key_set_uri())?)
            .with_cache(Duration::from_secs(300))
            .with_rate_limit(NonZero::new(10).expect("it is not zero"), Duration::from_secs(60))
            .build();
        let layer = AuthorizationLayer::with_remote_jwk_set(keys, Url::parse(&issuer.name())?, AUDIENCE.to_owned());
        Ok::<_, url::ParseError>(routes().layer(layer))
    });
}
