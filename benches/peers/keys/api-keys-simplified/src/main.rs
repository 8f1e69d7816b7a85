//! The crate api-keys-simplified, which generates keys and verifies them with Argon2id, with records in memory.

use std::sync::Arc;

use api_keys_simplified::{ApiKeyManagerV0, Environment, ExposeSecret, KeyStatus, SecureString};
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use peers::{
    Lines,
    keys::{
        self, CALLERS, Subject, handler,
        records::{Record, Records, admit, bearer, unauthorized},
    },
    pinned,
};
use tokio::task::spawn_blocking;

/// Batches that are measured: each request takes milliseconds.
const ROUNDS: usize = 10;

fn main() {
    let lines = Lines::new("api-keys-simplified", &pinned("api-keys-simplified", include_str!("../Cargo.toml")));
    lines.about("keys", "records in memory: it has no store; Argon2id for each request");
    keys::run(&lines, ROUNDS, |_| subject());
}

/// The state of the middleware.
#[derive(Clone)]
struct Keys {
    manager: Arc<ApiKeyManagerV0>,
    records: Records,
}

/// With the keys of the callers only: to make 10,000 takes minutes.
fn subject() -> Subject {
    let manager = ApiKeyManagerV0::init_default_config("acme_sk").expect("a manager");
    let keys = Keys { manager: Arc::new(manager), records: Records::default() };
    let mint = |owner: &str, change: fn(&mut Record)| {
        let key = keys.manager.generate(Environment::production()).expect("a random key");
        let mut record = Record::new(owner, key.expose_hash().hash().clone());
        change(&mut record);
        keys.records.insert(key.expose_hash().key_id().clone(), record);
        key.key().expose_secret().to_owned()
    };
    let valid: Vec<_> = (0..CALLERS).map(|index| mint(&format!("agent-{index}"), |_| ())).collect();
    let revoked = mint("revoked", |record| record.is_revoked = true);
    let expired = mint("expired", |record| record.expires_at = Some(1_700_000_000));
    let unknown = (0..2).map(|_| keys.manager.generate(Environment::production()).expect("a random key"));
    let unknown = unknown.map(|key| key.key().expose_secret().to_owned()).collect();
    let (records, last) =
        (keys.records.clone(), keys.manager.extract_key_id(&SecureString::from(valid[CALLERS - 1].clone())));
    Subject {
        valid,
        revoked,
        expired,
        unknown,
        router: Router::new().route("/", get(handler)).layer(middleware::from_fn_with_state(keys, authenticate)),
        revoke_last: Box::new(move |_| records.revoke(&last)),
        break_store: None,
    }
}

async fn authenticate(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    let Some(key) = bearer(&request).map(|text| SecureString::from(text.to_owned())) else {
        return unauthorized();
    };
    // The checksum first: what fails it costs no hash.
    if !keys.manager.verify_checksum(&key).unwrap_or(false) {
        return unauthorized();
    }
    let Some(record) = keys.records.find(&keys.manager.extract_key_id(&key)).filter(Record::is_active) else {
        return unauthorized();
    };
    // It takes milliseconds, during which the thread would serve nobody else.
    let (manager, hash) = (Arc::clone(&keys.manager), record.hash);
    match spawn_blocking(move || manager.verify(&key, hash)).await {
        Ok(Ok(KeyStatus::Valid)) => admit(record.caller, request, next).await,
        _ => unauthorized(),
    }
}
