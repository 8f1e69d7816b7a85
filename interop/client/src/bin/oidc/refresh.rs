//! Refresh tokens, which the issuer rotates.

use std::{path::Path, time::Duration};

use tower_warden::{Clock, Environment, ManualClock, SystemClock};
use tower_warden_client::{
    CachedToken, ClientAuth, DpopKey, Refresh, RefreshToken, TokenEndpoint, TokenRequest,
    grant::RefreshGrant,
    store::{FileTokenStore, TokenStore},
};
use tower_warden_interop::BoxError;

use crate::{
    World,
    api_client::ApiClient,
    check::{Checks, Outcome, same},
    issuer::RegisteredClient,
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("a rotated refresh token is saved and used once", rotation(world)).await;
    checks.run("a used refresh token falls back to a login", used(world)).await;
    checks.run("a revoked refresh token falls back to a login", revoked(world)).await;
    checks.run("none: a public client, whose refresh token is bound to its key", public(world)).await;
}

/// A client with a user, whose refresh token is in a file.
struct Session {
    api: ApiClient,
    clock: ManualClock,
    endpoint: TokenEndpoint,
    folder: tempfile::TempDir,
}

impl Session {
    fn new(world: &World, client: &RegisteredClient, endpoint: TokenEndpoint) -> Result<Self, BoxError> {
        let folder = tempfile::tempdir()?;
        let clock = ManualClock::at(SystemClock::default().now());
        let login = world.issuer.login(&client.id, endpoint.clone(), &world.api.resource())?;
        let grant = RefreshGrant::new(endpoint.clone(), store(folder.path())).login(login);
        let environment = Environment::default().with_clock(clock.clone());
        let api = world.api.client(CachedToken::new(grant).environment(&environment))?;
        Ok(Self { api, clock, endpoint, folder })
    }

    /// Lets the access token expire.
    fn expire(&self) {
        self.clock.advance(Duration::from_secs(301));
    }

    async fn saved(&self) -> Result<RefreshToken, BoxError> {
        Ok(store(self.folder.path()).load().wait().await?.ok_or("no refresh token was saved")?)
    }
}

fn store(folder: &Path) -> FileTokenStore {
    FileTokenStore::new(folder.join("refresh-token"))
}

async fn confidential(world: &World, name: &str) -> Result<(RegisteredClient, Session), BoxError> {
    let client = world.issuer.register_for_users(name, "client_secret_post").await?;
    let endpoint = world.issuer.endpoint(ClientAuth::post(&client.id, &client.secret))?;
    let session = Session::new(world, &client, endpoint)?;
    Ok((client, session))
}

async fn rotation(world: &World) -> Outcome {
    let (_, session) = confidential(world, "rotation").await?;
    let before = world.issuer.counts().await?;
    session.api.expect("/orders", "alice").await?;
    let mut seen = vec![session.saved().await?.expose().to_owned()];
    for _ in 0..3 {
        session.expire();
        session.api.expect("/orders", "alice").await?;
        let next = session.saved().await?.expose().to_owned();
        same("a refresh token that was used", seen.contains(&next), false)?;
        seen.push(next);
    }
    let requests = world.issuer.since(&before).await?;
    same("token requests", requests, "1 authorization_code, 3 refresh_token, 4 requests".into())
}

async fn used(world: &World) -> Outcome {
    let (_, session) = confidential(world, "used").await?;
    session.api.expect("/orders", "alice").await?;
    // Whoever has copied the file uses it first.
    let stolen = session.saved().await?;
    session.endpoint.refresh(&stolen, &TokenRequest::new(SystemClock::default().now())).wait().await?;
    falls_back(world, &session, &stolen).await
}

async fn revoked(world: &World) -> Outcome {
    let (client, session) = confidential(world, "revoked").await?;
    session.api.expect("/orders", "alice").await?;
    let revoked = session.saved().await?;
    world.issuer.revoke(&client, revoked.expose()).await?;
    falls_back(world, &session, &revoked).await
}

/// The next refresh is refused, a login takes place, and the one after that succeeds.
async fn falls_back(world: &World, session: &Session, refused: &RefreshToken) -> Outcome {
    let before = world.issuer.counts().await?;
    session.expire();
    session.api.expect("/orders", "alice").await?;
    let expected = "1 authorization_code, 1 refresh_token invalid_grant, 2 requests";
    same("token requests", world.issuer.since(&before).await?, expected.into())?;
    same("the refused token is saved", session.saved().await?.expose() == refused.expose(), false)?;

    let before = world.issuer.counts().await?;
    session.expire();
    session.api.expect("/orders", "alice").await?;
    same("token requests", world.issuer.since(&before).await?, "1 refresh_token, 1 requests".into())
}

async fn public(world: &World) -> Outcome {
    let client = world.issuer.register_for_users("public", "none").await?;
    let endpoint = || world.issuer.endpoint(ClientAuth::none(&client.id));
    let session = Session::new(world, &client, endpoint()?.dpop(DpopKey::generate()?))?;
    session.api.expect("/bound", "alice").await?;
    session.expire();
    let before = world.issuer.counts().await?;
    session.api.expect("/bound", "alice").await?;
    same("token requests", world.issuer.since(&before).await?, "1 refresh_token, 1 requests".into())?;

    let stolen = session.saved().await?;
    let thief = endpoint()?.dpop(DpopKey::generate()?);
    let token = thief.refresh(&stolen, &TokenRequest::new(SystemClock::default().now())).wait().await;
    same("another key", token.err().and_then(|error| error.code()), Some("invalid_grant"))
}
