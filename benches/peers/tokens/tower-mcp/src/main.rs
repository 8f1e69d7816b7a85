//! `OAuthLayer` of tower-mcp with `JwksValidator`.

use axum::{Router, body::Body, routing::get};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer, SCOPE},
};
use tower_mcp::oauth::{JwksError, JwksValidator, OAuthLayer, ProtectedResourceMetadata, ScopePolicy};

fn main() {
    let lines = Lines::new("tower-mcp", &pinned("tower-mcp", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 11, aws-lc-rs");
    let routes = || Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByUrl, routes(), async |issuer: &Issuer| {
        let validator = JwksValidator::builder(issuer.key_set_uri())
            .expected_audience(AUDIENCE)
            .expected_issuer(&issuer.name())
            .build()
            .await?;
        let metadata = ProtectedResourceMetadata::new(AUDIENCE).authorization_server(issuer.name()).scope(SCOPE);
        let layer = OAuthLayer::new(validator, metadata).scope_policy(ScopePolicy::new().default_scope(SCOPE));
        Ok::<_, JwksError>(routes().layer(layer))
    });
}
