//! Authentication with certificates, and tokens that are bound to them (RFC 8705).

use http::StatusCode;
use serde_json::json;
use tower_warden_client::{ClientAuth, TokenErrorKind, grant::ClientCredentials};
use tower_warden_interop::BoxError;

use crate::{
    World,
    certificates::ClientCertificate,
    check::{Checks, Outcome, claims, obtain, same, scopes},
    issuer::RegisteredClient,
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("tls_client_auth, and an API that requires the certificate of the token", by_authority(world)).await;
    checks.run("self_signed_tls_client_auth, with a token that is bound to the certificate", self_signed(world)).await;
}

async fn by_authority(world: &World) -> Outcome {
    let metadata = json!({
        "tls_client_auth_san_dns": "mtls.client.example", "tls_client_certificate_bound_access_tokens": true,
        "token_endpoint_auth_method": "tls_client_auth",
    });
    let client = world.issuer.register("mtls", metadata).await?;
    let (mine, other) = (&world.certificates.client, &world.certificates.other);
    bound(world, &client, mine).await?;
    refused(world, &client, other).await?;

    let authority = &world.certificates.authority;
    world.api.tls_client(grant(world, &client, mine)?, mine, authority)?.expect("/orders", "mtls").await?;
    let stolen = world.api.tls_client(grant(world, &client, mine)?, other, authority)?;
    stolen.expect_status("/orders", StatusCode::UNAUTHORIZED).await
}

async fn self_signed(world: &World) -> Outcome {
    let certificate = &world.certificates.self_signed;
    let metadata = json!({
        "jwks": { "keys": [certificate.public_jwk()] }, "tls_client_certificate_bound_access_tokens": true,
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
    });
    let client = world.issuer.register("self-signed", metadata).await?;
    bound(world, &client, certificate).await?;
    refused(world, &client, &world.certificates.client).await
}

/// Client credentials of a client that presents this certificate to the issuer.
fn grant(
    world: &World,
    client: &RegisteredClient,
    certificate: &ClientCertificate,
) -> Result<ClientCredentials, BoxError> {
    let fetch = certificate.reqwest(&world.certificates.authority)?;
    let endpoint = world.issuer.mtls_endpoint(ClientAuth::mtls(&client.id), fetch)?;
    Ok(ClientCredentials::new(endpoint).scopes(scopes("orders:read")?).resource(&world.api.resource()))
}

/// The issuer binds the token to the certificate.
async fn bound(world: &World, client: &RegisteredClient, certificate: &ClientCertificate) -> Outcome {
    let claims = claims(&obtain(&grant(world, client, certificate)?).await?)?;
    same("cnf", &claims["cnf"], &json!({ "x5t#S256": certificate.thumbprint()? }))
}

/// The issuer does not accept the certificate for this client.
async fn refused(world: &World, client: &RegisteredClient, certificate: &ClientCertificate) -> Outcome {
    let token = obtain(&grant(world, client, certificate)?).await;
    same("another certificate", token.err().map(|error| error.kind()), Some(TokenErrorKind::InvalidClient))
}
