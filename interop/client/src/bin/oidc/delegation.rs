//! Tokens for other tokens. oidc-provider has neither grant: `issuer.mjs` implements them.

use std::sync::Arc;

use serde_json::{Value, json};
use tower_warden::jwt::Algorithm;
use tower_warden_client::{
    CachedToken, ClientAuth, PrivateKey, TokenErrorKind, TokenSource,
    grant::{ClientCredentials, JwtBearer, SignedAssertion, StaticKey, TokenExchange, TokenType},
};
use tower_warden_interop::BoxError;

use crate::{
    World,
    check::{Checks, Outcome, claims, obtain, same, scopes},
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("token exchange for a user and an actor (a grant of issuer.mjs)", exchange(world)).await;
    checks.run("JWT bearer with a signed assertion (a grant of issuer.mjs)", jwt_bearer(world)).await;
}

async fn exchange(world: &World) -> Outcome {
    let users = world.issuer.register_for_users("exchange-users", "client_secret_post").await?;
    let endpoint = world.issuer.endpoint(ClientAuth::post(&users.id, &users.secret))?;
    let subject = world.issuer.login(&users.id, endpoint, &world.api.resource())?;

    let metadata = json!({
        "grant_types": ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let agent = world.issuer.register("exchange-agent", metadata).await?;
    let endpoint = world.issuer.endpoint(ClientAuth::basic(&agent.id, &agent.secret))?;
    let actor = ClientCredentials::new(endpoint.clone()).scopes(scopes("orders:read")?);
    let actor = CachedToken::new(actor.resource(&world.api.resource()));
    let exchange = |subject: Arc<dyn TokenSource>, text: &str| -> Result<_, BoxError> {
        Ok(TokenExchange::new(endpoint.clone(), subject, TokenType::ACCESS_TOKEN)
            .actor(actor.clone(), TokenType::ACCESS_TOKEN)
            .resource(&world.api.resource())
            .scopes(scopes(text)?))
    };

    let subject = Arc::new(CachedToken::new(subject));
    let token = obtain(&exchange(subject.clone(), "orders:read")?).await?;
    let claims = claims(&token)?;
    same("sub and act", (&claims["sub"], &claims["act"]), (&json!("alice"), &json!({ "sub": "exchange-agent" })))?;
    let api = world.api.client(CachedToken::new(exchange(subject.clone(), "orders:read")?))?;
    api.expect("/orders", "alice").await?;

    let more = obtain(&exchange(subject, "orders:read orders:write")?).await.err();
    same("more scopes", more.and_then(|error| error.code()), Some("invalid_scope"))?;
    let other = obtain(&exchange(Arc::new(StaticKey::bearer("not-a-token")?), "orders:read")?).await.err();
    same("another subject", other.map(|error| error.kind()), Some(TokenErrorKind::InvalidGrant))
}

async fn jwt_bearer(world: &World) -> Outcome {
    let key = PrivateKey::generate(Algorithm::ES256)?.with_kid("k1");
    let jwk: Value = serde_json::from_str(&key.public_jwk())?;
    let metadata = json!({
        "grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "jwks": { "keys": [jwk] },
        "token_endpoint_auth_method": "private_key_jwt",
    });
    let client = world.issuer.register("service-account", metadata).await?;
    let auth = ClientAuth::private_key_jwt(&client.id, key.clone(), &world.issuer.url);
    let endpoint = world.issuer.endpoint(auth)?;
    let grant = |audience: &str| -> Result<_, BoxError> {
        let assertion = SignedAssertion::new(key.clone(), &client.id, audience).subject("alice");
        let grant = JwtBearer::new(endpoint.clone(), assertion).resource(&world.api.resource());
        Ok(grant.scopes(scopes("orders:read")?))
    };
    world.api.client(CachedToken::new(grant(&world.issuer.url)?))?.expect("/orders", "alice").await?;
    let other = obtain(&grant("https://other.example")?).await.err();
    same("another audience", other.map(|error| error.kind()), Some(TokenErrorKind::InvalidGrant))
}
