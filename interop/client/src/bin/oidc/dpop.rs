//! Tokens that are bound to a key (RFC 9449), with nonces of the issuer and of the API.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tower_warden::{Clock, Environment, ManualClock, SystemClock};
use tower_warden_client::{
    CachedToken, ClientAuth, DpopKey, TokenKind, TokenRequest, TokenSource,
    grant::{ClientCredentials, StaticKey},
};
use tower_warden_interop::BoxError;

use crate::{
    World,
    check::{Checks, Outcome, claims, obtain, same, scopes},
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("DPoP, with a nonce that the issuer requires", at_the_issuer(world)).await;
    checks.run("DPoP, with a nonce that the API requires", at_the_api(world)).await;
}

async fn grant(world: &World, name: &str, key: Option<DpopKey>) -> Result<ClientCredentials, BoxError> {
    let metadata = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    let client = world.issuer.register(name, metadata).await?;
    let mut endpoint = world.issuer.endpoint(ClientAuth::basic(&client.id, &client.secret))?;
    if let Some(key) = key {
        endpoint = endpoint.dpop(key);
    }
    Ok(ClientCredentials::new(endpoint).scopes(scopes("orders:read")?).resource(&world.api.resource()))
}

async fn at_the_issuer(world: &World) -> Outcome {
    let key = DpopKey::generate()?;
    let grant = grant(world, "dpop-issuer", Some(key.clone())).await?;
    let before = world.issuer.counts().await?;
    let token = obtain(&grant).await?;
    same("the type", token.kind(), TokenKind::Dpop)?;
    same("cnf", &claims(&token)?["cnf"], &json!({ "jkt": key.thumbprint().to_base64url() }))?;
    let expected = "1 client_credentials, 1 client_credentials use_dpop_nonce, 2 requests";
    same("token requests", world.issuer.since(&before).await?, expected.into())?;

    let before = world.issuer.counts().await?;
    obtain(&grant).await?;
    same("with the nonce", world.issuer.since(&before).await?, "1 client_credentials, 1 requests".into())
}

async fn at_the_api(world: &World) -> Outcome {
    let clock = ManualClock::at(SystemClock::default().now());
    let environment = Environment::default().with_clock(clock.clone());
    let grant_of_key = grant(world, "dpop-api", Some(DpopKey::generate()?)).await?;
    let tokens = CachedToken::new(grant_of_key).environment(&environment);
    let api = world.api.client(tokens.clone())?;
    world.api.take_statuses();
    api.expect("/bound", "dpop-api").await?;
    same("the first request", world.api.take_statuses(), "1 401, 1 200".into())?;
    api.expect("/bound", "dpop-api").await?;
    same("with the nonce", world.api.take_statuses(), "1 200".into())?;

    // Another token, and the nonces of both servers.
    clock.advance(Duration::from_secs(301));
    let before = world.issuer.counts().await?;
    api.expect("/bound", "dpop-api").await?;
    same("token requests", world.issuer.since(&before).await?, "1 client_credentials, 1 requests".into())?;
    same("with another token", world.api.take_statuses(), "1 200".into())?;

    // The bound token as a bearer token, and a token that is not bound.
    let token = tokens.token(&TokenRequest::new(clock.now())).wait().await?;
    world.api.client(StaticKey::bearer(token.expose())?)?.expect_status("/bound", StatusCode::UNAUTHORIZED).await?;
    let unbound = grant(world, "dpop-none", None).await?;
    world.api.client(unbound)?.expect_status("/bound", StatusCode::UNAUTHORIZED).await
}
