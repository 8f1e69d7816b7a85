//! `Guard` of authkestra-resource, which has no layer, in a service that responds with 401 to what it does not accept.

use std::{convert::Infallible, sync::Arc};

use authkestra_resource::{
    AuthPolicy, Guard,
    jwt::{JwtStrategy, ValidationConfig},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use peers::{
    Lines, handler, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use serde_json::Value;
use tower::{ServiceExt, service_fn};

fn main() {
    let lines = Lines::new("authkestra-resource", &pinned("authkestra-resource", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 11, RustCrypto; no layer");
    tokens::run(&lines, Finds::KeysByUrl, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let config =
            ValidationConfig::builder().issuer(issuer.name()).audience(AUDIENCE).jwks_url(issuer.key_set_uri()).build();
        let guard = Guard::<Value>::builder().strategy(JwtStrategy::new(config)).policy(AuthPolicy::FirstSuccess);
        let guard = Arc::new(guard.build());
        Ok::<_, Infallible>(service_fn(move |request: Request<Full<Bytes>>| {
            let guard = Arc::clone(&guard);
            async move {
                let (parts, body) = request.into_parts();
                if let Ok(Some(_)) = guard.authenticate(&parts).await {
                    return handler().oneshot(Request::from_parts(parts, body)).await;
                }
                let response = Response::builder().status(StatusCode::UNAUTHORIZED);
                Ok::<_, Infallible>(response.body(Full::default()).expect("it has no fields"))
            }
        }))
    });
}
