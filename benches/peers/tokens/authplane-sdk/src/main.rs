//! `AuthplaneResource` of authplane-sdk, which has no layer, in a service that responds with the status of its errors.

use std::{convert::Infallible, error::Error, sync::Arc};

use authplane_sdk::{AuthplaneClient, FetchSettings, VerifierError, http_status};
use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
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
                // The service extracts the token, so the scheme is no verdict of the peer.
                let field = request.headers().get(AUTHORIZATION).and_then(|field| field.to_str().ok());
                let bearer = field.and_then(|field| field.split_once(' '));
                let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                let claims = match bearer {
                    None => Err(VerifierError::TokenMissing),
                    Some((_, token)) => resource.verify(token).await,
                };
                match claims.and_then(|claims| claims.require_scope(SCOPE)) {
                    Ok(()) => handler().oneshot(request).await,
                    Err(error) => {
                        let response = Response::builder().status(http_status(&error)).body(Full::default());
                        Ok::<_, Infallible>(response.expect("it has no fields"))
                    }
                }
            }
        }))
    });
}
