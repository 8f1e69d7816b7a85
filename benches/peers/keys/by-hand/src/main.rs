//! A middleware for API keys in SQLite as it is written by hand: SHA-256, a look-up by an indexed column, and a cache.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use moka::future::Cache;
use peers::{
    Lines, ROUNDS,
    keys::{
        self, CALLERS, STORED, Subject, UNKNOWN,
        database::Database,
        handler,
        records::{Caller, admit, bearer, now, unauthorized},
    },
    pinned,
};
use sha2::{Digest, Sha256};
use sqlx::{Row, SqlitePool};
use tokio::runtime::Runtime;

fn main() {
    let version = format!("sqlx {}", pinned("sqlx", include_str!("../Cargo.toml")));
    let lines = |name: &str| Lines::new(&format!("by hand, {name}"), &version);
    keys::run(&lines("SQLite"), ROUNDS, |runtime| subject(None, runtime));
    keys::run(&lines("SQLite and a cache of moka"), ROUNDS, |runtime| subject(Some(cache()), runtime));
}

const SCHEMA: &str = "CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
)";

/// The state of the middleware.
#[derive(Clone)]
struct Keys {
    cache: Option<Cache<[u8; 32], Arc<Found>>>,
    pool: SqlitePool,
}

/// A key that is not revoked.
struct Found {
    caller: Caller,
    expires_at: Option<i64>,
}

impl Keys {
    async fn find(&self, key: &str) -> Result<Option<Arc<Found>>, sqlx::Error> {
        let digest = <[u8; 32]>::from(Sha256::digest(key));
        if let Some(cache) = &self.cache
            && let Some(found) = cache.get(&digest).await
        {
            return Ok(Some(found));
        }
        let query = "SELECT owner, scopes, expires_at FROM api_keys WHERE digest = ? AND revoked_at IS NULL";
        let Some(row) = sqlx::query(query).bind(&digest[..]).fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        let scopes: String = row.try_get("scopes")?;
        let scopes = scopes.split(' ').map(ToOwned::to_owned).collect();
        let caller = Caller { owner: row.try_get::<String, _>("owner")?.into(), scopes };
        let found = Arc::new(Found { caller, expires_at: row.try_get("expires_at")? });
        if let Some(cache) = &self.cache {
            cache.insert(digest, Arc::clone(&found)).await;
        }
        Ok(Some(found))
    }

    async fn insert(&self, key: &str, owner: &str, expires_at: Option<i64>) {
        let query = "INSERT INTO api_keys (digest, owner, scopes, expires_at) VALUES (?, ?, 'billing:read', ?)";
        let query = sqlx::query(query).bind(Sha256::digest(key).to_vec()).bind(owner).bind(expires_at);
        query.execute(&self.pool).await.expect("a new row");
    }

    async fn revoke(&self, key: &str) {
        let digest = <[u8; 32]>::from(Sha256::digest(key));
        let query = sqlx::query("UPDATE api_keys SET revoked_at = unixepoch() WHERE digest = ?").bind(&digest[..]);
        query.execute(&self.pool).await.expect("the row is there");
        if let Some(cache) = &self.cache {
            cache.invalidate(&digest).await;
        }
    }
}

async fn authenticate(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    let Some(key) = bearer(&request) else { return unauthorized() };
    match keys.find(key).await {
        Ok(Some(found)) if found.expires_at.is_none_or(|end| now() < end.cast_unsigned()) => {
            admit(found.caller.clone(), request, next).await
        }
        Ok(_) => unauthorized(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn subject(cache: Option<Cache<[u8; 32], Arc<Found>>>, runtime: &Runtime) -> Subject {
    runtime.block_on(async {
        let database = Database::create().await;
        sqlx::query(SCHEMA).execute(&database.pool).await.expect("the table is created");
        let keys = Keys { cache, pool: database.pool.clone() };
        let mut valid = Vec::new();
        for index in 0..STORED {
            let key = generate(index);
            keys.insert(&key, &format!("agent-{index}"), None).await;
            valid.push(key);
        }
        valid.truncate(CALLERS);
        let (revoked, expired) = (generate(STORED), generate(STORED + 1));
        keys.insert(&revoked, "revoked", None).await;
        keys.revoke(&revoked).await;
        keys.insert(&expired, "expired", Some(1_700_000_000)).await;
        let unknown = (0..UNKNOWN).map(|index| generate(STORED + 2 + index)).collect();
        let (revoking, last) = (keys.clone(), valid[CALLERS - 1].clone());
        Subject {
            valid,
            revoked,
            expired,
            unknown,
            router: Router::new().route("/", get(handler)).layer(middleware::from_fn_with_state(keys, authenticate)),
            revoke_last: Box::new(move |runtime| runtime.block_on(revoking.revoke(&last))),
            break_store: Some(database.closing()),
        }
    })
}

/// The cache that is common for this: entries are used for up to 30 seconds.
fn cache() -> Cache<[u8; 32], Arc<Found>> {
    Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(30)).build()
}

/// A key as long as those of the crate; what is measured does not depend on its being random.
fn generate(index: usize) -> String {
    let secret: String = Sha256::digest(index.to_le_bytes())[..21].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sk_agent_{secret}")
}
