//! An agent that calls three services through one coordinator: with an API key, with client credentials, and with tokens that
//! are bound to a key (DPoP).
//!
//! ```text
//! cargo run --example agent
//! ```
//!
//! The servers are in this process. Tokens expire after six seconds, one API is busy for each tenth request, and from the fifth
//! to the seventh second two APIs and the authorization server are down. The agent sees nothing of it: it prints what the
//! layers did, and at last the number of its calls.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SECONDS` | the time for which the agent runs | `12` |
//! | `RUST_LOG` | the filter of log lines | `warn,tower_warden_client=info` |
#![expect(clippy::print_stdout, reason = "the output is for the terminal")]

use std::{
    env,
    error::Error,
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::fetch::HttpClient;
use tower_warden_client::{
    credentials::{Credentials, CredentialsConfig},
    retry::{ConnectionFailure, RetryLayer, RetrySummary},
    secret::EnvironmentSecrets,
};
use tracing_subscriber::EnvFilter;

use self::servers::{CLIENT_SECRET, Servers};

mod servers;

type BoxError = Box<dyn Error + Send + Sync>;

static CALLS: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden_client=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let time = env::var("SECONDS").map_or(Ok(12), |seconds| seconds.parse())?;

    let servers = Servers::start().await?;
    let config = config(&servers)?;
    let secrets =
        EnvironmentSecrets::of([("BILLING_API_KEY", servers.billing_key.as_str()), ("AGENT_SECRET", CLIENT_SECRET)]);
    // By default, requests to loopback addresses are refused.
    let http = HttpClient::builder().allow_networks(["127.0.0.0/8".parse()?]).build()?;
    let credentials = Credentials::builder(&config, "development", secrets)?.http(http).load().await?;
    let credentials = credentials.refresh_in_background();

    let end = Instant::now() + Duration::from_secs(time);
    tokio::try_join!(
        call(&credentials, "billing", &servers.billing, end),
        call(&credentials, "orders", &servers.orders, end),
        call(&credentials, "reports", &servers.reports, end),
    )?;
    for status in credentials.status() {
        println!("{}: ready: {}, last error: {:?}", status.service(), status.has_token(), status.last_error());
    }
    let (calls, failed) = (CALLS.load(Relaxed), FAILED.load(Relaxed));
    println!("{calls} calls, {failed} failed");
    if failed > 0 { Err("a call has failed".into()) } else { Ok(()) }
}

/// The services in development. Production would have the same names, and other kinds.
fn config(servers: &Servers) -> serde_json::Result<CredentialsConfig> {
    let token_url = format!("{}/token", servers.auth);
    serde_json::from_value(json!({
        "development": {
            "billing": {
                "kind": "api_key", "origin": servers.billing, "key_name": "BILLING_API_KEY", "field": "x-api-key",
            },
            "orders": {
                "kind": "client_credentials", "origin": servers.orders, "resource": servers.orders,
                "token_url": token_url, "client_id": "agent-7", "auth": "post", "secret_name": "AGENT_SECRET",
            },
            "reports": {
                "kind": "client_credentials", "origin": servers.reports, "resource": servers.reports, "dpop": true,
                "token_url": token_url, "client_id": "agent-7", "auth": "post", "secret_name": "AGENT_SECRET",
            },
        },
    }))
}

/// Calls a service ten times a second.
async fn call(credentials: &Credentials, service: &str, origin: &str, end: Instant) -> Result<(), BoxError> {
    let retries = RetryLayer::new()
        .max_retries(20)
        .backoff(Duration::from_millis(500), Duration::from_secs(2))
        .classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let client = ServiceBuilder::new()
        .layer(retries)
        .layer(credentials.layer_for(service)?)
        .service(Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>());
    while Instant::now() < end {
        let request = Request::get(format!("{origin}/whoami")).body(Empty::new())?;
        let result = client.clone().oneshot(request).await;
        CALLS.fetch_add(1, Relaxed);
        match result {
            Ok(response) => {
                for retry in response.extensions().get().map_or(&[][..], RetrySummary::retries) {
                    println!("{service}: {:?}, sent again after {:?}", retry.cause, retry.wait);
                }
                if response.status() != StatusCode::OK {
                    FAILED.fetch_add(1, Relaxed);
                    println!("{service}: failed with {}", response.status());
                }
            }
            Err(error) => {
                FAILED.fetch_add(1, Relaxed);
                println!("{service}: failed: {error}");
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
