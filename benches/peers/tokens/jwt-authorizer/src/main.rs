//! `JwtAuthorizer` of jwt-authorizer, in axum 0.7, which it needs.

use axum::{Router, body::Body, routing::get};
use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer, Validation, error::InitError};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use serde_json::Value;

fn main() {
    let lines = Lines::new("jwt-authorizer", &pinned("jwt-authorizer", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 9, ring");
    let routes = || Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByUrl, routes(), async |issuer: &Issuer| {
        let validation = Validation::new().iss(&[issuer.name()]).aud(&[AUDIENCE]);
        let authorizer = JwtAuthorizer::<Value>::from_jwks_url(&issuer.key_set_uri()).validation(validation);
        let authorizer: Authorizer<Value> = authorizer.build().await?;
        Ok::<_, InitError>(routes().layer(authorizer.into_layer()))
    });
}
