//! `OidcAuthenticationLayer` of axum-oidc-layer, with its cache of verified tokens.

use std::convert::Infallible;

use axum::{Router, body::Body, routing::get};
use axum_oidc_layer::{AuthenticationConfigProvider, OidcAuthenticationLayer};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use serde_json::Value;

#[derive(Clone)]
struct Config {
    issuer: String,
}

impl AuthenticationConfigProvider for Config {
    fn get_provider_url(&self) -> String {
        self.issuer.clone()
    }

    fn get_openid_configuration_url(&self) -> Option<String> {
        None
    }

    fn get_expected_audience(&self) -> Option<Vec<String>> {
        Some(vec![AUDIENCE.to_owned()])
    }
}

fn main() {
    let lines = Lines::new("axum-oidc-layer", &pinned("axum-oidc-layer", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 9, ring; caches verified tokens");
    let routes = || Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByDiscovery, routes(), async |issuer: &Issuer| {
        let layer = OidcAuthenticationLayer::<Config, Value>::new(Config { issuer: issuer.name() });
        Ok::<_, Infallible>(routes().layer(layer))
    });
}
