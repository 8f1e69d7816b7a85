//! Many requests at the time at which a token ends. The issuer does not respond before all of them wait for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use serde_json::json;
use tokio::{
    sync::{Barrier, Notify},
    task::JoinSet,
    time::timeout,
};
use tower_warden::{Clock, Environment, Eventual, ManualClock, SystemClock};
use tower_warden_client::{
    CachedToken, ClientAuth, Token, TokenError, TokenRequest, TokenSource, grant::ClientCredentials,
};
use tower_warden_interop::BoxError;

use crate::{
    World,
    check::{Checks, Outcome, obtain, same, scopes},
    issuer::RegisteredClient,
};

pub(crate) async fn run(world: &World, checks: &mut Checks) {
    checks.run("1,000 concurrent requests across an expiry cause one token request", expiry(world)).await;
    checks.run("1,000 concurrent 401s of a revoked token cause one token request", revocation(world)).await;
}

async fn expiry(world: &World) -> Outcome {
    let clock = ManualClock::at(SystemClock::default().now());
    let (_, grant) = grant(world, "expiry", &world.api.resource()).await?;
    let tokens = CachedToken::new(grant).environment(&Environment::default().with_clock(clock.clone()));
    world.api.client(tokens.clone())?.expect("/orders", "expiry").await?;
    clock.advance(Duration::from_secs(301));
    send(world, Watched::new(tokens, REQUESTS), "/orders", "1000 200").await
}

async fn revocation(world: &World) -> Outcome {
    let (client, grant) = grant(world, "revocation", &world.api.opaque_resource()).await?;
    let tokens = CachedToken::new(grant);
    world.issuer.revoke(&client, obtain(&tokens).await?.expose()).await?;
    // Each request asks for a token twice: before it is sent, and when it is refused.
    send(world, Watched::new(tokens, 2 * REQUESTS), "/opaque", "1000 401, 1000 200").await
}

async fn grant(world: &World, name: &str, resource: &str) -> Result<(RegisteredClient, ClientCredentials), BoxError> {
    let client = world.issuer.register(name, json!({ "token_endpoint_auth_method": "client_secret_post" })).await?;
    // The response is held back until all requests wait for it.
    let endpoint =
        world.issuer.endpoint(ClientAuth::post(&client.id, &client.secret))?.timeout(Duration::from_secs(60));
    Ok((client, ClientCredentials::new(endpoint).scopes(scopes("orders:read")?).resource(resource)))
}

/// Sends requests, each in a task of its own. They succeed after one token request, and the API responds with these statuses.
async fn send(world: &World, source: Watched, path: &'static str, statuses: &str) -> Outcome {
    let before = world.issuer.counts().await?;
    world.issuer.hold().await?;
    world.api.take_statuses();
    let (source, mut tasks) = (Arc::new(source), JoinSet::new());
    let api = world.api.client(Arc::clone(&source))?;
    for _ in 0..REQUESTS {
        let api = api.clone();
        tasks.spawn(async move { api.expect_status(path, StatusCode::OK).await });
    }
    let waiting = timeout(Duration::from_secs(30), source.all.notified()).await;
    world.issuer.release().await?;
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    waiting.map_err(|_| "not all requests wait for a token")?;
    same("token requests", world.issuer.since(&before).await?, "1 client_credentials, 1 requests".into())?;
    same("responses", world.api.take_statuses(), statuses.into())
}

/// A source whose first tokens are returned when all requests have asked for one, and that notifies after a number of calls.
struct Watched {
    all: Notify,
    begun: Arc<Barrier>,
    calls: AtomicUsize,
    expected: usize,
    source: CachedToken<ClientCredentials>,
}

impl Watched {
    fn new(source: CachedToken<ClientCredentials>, expected: usize) -> Self {
        let (all, begun) = (Notify::new(), Arc::new(Barrier::new(REQUESTS)));
        Self { all, begun, calls: AtomicUsize::new(0), expected, source }
    }
}

impl TokenSource for Watched {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let token = self.source.token(request);
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call == self.expected {
            self.all.notify_one();
        }
        if call > REQUESTS {
            return token;
        }
        let begun = Arc::clone(&self.begun);
        Eventual::later(async move {
            begun.wait().await;
            token.wait().await
        })
    }

    fn invalidate(&self, token: &Token) {
        self.source.invalidate(token);
    }
}

const REQUESTS: usize = 1_000;
