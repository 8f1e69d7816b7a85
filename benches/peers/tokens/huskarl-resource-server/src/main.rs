//! `Rfc9068Validator` of huskarl-resource-server, which has no layer, in a service that responds with its rejections.

use std::{convert::Infallible, error::Error, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use huskarl_reqwest::ReqwestClient;
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;
use peers::{
    Lines, handler, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use tower::{ServiceExt, service_fn};

fn main() {
    let lines =
        Lines::new("huskarl-resource-server", &pinned("huskarl-resource-server", include_str!("../Cargo.toml")));
    lines.about("tokens", "RustCrypto; no layer");
    tokens::run(&lines, Finds::KeysByUrl, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let validator = Rfc9068Validator::builder()
            .issuer(issuer.name())
            .audience(AUDIENCE)
            .jwks_uri(issuer.key_set_uri().parse()?)
            .jwks_source(ReqwestClient::builder().build().await?)
            .build()
            .await?;
        let (validator, resource) = (Arc::new(validator), Uri::from_static("https://api.example.com/"));
        Ok::<_, Box<dyn Error>>(service_fn(move |request: Request<Full<Bytes>>| {
            let (validator, resource) = (Arc::clone(&validator), resource.clone());
            async move {
                let found = validator.validate_request(request.headers(), request.method(), &resource, None).await;
                match found.rejection(&validator.validator_metadata(None), None) {
                    None => handler().oneshot(request).await,
                    Some(rejection) => Ok::<_, Infallible>(
                        rejection.apply(Response::builder()).body(Full::default()).expect("its fields are valid"),
                    ),
                }
            }
        }))
    });
}
