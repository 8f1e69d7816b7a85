//! tower-oauth2-resource-server with its default features.

use bytes::Bytes;
use http_body_util::Full;
use peers::{
    Lines, handler, pinned,
    tokens::{self, AUDIENCE, Finds, Issuer},
};
use tower::Layer;
use tower_oauth2_resource_server::{error::StartupError, server::OAuth2ResourceServer, tenant::TenantConfiguration};

const NAME: &str = "tower-oauth2-resource-server";

fn main() {
    let lines = Lines::new(NAME, &pinned(NAME, include_str!("../Cargo.toml")));
    lines.about("tokens", "jsonwebtoken 11, RustCrypto");
    tokens::run(&lines, Finds::KeysByDiscovery, handler::<Full<Bytes>>(), async |issuer: &Issuer| {
        let tenant = TenantConfiguration::builder(issuer.name()).audiences(&[AUDIENCE]).build().await?;
        let server = <OAuth2ResourceServer>::builder().add_tenant(tenant).build().await?;
        Ok::<_, StartupError>(server.into_layer::<Full<Bytes>>().layer(handler()))
    });
}
