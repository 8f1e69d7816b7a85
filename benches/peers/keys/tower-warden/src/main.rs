//! `AuthLayer` with API keys in memory and in SQLite.

use std::time::Duration;

use axum::{Router, routing::get};
use peers::{
    Lines, ROUNDS,
    keys::{self, CALLERS, STORED, Subject, UNKNOWN, database::Database},
};
use tokio::runtime::Runtime;
use tower_warden::{
    Principal, UnixTime,
    api_key::{ApiKeys, KeyFormat, KeyStore, MemoryKeyStore, NewKey},
    layer::AuthLayer,
};
use tower_warden_sql::SqlKeyStore;

fn main() {
    let lines = |name: &str| Lines::new(&format!("tower-warden, {name}"), "this commit");
    keys::run(&lines("in memory"), ROUNDS, |runtime| runtime.block_on(subject(MemoryKeyStore::default(), Cache::On)));
    keys::run(&lines("SQLite"), ROUNDS, |runtime| in_sqlite(Cache::On, runtime));
    keys::run(&lines("SQLite, without its cache"), ROUNDS, |runtime| in_sqlite(Cache::Off, runtime));
}

/// Whether keys that were looked up are cached.
#[derive(Clone, Copy)]
enum Cache {
    /// For the default time.
    On,
    Off,
}

fn in_sqlite(cache: Cache, runtime: &Runtime) -> Subject {
    runtime.block_on(async {
        let database = Database::create().await;
        let store = SqlKeyStore::sqlite(database.pool.clone()).await.expect("the tables are created");
        let subject = subject(store, cache).await;
        Subject { break_store: Some(database.closing()), ..subject }
    })
}

async fn subject(store: impl KeyStore, cache: Cache) -> Subject {
    let format = KeyFormat::new("sk_agent").expect("a prefix");
    let builder = ApiKeys::builder(store, format.clone());
    let keys = match cache {
        Cache::On => builder.build(),
        Cache::Off => builder.positive_ttl(Duration::ZERO).negative_ttl(Duration::ZERO).build(),
    };
    let mint = async |key: NewKey| {
        let (record, secret) = keys.mint(key.scopes("billing:read")).await.expect("a new key");
        (record.id, secret.expose().to_owned())
    };
    let mut stored = Vec::new();
    for index in 0..STORED {
        stored.push(mint(NewKey::new(format!("agent-{index}"))).await);
    }
    let (revoked_id, revoked) = mint(NewKey::new("revoked")).await;
    keys.revoke(&revoked_id).await.expect("it is revoked");
    let (_, expired) = mint(NewKey::new("expired").not_after(UnixTime::from_secs(1_700_000_000))).await;
    let unknown = (0..UNKNOWN).map(|_| format.generate().expect("a key").expose().to_owned()).collect();

    stored.truncate(CALLERS);
    let (last, revoking) = (stored[CALLERS - 1].0.clone(), keys.clone());
    Subject {
        router: Router::new().route("/", get(handler)).layer(AuthLayer::new(keys)),
        valid: stored.into_iter().map(|(_, secret)| secret).collect(),
        expired,
        revoked,
        unknown,
        revoke_last: Box::new(move |runtime| runtime.block_on(revoking.revoke(&last)).expect("it is revoked")),
        break_store: None,
    }
}

async fn handler(_: Principal) -> &'static str {
    "ok"
}
