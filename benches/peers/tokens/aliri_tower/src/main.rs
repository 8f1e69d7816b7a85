//! `Oauth2Authorizer` of aliri_tower, with keys that are refreshed each minute. Its EC keys need OpenSSL.

use std::time::Duration;

use aliri::{jwa::Algorithm, jwt};
use aliri_oauth2::{Authority, ScopePolicy};
use aliri_tower::Oauth2Authorizer;
use bytes::Bytes;
use http_body_util::Full;
use peers::{
    Lines, handler, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer, SCOPE},
};
use tower::Layer;

fn main() {
    let lines = Lines::new("aliri_tower", &pinned("aliri_tower", include_str!("../Cargo.toml")));
    lines.about("tokens", "ring, OpenSSL for EC; refresh interval of 60 s");
    tokens::run(&lines, Finds::KeysByUrl, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let rules = jwt::CoreValidator::default()
            .add_approved_algorithm(Algorithm::RS256)
            .add_approved_algorithm(Algorithm::ES256)
            .add_allowed_audience(jwt::Audience::from_static(AUDIENCE))
            .require_issuer(jwt::Issuer::from(issuer.name()));
        let authority = Authority::new_from_url(issuer.key_set_uri(), rules).await?;
        authority.spawn_refresh(Duration::from_secs(60));
        let authorizer = Oauth2Authorizer::new().with_terse_error_handler::<Full<Bytes>>();
        let scoped = authorizer.scope_layer::<Full<Bytes>>(ScopePolicy::allow_one_from_static(SCOPE)).layer(handler());
        Ok::<_, reqwest::Error>(authorizer.jwt_layer::<Full<Bytes>>(authority).layer(scoped))
    });
}
