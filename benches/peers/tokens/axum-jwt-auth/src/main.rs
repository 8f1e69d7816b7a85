//! `Claims` of axum-jwt-auth: an extractor. One `Validation` has algorithms of one family only, here RS256.

use std::{error::Error, sync::Arc};

use axum::{Router, body::Body, routing::get};
use axum_jwt_auth::{Claims, JwtDecoderState, RemoteJwksDecoder};
use jsonwebtoken::{Algorithm, Validation};
use peers::{
    Lines, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use serde_json::Value;

fn main() {
    let lines = Lines::new("axum-jwt-auth", &pinned("axum-jwt-auth", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 10, RustCrypto; RS256 only");
    let bare = Router::new().route("/", get(async || "ok"));
    tokens::run::<Body, _, _, _, _, _>(&lines, Finds::KeysByUrl, bare, async |issuer: &Issuer| {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[issuer.name()]);
        let decoder = RemoteJwksDecoder::builder().jwks_url(issuer.key_set_uri()).validation(validation).build()?;
        let decoder = Arc::new(decoder);
        // Dropping the token does not cancel the refresh.
        let _shutdown = decoder.initialize().await?;
        let routes = Router::new().route("/", get(async |_: Claims<Value>| "ok"));
        Ok::<_, Box<dyn Error>>(routes.with_state(JwtDecoderState::<Value> { decoder }))
    });
}
