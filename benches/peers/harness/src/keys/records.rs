//! Records in memory, for crates that generate and compare keys and leave their storage to the application.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// The caller that a middleware has authenticated, in the extensions of the request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub owner: Arc<str>,
    pub scopes: Arc<[String]>,
}

/// What is stored of a key.
#[derive(Clone, Debug)]
pub struct Record {
    pub caller: Caller,
    pub hash: String,
    pub is_revoked: bool,
    /// In seconds since 1970.
    pub expires_at: Option<u64>,
}

impl Record {
    /// A record of a key that is valid.
    pub fn new(owner: &str, hash: String) -> Self {
        let scopes = [String::from("billing:read")];
        let caller = Caller { owner: owner.into(), scopes: Arc::new(scopes) };
        Self { caller, hash, is_revoked: false, expires_at: None }
    }

    /// Whether the key is neither revoked nor expired.
    pub fn is_active(&self) -> bool {
        !self.is_revoked && self.expires_at.is_none_or(|end| now() < end)
    }
}

/// Records by the ids of their keys.
#[derive(Clone, Default)]
pub struct Records(Arc<RwLock<HashMap<String, Record>>>);

impl Records {
    pub fn insert(&self, id: String, record: Record) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, record);
    }

    pub fn find(&self, id: &str) -> Option<Record> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub fn revoke(&self, id: &str) {
        if let Some(record) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            record.is_revoked = true;
        }
    }
}

/// The key of a request, if its `Authorization` is a bearer credential.
pub fn bearer(request: &Request) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

/// The response to a request without a valid key.
pub fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// Passes the request on to the handler, which finds its caller in the extensions.
pub async fn admit(caller: Caller, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The time in seconds since 1970.
pub fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}
