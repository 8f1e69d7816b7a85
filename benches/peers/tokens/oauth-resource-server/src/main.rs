//! `AuthLayer` of oauth-resource-server, once it has the keys.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator, axum::AuthLayer, static_token_policy};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer, SCOPE},
};

fn main() {
    let lines = Lines::new("oauth-resource-server", &pinned("oauth-resource-server", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 9, ring");
    let routes = || Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByDiscovery, routes(), async |issuer: &Issuer| {
        let config = OAuthConfig {
            enabled: true,
            issuer: issuer.name(),
            audience: AUDIENCE.to_owned(),
            resource: AUDIENCE.to_owned(),
            required_scope: Some(SCOPE.to_owned()),
            ..OAuthConfig::default()
        };
        let resolved = config.resolve(KeyNaming::Dotted("oauth"))?.ok_or("it is enabled")?;
        let validator = Arc::new(OAuthValidator::new(&resolved)?);
        validator.spawn_background_refresh();
        while !validator.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let decision = static_token_policy(None, Some(&resolved), false)?;
        let layer = AuthLayer::from_decision(decision, Some(validator))?;
        Ok::<_, Box<dyn Error>>(routes().route_layer(layer))
    });
}
