//! Scopes that an API asks for.

use http::StatusCode;
use serde_json::json;
use tower_warden_client::{CachedToken, ClientAuth, grant::ClientCredentials};

use crate::{
    World,
    check::{Checks, Outcome, same, scopes},
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("403 is not repeated, or with the scopes of the challenge by option", step_up(world)).await;
}

async fn step_up(world: &World) -> Outcome {
    let client =
        world.issuer.register("scopes", json!({ "token_endpoint_auth_method": "client_secret_basic" })).await?;
    let endpoint = world.issuer.endpoint(ClientAuth::basic(&client.id, &client.secret))?;
    let grant = ClientCredentials::new(endpoint).scopes(scopes("orders:read")?).resource(&world.api.resource());
    world.api.take_statuses();
    world.api.client(CachedToken::new(grant.clone()))?.expect_status("/write", StatusCode::FORBIDDEN).await?;
    same("requests", world.api.take_statuses(), "1 403".into())?;

    let before = world.issuer.counts().await?;
    let api = world.api.step_up_client(CachedToken::new(grant))?;
    api.expect("/write", "scopes").await?;
    same("requests", world.api.take_statuses(), "1 403, 1 200".into())?;
    api.expect("/write", "scopes").await?;
    same("requests", world.api.take_statuses(), "1 200".into())?;
    same("token requests", world.issuer.since(&before).await?, "2 client_credentials, 2 requests".into())
}
