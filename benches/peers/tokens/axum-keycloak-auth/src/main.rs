//! `KeycloakAuthLayer` of axum-keycloak-auth, after discovery: earlier requests can make it panic.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use axum_keycloak_auth::{
    PassthroughMode, Url,
    instance::{KeycloakAuthInstance, KeycloakConfig},
    layer::KeycloakAuthLayer,
};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};

fn main() {
    let lines = Lines::new("axum-keycloak-auth", &pinned("axum-keycloak-auth", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 9, ring; tries all keys");
    let routes = || Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByDiscovery, routes(), async |issuer: &Issuer| {
        let config = KeycloakConfig::builder().server(Url::parse(issuer.server())?).realm("test".to_owned()).build();
        let instance = KeycloakAuthInstance::new(config);
        while !instance.is_operational().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let layer = KeycloakAuthLayer::<String>::builder()
            .instance(instance)
            .passthrough_mode(PassthroughMode::Block)
            .persist_raw_claims(false)
            .expected_audiences(vec![AUDIENCE.to_owned()])
            .build();
        Ok::<_, Box<dyn std::error::Error>>(routes().layer(layer))
    });
}
