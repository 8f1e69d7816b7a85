//! The API of the quickstart with everything that an operator observes: audit events, alerts of abuse, and metrics. A policy
//! in Rego decides on one route.
//!
//! ```text
//! cargo run --example observed
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on | `127.0.0.1:3000` |
//! | `AUDIT_FILE` | the file of audit events, one JSON object in each line | standard output |
//! | `POLICY_FILE` | the policy in Rego of `/v1/billing/balance`, which is read again when it changes | `examples/observed/balance.rego` |
//! | `RUST_LOG` | the filter of log lines | `warn,tower_warden=info` |
//!
//! The folder `examples/observed` has the policy, a dashboard for Grafana, and rules for alerts of Prometheus.
#![expect(clippy::print_stdout, reason = "the output is for the terminal")]

use std::{env, error::Error, fs::OpenOptions, future::IntoFuture, io, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    routing::{get, post},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Builder, signal, sync::mpsc, time::sleep};
use tower_warden::{
    Environment, Policy, Principal,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey, key_routes},
    audit::{AbuseGuard, AlertState, AuditLog, AuditNote, Detection, Detector, JsonLines, MetricsSink},
    axum::Scoped,
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, FailureLimitLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    scope::scopes,
};
use tower_warden_rego::RegoPolicy;
use tracing_subscriber::EnvFilter;

scopes! {
    /// Read balances.
    pub BillingRead = "billing:read";
    /// Charge.
    pub BillingWrite = "billing:write";
}

/// The buckets of OpenTelemetry for the duration of requests, and smaller ones for verifications, which take microseconds.
const REQUEST_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const VERIFICATION_BUCKETS: &[f64] = &[0.000_001, 0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0];

const POLICY_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/observed/balance.rego");

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let (served, keys, lines) = runtime.block_on(serve())?;
    // Ends the requests that are still in progress: their events are recorded before the lines are flushed.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(keys.flush())?;
    runtime.block_on(lines.flush())?;
    Ok(served?)
}

/// Serves until a signal comes, and returns what is to be flushed.
async fn serve() -> Result<(io::Result<()>, ApiKeys, JsonLines), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    // Before all layers: metrics that are emitted before are lost.
    let metrics = PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets_for_metric(Matcher::Full("http.server.request.duration".into()), REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("warden.verification.duration".into()), VERIFICATION_BUCKETS)?
        .install_recorder()?;

    let lines = match env::var_os("AUDIT_FILE") {
        Some(file) => JsonLines::builder(OpenOptions::new().append(true).create(true).open(file)?),
        None => JsonLines::builder(io::stdout()),
    };
    let lines = lines.start()?;
    // Keys of callers that are under an alert; they are revoked by a task, because the hook must not wait.
    let (abused, mut revoke) = mpsc::unbounded_channel();
    // Behind a proxy, add a `ClientAddressLayer` inside of the `AuditLayer` first: without it, the addresses are those of the
    // proxy, and a key in many networks is not one that is abused.
    let detector = Detector::builder(AuditLog::new(lines.clone()).and(MetricsSink::new()))
        .on_alert(move |alert| {
            let is_abuse = alert.state == AlertState::Raised && alert.detection == Detection::KeyInManyNetworks;
            if let Some(id) = alert.key_id.as_deref().filter(|_| is_abuse) {
                let _ = abused.send(id.parse());
            }
        })
        .build();
    let log = AuditLog::new(detector.clone());
    let environment = Environment::default().with_observer(log.clone());
    let keys =
        ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?).environment(&environment).build();
    tokio::spawn({
        let keys = keys.clone();
        async move {
            while let Some(id) = revoke.recv().await {
                let Ok(id) = id else { continue };
                if let Err(error) = keys.revoke(&id).await {
                    tracing::error!(%error, "a key that is abused could not be revoked");
                }
            }
        }
    });

    let file = env::var("POLICY_FILE").unwrap_or_else(|_| POLICY_FILE.to_owned());
    let policy = RegoPolicy::builder("data.balance.decision").file(file).build()?.watch(Duration::from_secs(1));

    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    greet(&keys, listener.local_addr()?).await?;

    let app = app(keys.clone(), log, &detector, &environment, metrics, policy);
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    let server = server.with_graceful_shutdown(shutdown());
    let served = tokio::select! {
        served = server.into_future() => served,
        // A client that does not complete its request delays the shutdown for at most ten seconds.
        () = async { shutdown().await; sleep(Duration::from_secs(10)).await } => Ok(()),
    };
    Ok((served, keys, lines))
}

fn app(
    keys: ApiKeys,
    log: AuditLog,
    detector: &Detector,
    environment: &Environment,
    metrics: PrometheusHandle,
    policy: RegoPolicy,
) -> Router {
    let limiter = LocalRateLimiter::default();
    let authorize = AuthorizeLayer::new(AbuseGuard::new(detector).environment(environment));
    let failures = Quota::per_minute(60).named("failures");
    let api = Router::new()
        .route("/whoami", get(whoami))
        // The scope first, so that the challenge of a caller without it names the scope.
        .route("/billing/balance", get(balance).layer(AuthorizeLayer::new(BillingRead::SCOPE.and(policy))))
        .route("/billing/charges", post(charge))
        .nest("/keys", key_routes(keys.clone()))
        .layer(authorize)
        .layer(RateLimitLayer::new("caller", limiter.clone(), LimitBy::principal(), Quota::per_second(200)))
        .layer(AuthLayer::new(keys).environment(environment))
        .layer(FailureLimitLayer::new("failures", limiter, LimitBy::peer(), failures));
    Router::new()
        .nest("/v1", api)
        .route("/health", get(async || "ok"))
        // In production, on a port that only Prometheus reaches.
        .route("/metrics", get(async move || metrics.render()))
        .layer(AuditLayer::new(log).deny_undecided(|head| matches!(head.uri.path(), "/health" | "/metrics")))
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

async fn balance(caller: Scoped<BillingRead>, note: AuditNote) -> Json<Value> {
    note.tool("balance").object(caller.subject());
    Json(json!({ "owner": caller.subject(), "balance": "12.30 EUR" }))
}

async fn charge(caller: Scoped<BillingWrite>, note: AuditNote) -> Json<Value> {
    note.tool("charge").object(caller.subject());
    Json(json!({ "charged_by": caller.subject() }))
}

/// Mints two keys, and shows them once.
async fn greet(keys: &ApiKeys, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (_, admin) = keys.mint(NewKey::new("admin").name("admin").scopes("keys:admin")).await?;
    let (_, agent) = keys.mint(NewKey::new("agent-1").name("agent").scopes([BillingRead::SCOPE])).await?;
    let (admin, agent) = (admin.expose(), agent.expose());
    println!(
        r#"
admin key, shown once: {admin}
agent key, shown once: {agent}

curl -i http://{address}/health
curl -i http://{address}/metrics
curl -i http://{address}/v1/whoami -H 'Authorization: Bearer {agent}'
curl -i http://{address}/v1/billing/balance -H 'X-API-Key: {agent}'
curl -i http://{address}/v1/billing/charges -X POST -H 'X-API-Key: {agent}'     # 403, ten times: an alert
curl -i http://{address}/v1/whoami                                              # 401
curl -i http://{address}/v1/keys -H 'X-API-Key: {admin}'
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
