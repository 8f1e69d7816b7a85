use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{AUDIENCE, SCOPE, keys::Key};

/// An access token that is to be signed: RFC 9068, and the claims that Keycloak adds. Each has its own `jti`.
#[derive(Clone)]
pub struct Token {
    claims: Map<String, Value>,
    header: Map<String, Value>,
}

impl Token {
    /// A token of an issuer that expires in one hour.
    pub fn new(issuer: &str) -> Self {
        static TOKENS: AtomicU64 = AtomicU64::new(1);
        let id = format!("token-{:08}", TOKENS.fetch_add(1, Ordering::Relaxed));
        let now = now();
        let claims = json!({
            "iss": issuer, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 3_600, "jti": id,
            "client_id": "app", "scope": SCOPE, "typ": "Bearer", "azp": "app", "preferred_username": "alice",
            "email": "alice@example.com", "email_verified": true,
        });
        Self { claims: members(claims), header: members(json!({ "typ": "at+jwt" })) }
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self
    }

    /// Signs with the algorithm and `kid` of a key.
    pub fn sign(&self, key: &Key) -> String {
        self.sign_as(key.algorithm(), Some(key.id()), key)
    }

    /// Signs with another algorithm or `kid` in the header.
    pub fn sign_as(&self, algorithm: &str, id: Option<&str>, key: &Key) -> String {
        let mut header = self.header.clone();
        header.insert("alg".to_owned(), algorithm.into());
        header.extend(id.map(|id| ("kid".to_owned(), id.into())));
        let text = |value| BASE64_URL_SAFE_NO_PAD.encode(Value::Object(value).to_string());
        let signed = format!("{}.{}", text(header), text(self.claims.clone()));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_secs()
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
