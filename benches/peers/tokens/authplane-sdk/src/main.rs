//! `AuthplaneResource` of authplane-sdk, which has no layer, in a service that responds with 401 to tokens that it refuses, and
//! with 403 to those without the scope.

use std::{convert::Infallible, error::Error, sync::Arc};

use authplane_sdk::{AuthplaneClient, FetchSettings};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use peers::{
    Lines, handler, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer, SCOPE},
};
use tower::{ServiceExt, service_fn};

fn main() {
    let lines = Lines::new("authplane-sdk", &pinned("authplane-sdk", include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 9, ring; RS256 and ES256 only; no layer");
    tokens::run(&lines, Finds::KeysByDiscovery, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let client = AuthplaneClient::create(&issuer.name(), FetchSettings::from_dev_mode(true)).await?;
        let resource = Arc::new(client.resource(AUDIENCE, &[SCOPE.to_owned()]).await?);
        Ok::<_, Box<dyn Error>>(service_fn(move |request: Request<Full<Bytes>>| {
            let resource = Arc::clone(&resource);
            async move {
                let field = request.headers().get(AUTHORIZATION).and_then(|field| field.to_str().ok());
                let token = field.and_then(|field| field.split_once(' ')).filter(|(scheme, _)| {
                    // The service around it, so the scheme is no verdict of the peer.
                    scheme.eq_ignore_ascii_case("bearer")
                });
                let status = match token {
                    None => StatusCode::UNAUTHORIZED,
                    Some((_, token)) => match resource.verify(token).await {
                        Err(_) => StatusCode::UNAUTHORIZED,
                        Ok(claims) if claims.has_scope(SCOPE) => return handler().oneshot(request).await,
                        Ok(_) => StatusCode::FORBIDDEN,
                    },
                };
                let response = Response::builder().status(status).body(Full::default());
                Ok::<_, Infallible>(response.expect("it has no fields"))
            }
        }))
    });
}
