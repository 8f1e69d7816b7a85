//! The authorization server and the three APIs that the agent calls, on loopback, with faults.

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    Form, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{
    Principal,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    dpop::{Dpop, Nonces},
    jwt::{Issuer, Jwt, VerifyingKey},
    layer::AuthLayer,
    testing::TestIssuer,
};

/// The secret of the client at the authorization server.
pub(crate) const CLIENT_SECRET: &str = "a-secret-of-this-example";

/// The lifetime of tokens: a client refreshes them at half of it.
const LIFETIME: Duration = Duration::from_secs(6);

/// The time in which all but the API for reports are down.
const OUTAGE: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(7);

/// The URLs of the servers, and the credentials of the agent.
pub(crate) struct Servers {
    pub(crate) auth: String,
    pub(crate) billing: String,
    pub(crate) orders: String,
    pub(crate) reports: String,
    pub(crate) billing_key: String,
}

/// The authorization server. It issues tokens to the client `agent-7`, for the resource that it asks for.
#[derive(Clone)]
struct AuthorizationServer {
    issued: Arc<AtomicU32>,
    issuer: TestIssuer,
}

impl Servers {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (auth, billing) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let (orders, reports) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let url = |listener: &TcpListener| Ok::<_, std::io::Error>(format!("http://{}", listener.local_addr()?));
        let started = Instant::now();

        let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_billing")?);
        let (_, billing_key) = keys.mint(NewKey::new("agent-7").name("agent").scopes("billing:read")).await?;
        let issuer = TestIssuer::new(&url(&auth)?);

        let servers = Self {
            auth: url(&auth)?,
            billing: url(&billing)?,
            orders: url(&orders)?,
            reports: url(&reports)?,
            billing_key: billing_key.expose().to_owned(),
        };
        let accept = |audience: &str| {
            Ok::<_, Box<dyn Error + Send + Sync>>(Jwt::new(Issuer::new(issuer.name(), audience)?, issuer.clone()))
        };
        let proofs = Dpop::new(&servers.reports)?.nonces(Nonces::random()?);
        serve(billing, api(AuthLayer::new(keys)).layer(middleware::from_fn_with_state(started, outage)));
        let busy = Arc::<AtomicU32>::default();
        let orders_api =
            api(AuthLayer::new(accept(&servers.orders)?)).layer(middleware::from_fn_with_state(busy, limit));
        serve(orders, orders_api.layer(middleware::from_fn_with_state(started, outage)));
        serve(reports, api(AuthLayer::new(accept(&servers.reports)?).dpop(proofs)));
        let server = AuthorizationServer { issued: Arc::default(), issuer };
        let token = Router::new().route("/token", post(token)).with_state(server);
        serve(auth, token.layer(middleware::from_fn_with_state(started, outage)));
        Ok(servers)
    }
}

fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// An API that responds with the name of the caller.
fn api(auth: AuthLayer) -> Router {
    let whoami = async |caller: Principal| caller.subject().to_owned();
    Router::new().route("/whoami", get(whoami)).layer(auth)
}

/// A server that is down for a time.
async fn outage(State(started): State<Instant>, request: Request, next: Next) -> Response {
    if OUTAGE.contains(&started.elapsed()) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}

/// A server that is busy for each tenth request.
async fn limit(State(count): State<Arc<AtomicU32>>, request: Request, next: Next) -> Response {
    if count.fetch_add(1, Relaxed) % 10 == 9 {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response();
    }
    next.run(request).await
}

async fn token(
    State(server): State<AuthorizationServer>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let is_known = form.get("client_id").is_some_and(|id| id == "agent-7")
        && form.get("client_secret").is_some_and(|secret| secret == CLIENT_SECRET);
    let Some(resource) = form.get("resource").filter(|_| is_known) else {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
    };
    let token = server.issuer.token("agent-7").client_id("agent-7").audience(resource).expires_in(LIFETIME);
    let (token, kind) = match headers.get("dpop").and_then(|proof| thumbprint(proof.as_bytes())) {
        Some(thumbprint) => (token.claim("cnf", json!({ "jkt": thumbprint })), "DPoP"),
        None => (token, "Bearer"),
    };
    println!("authorization server: token {} ({kind}) for {resource}", server.issued.fetch_add(1, Relaxed) + 1);
    let expires_in = LIFETIME.as_secs();
    Json(json!({ "access_token": token.sign(), "token_type": kind, "expires_in": expires_in })).into_response()
}

/// The thumbprint of the key in a proof. A real authorization server verifies the proof.
fn thumbprint(proof: &[u8]) -> Option<String> {
    let header = BASE64_URL_SAFE_NO_PAD.decode(proof.split(|byte| *byte == b'.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let mut jwk = header["jwk"].clone();
    jwk["alg"] = header["alg"].clone();
    Some(VerifyingKey::from_jwk(&jwk.to_string()).ok()?.thumbprint()?.to_base64url())
}
