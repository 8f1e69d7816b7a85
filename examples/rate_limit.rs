//! An API with limits by peer, on refused credentials, and by the caller's tier; on one node, or on many with Redis.
//!
//! ```text
//! cargo run --example rate_limit
//! export REDIS_URL=redis://127.0.0.1/ LIMIT_SECRET=$(openssl rand -hex 32)
//! LISTEN=127.0.0.1:3001 cargo run --example rate_limit
//! LISTEN=127.0.0.1:3002 cargo run --example rate_limit
//! ```
//!
//! The last two processes share the quotas of the callers, and accept the same keys.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LIMIT_SECRET` | secret of 32 bytes or more that nodes share, with `REDIS_URL` | none |
//! | `LISTEN` | address to listen on | `127.0.0.1:3000` |
//! | `REDIS_URL` | Redis server that nodes share | none: limits in memory |
//! | `RUST_LOG` | log filter | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it prints instructions")]

use std::{env, error::Error, io, net::SocketAddr, sync::Arc};

use axum::{Router, routing::get};
use tokio::{net::TcpListener, signal};
use tower::ServiceBuilder;
use tower_warden::{
    Clock, Principal, SystemClock,
    api_key::{ApiKeys, KeyDigest, KeyFormat, KeyId, KeyRecord, MemoryKeyStore},
    layer::{AuthLayer, ConcurrencyLayer, FailureLimitLayer, RateLimitLayer},
    rate_limit::{LimitBy, LimitSecret, LocalRateLimiter, Quota, QuotaSet, RateLimiter, nonzero},
};
use tower_warden_redis::{OnOutage, RedisConnection, RedisRateLimiter};
use tracing_subscriber::EnvFilter;

/// Subject, tier and key of the callers. A real API mints keys, as the quickstart does; these are the same on each node,
/// so that two nodes can be tried side by side.
const CALLERS: [(&str, &str, &str); 2] = [("alice", "free", "demo-alice"), ("bob", "pro", "demo-bob")];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());

    let local = LocalRateLimiter::default();
    let shared: Arc<dyn RateLimiter> = match env::var("REDIS_URL") {
        Ok(url) => {
            let connection = RedisConnection::connect(redis::Client::open(url)?, "example".parse()?).await;
            let secret = LimitSecret::new(env::var("LIMIT_SECRET")?)?;
            Arc::new(RedisRateLimiter::new(connection, secret).on_outage(OnOutage::Local { nodes: nonzero(2) }))
        }
        Err(_) => Arc::new(local.clone()),
    };

    let listener = TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!(
        r#"
curl -i http://{address}/ -H 'X-API-Key: demo-alice'        # free: 5 at once, then 1 in 12 seconds
curl -i http://{address}/ -H 'X-API-Key: demo-bob'          # pro: 100 at once, then 50 a second
curl -i http://{address}/search -H 'X-API-Key: demo-alice'  # costs 3
curl -i http://{address}/ -H 'X-API-Key: demo-guess'        # 401, after the third 429"#
    );
    let app = app(local, shared)?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(shutdown()).await?;
    Ok(())
}

fn app(local: LocalRateLimiter, shared: Arc<dyn RateLimiter>) -> Result<Router, Box<dyn Error>> {
    let free = QuotaSet::new([Quota::per_minute(5).named("free"), Quota::per_day(500).named("free-daily")])?;
    let pro =
        QuotaSet::new([Quota::per_second(50).burst(100).named("pro"), Quota::per_day(1_000_000).named("pro-daily")])?;
    // From the outside in. Peers and refused credentials are limited by each node, without a round trip before the caller
    // is known.
    let limits = ServiceBuilder::new()
        .layer(RateLimitLayer::new(
            "peers",
            local.clone(),
            LimitBy::peer(),
            Quota::per_second(100).burst(200).named("peer"),
        ))
        .layer(FailureLimitLayer::new("failures", local, LimitBy::peer(), Quota::per_minute(3).named("failures")))
        .layer(AuthLayer::new(ApiKeys::new(callers()?, KeyFormat::opaque("demo-")?)))
        .layer(
            RateLimitLayer::new("calls", shared, LimitBy::principal(), free)
                .tier("pro", pro)
                .cost(|head| if head.uri.path() == "/search" { 3 } else { 1 }),
        )
        .layer(ConcurrencyLayer::new(LimitBy::principal(), nonzero(10)));
    let api = Router::new().route("/", get(hello)).route("/search", get(hello)).layer(limits);
    Ok(api.route("/health", get(async || "ok")))
}

async fn hello(caller: Principal) -> String {
    format!("{}, {}\n", caller.subject(), caller.tier().unwrap_or("free"))
}

fn callers() -> Result<MemoryKeyStore, Box<dyn Error>> {
    use futures_util::FutureExt;
    use tower_warden::api_key::KeyStore;

    let store = MemoryKeyStore::default();
    for (name, tier, key) in CALLERS {
        let id = KeyId::parse(name)?;
        let mut record = KeyRecord::new(id, KeyDigest::sha256(key), name, SystemClock::default().now());
        record.tier = Some(tier.to_owned());
        store.insert(record).wait().now_or_never().expect("a store in memory is always ready")?;
    }
    Ok(store)
}

async fn shutdown() {
    // Without a signal handler, the process ends when it is killed.
    let _ = signal::ctrl_c().await;
}
