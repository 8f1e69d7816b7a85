//! An API that is protected by scoped API keys, which are stored in SQLite or Postgres.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on | `127.0.0.1:3000` |
//! | `DATABASE_URL` | the database of the keys: `sqlite://…` or `postgres://…` | `sqlite://quickstart.db` |
//! | `RUST_LOG` | the filter of log lines | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "the output is for the terminal")]

use std::{env, error::Error, future::IntoFuture, io, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, signal, time::sleep};
use tower_warden::{
    Principal,
    api_key::{ApiKeys, KeyFormat, NewKey, key_routes},
    axum::Scoped,
    layer::AuthLayer,
    scope::scopes,
};
use tower_warden_sql::SqlKeyStore;
use tracing_subscriber::EnvFilter;

scopes! {
    /// Read balances.
    pub BillingRead = "billing:read";
    /// Charge.
    pub BillingWrite = "billing:write";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let database = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://quickstart.db".to_owned());

    let keys = ApiKeys::new(SqlKeyStore::connect(&database).await?, KeyFormat::new("sk_agent")?);
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    greet(&keys, listener.local_addr()?).await?;

    let app = app(keys.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown());
    tokio::select! {
        result = server.into_future() => result?,
        // A client that does not complete its request delays the shutdown for at most ten seconds.
        () = async { shutdown().await; sleep(Duration::from_secs(10)).await } => {}
    }
    keys.flush().await?;
    Ok(())
}

fn app(keys: ApiKeys) -> Router {
    let api = Router::new()
        .route("/whoami", get(whoami))
        .route("/billing/balance", get(balance))
        .route("/billing/charges", post(charge))
        .nest("/keys", key_routes(keys.clone()))
        .layer(AuthLayer::new(keys));
    Router::new().nest("/v1", api).route("/health", get(async || "ok"))
}

async fn whoami(caller: Principal) -> Json<Value> {
    let scopes: Vec<_> = caller.scopes().iter().map(|scope| scope.as_str()).collect();
    Json(json!({
        "subject": caller.subject(),
        "tenant": caller.tenant(),
        "scopes": scopes,
        "method": caller.method().as_str(),
        "key_id": caller.key_id(),
        "tier": caller.tier(),
        "issued_at": caller.issued_at().map(|time| time.as_secs()),
        "expires_at": caller.expires_at().map(|time| time.as_secs()),
    }))
}

async fn balance(caller: Scoped<BillingRead>) -> Json<Value> {
    Json(json!({ "owner": caller.subject(), "balance": "12.30 EUR" }))
}

async fn charge(caller: Scoped<BillingWrite>) -> Json<Value> {
    Json(json!({ "charged_by": caller.subject() }))
}

/// Mints two keys on the first run, and shows them once.
async fn greet(keys: &ApiKeys, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let admin = NewKey::new("admin").name("quickstart admin").scopes("keys:admin");
    let Some((_, admin)) = keys.bootstrap(admin).await? else {
        println!("the keys of the first run are in the database; their secrets were shown then");
        return Ok(());
    };
    let agent = NewKey::new("agent-1").name("quickstart agent").scopes([BillingRead::SCOPE]);
    let (_, agent) = keys.mint(agent).await?;
    let (admin, agent) = (admin.expose(), agent.expose());
    println!(
        r#"
admin key, shown once: {admin}
agent key, shown once: {agent}

curl -i http://{address}/health
curl -i http://{address}/v1/whoami -H 'Authorization: Bearer {agent}'
curl -i http://{address}/v1/billing/balance -H 'X-API-Key: {agent}'
curl -i http://{address}/v1/billing/charges -X POST -H 'X-API-Key: {agent}'     # 403: billing:write is needed
curl -i http://{address}/v1/whoami                                              # 401
curl -i http://{address}/v1/keys -H 'X-API-Key: {admin}'
curl -i http://{address}/v1/keys -H 'X-API-Key: {admin}' -H 'Content-Type: application/json' \
     -d '{{"name": "charger", "owner": "agent-2", "scopes": ["billing:read", "billing:write"], "expires_in": 86400}}'
curl -i http://{address}/v1/keys/ID -X PATCH -H 'X-API-Key: {admin}' -H 'Content-Type: application/json' -d '{{"name": "new"}}'
curl -i http://{address}/v1/keys/ID/rotate -H 'X-API-Key: {admin}' -H 'Content-Type: application/json' -d '{{"grace": 60}}'
curl -i http://{address}/v1/keys/ID -X DELETE -H 'X-API-Key: {admin}'
"#
    );
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn shutdown() {
    let interrupt = signal::ctrl_c();
    #[cfg(unix)]
    {
        let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) else {
            return;
        };
        tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
