//! Authentication of the client.

use serde_json::{Value, json};
use tower_warden::jwt::Algorithm;
use tower_warden_client::{CachedToken, ClientAuth, PrivateKey, TokenErrorKind, grant::ClientCredentials};

use crate::{
    World,
    check::{Checks, Outcome, obtain, same, scopes},
    issuer::RegisteredClient,
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("client_secret_basic, with an id and a secret that are encoded in a form", basic(world)).await;
    checks.run("client_secret_post", post(world)).await;
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256] {
        checks.run(&format!("private_key_jwt, {algorithm}"), private_key_jwt(world, algorithm)).await;
    }
}

async fn basic(world: &World) -> Outcome {
    let metadata = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    let client = world.issuer.register("basic:%+ /=&1", metadata).await?;
    accepted(world, ClientAuth::basic(&client.id, &client.secret), &client).await?;
    refused(world, ClientAuth::basic(&client.id, "s:e%c+r/e=t")).await
}

async fn post(world: &World) -> Outcome {
    let metadata = json!({ "token_endpoint_auth_method": "client_secret_post" });
    let client = world.issuer.register("post:%+ /=&1", metadata).await?;
    accepted(world, ClientAuth::post(&client.id, &client.secret), &client).await?;
    refused(world, ClientAuth::post(&client.id, "s:e%c+r/e=t")).await
}

async fn private_key_jwt(world: &World, algorithm: Algorithm) -> Outcome {
    let key = PrivateKey::generate(algorithm)?.with_kid("k1");
    let jwk: Value = serde_json::from_str(&key.public_jwk())?;
    let metadata = json!({
        "jwks": { "keys": [jwk] }, "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": algorithm.as_str(),
    });
    let client = world.issuer.register(&format!("jwt-{algorithm}"), metadata).await?;
    let auth = |key, audience| ClientAuth::private_key_jwt(&client.id, key, audience);
    accepted(world, auth(key.clone(), &*world.issuer.url), &client).await?;
    refused(world, auth(key, "https://other.example")).await?;
    refused(world, auth(PrivateKey::generate(algorithm)?.with_kid("k1"), &world.issuer.url)).await
}

/// The API accepts the token of a client that authenticates like this.
async fn accepted(world: &World, auth: ClientAuth, client: &RegisteredClient) -> Outcome {
    let before = world.issuer.counts().await?;
    let grant = ClientCredentials::new(world.issuer.endpoint(auth)?)
        .scopes(scopes("orders:read")?)
        .resource(&world.api.resource());
    let api = world.api.client(CachedToken::new(grant))?;
    api.expect("/orders", &client.id).await?;
    api.expect("/orders", &client.id).await?;
    same("token requests", world.issuer.since(&before).await?, "1 client_credentials, 1 requests".into())
}

/// The issuer refuses a client that authenticates like this.
async fn refused(world: &World, auth: ClientAuth) -> Outcome {
    let grant = ClientCredentials::new(world.issuer.endpoint(auth)?).resource(&world.api.resource());
    let kind = obtain(&grant).await.map_err(|error| error.kind());
    same("wrong credentials", kind.err(), Some(TokenErrorKind::InvalidClient))
}
