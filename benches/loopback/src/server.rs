//! One handler behind nothing, behind single layers, and behind all of them.

use std::{
    error::Error,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_warden::{
    audit::{AuditChannel, AuditLog, EventKind},
    axum::Scoped,
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    scope::scopes,
};

use crate::credentials::{Credentials, SCOPE};

scopes! {
    /// Held by the callers that are measured.
    BillingRead = "billing:read";
}

/// Above the number of requests a second that one process can serve.
const MANY: Quota = Quota::per_second(1_000_000);

/// Exhausted by three requests.
const FEW: Quota = Quota::per_hour(3);

/// Writes the credentials to the folder, prints the address, and serves.
pub(crate) async fn serve(folder: &Path) -> Result<(), Box<dyn Error>> {
    assert_eq!(BillingRead::SCOPE.as_str(), SCOPE);
    let credentials = Credentials::generate(folder).await?;
    let app = routes(&credentials)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

fn routes(credentials: &Credentials) -> Result<Router, Box<dyn Error>> {
    let keys = AuthLayer::new(credentials.keys.clone());
    let jwt = AuthLayer::new(credentials.jwt()?.build()?);
    let uncached = AuthLayer::new(credentials.jwt()?.positive_ttl(Duration::ZERO).build()?);
    let both = AuthLayer::new((credentials.jwt()?.build()?, credentials.keys.clone()));

    let limiter = LocalRateLimiter::default();
    let limit = |name: &str, by, quota| RateLimitLayer::new(name, limiter.clone(), by, quota);
    // From the outside to the inside.
    let limits = |name: &str, peers| {
        ServiceBuilder::new()
            .layer(limit(&format!("{name}-peers"), LimitBy::peer(), peers))
            .layer(both.clone())
            .layer(limit(&format!("{name}-callers"), LimitBy::principal(), MANY).tier("trial", FEW))
            .layer(AuthorizeLayer::all_of([BillingRead::SCOPE]))
    };
    let (sink, mut events) = AuditChannel::new(100_000);
    let audit = ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(sink.clone())));
    let recorded = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&recorded);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            count.fetch_add(u64::from(matches!(event.kind, EventKind::Request(_))), Ordering::Relaxed);
        }
    });

    let jwks = credentials.jwk_set();
    Ok(Router::new()
        .route("/bare", get(bare))
        .route("/key", get(scoped).layer(keys))
        .route("/jwt", get(scoped).layer(jwt))
        .route("/jwt-uncached", get(scoped).layer(uncached))
        .route("/limits", get(scoped).layer(limits("limits", MANY)))
        .route("/stack", get(scoped).layer(audit.layer(limits("stack", MANY))))
        .route("/few", get(scoped).layer(limits("few", FEW)))
        .route("/jwks", get(async move || ([("content-type", "application/json")], jwks.clone())))
        .route("/audited", get(async move || format!("{} {}", recorded.load(Ordering::Relaxed), sink.lost()))))
}

async fn bare() -> &'static str {
    "ok"
}

async fn scoped(_: Scoped<BillingRead>) -> &'static str {
    "ok"
}
