//! The crate prefixed-api-key, which generates and compares keys, with records in memory.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use peers::{
    Lines, ROUNDS,
    keys::{
        self, CALLERS, STORED, Subject, UNKNOWN, handler,
        records::{Record, Records, admit, bearer, unauthorized},
    },
    pinned,
};
use prefixed_api_key::{PrefixedApiKey, PrefixedApiKeyController, rand::rngs::OsRng, sha2::Sha256};

fn main() {
    let lines = Lines::new("prefixed-api-key", &pinned("prefixed-api-key", include_str!("../Cargo.toml")));
    lines.about("keys", "records in memory: it has no store");
    keys::run(&lines, ROUNDS, |_| subject());
}

type Controller = PrefixedApiKeyController<OsRng, Sha256>;

/// The state of the middleware.
#[derive(Clone)]
struct Keys {
    controller: Arc<Controller>,
    records: Records,
}

fn subject() -> Subject {
    let controller = PrefixedApiKeyController::configure().prefix("acme".to_owned()).seam_defaults().finalize();
    let keys = Keys { controller: Arc::new(controller.expect("a controller")), records: Records::default() };
    let mint = |owner: &str, change: fn(&mut Record)| {
        let (key, hash) = keys.controller.try_generate_key_and_hash().expect("a random key");
        let mut record = Record::new(owner, hash);
        change(&mut record);
        keys.records.insert(key.short_token().to_owned(), record);
        key
    };
    let stored: Vec<_> = (0..STORED).map(|index| mint(&format!("agent-{index}"), |_| ())).collect();
    let revoked = mint("revoked", |record| record.is_revoked = true).to_string();
    let expired = mint("expired", |record| record.expires_at = Some(1_700_000_000)).to_string();
    let unknown = (0..UNKNOWN).map(|_| keys.controller.generate_key().to_string()).collect();
    let (records, last) = (keys.records.clone(), stored[CALLERS - 1].short_token().to_owned());
    Subject {
        valid: stored[..CALLERS].iter().map(ToString::to_string).collect(),
        revoked,
        expired,
        unknown,
        router: Router::new().route("/", get(handler)).layer(middleware::from_fn_with_state(keys, authenticate)),
        revoke_last: Box::new(move |_| records.revoke(&last)),
        break_store: None,
    }
}

async fn authenticate(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    let Some(key) = bearer(&request).and_then(|text| PrefixedApiKey::from_string(text).ok()) else {
        return unauthorized();
    };
    match keys.records.find(key.short_token()) {
        Some(record) if keys.controller.check_hash(&key, &record.hash) && record.is_active() => {
            admit(record.caller, request, next).await
        }
        _ => unauthorized(),
    }
}
