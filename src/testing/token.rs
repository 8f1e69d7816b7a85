use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::key::SigningKey;
use crate::{caller::Confirmation, time::UnixTime};

/// Builds and signs a token. `iss`, `sub`, `iat`, `exp` and `jti` are present from the start, and `typ` is `at+jwt`.
///
/// Claims and header members are signed without any validation, so that tests can make invalid tokens.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenBuilder {
    claims: Map<String, Value>,
    header: Map<String, Value>,
    key: SigningKey,
}

impl TokenBuilder {
    pub(super) fn new(issuer: &str, subject: &str, id: &str, now: UnixTime, key: SigningKey) -> Self {
        let header = json!({ "alg": key.algorithm().as_str(), "kid": key.id(), "typ": "at+jwt" });
        let now = now.as_secs();
        let claims = json!({ "iss": issuer, "sub": subject, "iat": now, "exp": now + 300, "jti": id });
        Self::of(header, claims, key)
    }

    pub(super) fn of(header: Value, claims: Value, key: SigningKey) -> Self {
        let members = |value| match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self { claims: members(claims), header: members(header), key }
    }

    /// Sets `act`: the actor for the subject ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)).
    pub fn actor(self, subject: &str) -> Self {
        self.claim("act", json!({ "sub": subject }))
    }

    /// Sets `aud`.
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", audience)
    }

    /// Sets a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Sets `client_id`.
    pub fn client_id(self, client: &str) -> Self {
        self.claim("client_id", client)
    }

    /// Sets `cnf`: the certificate or key that the token is bound to.
    pub fn confirmation(self, confirmation: &Confirmation) -> Self {
        self.claim("cnf", json!(confirmation))
    }

    /// Sets `exp` to this duration after `iat`: five minutes by default.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let issued = self.claims.get("iat").and_then(Value::as_u64).unwrap_or_default();
        self.claim("exp", issued.saturating_add(lifetime.as_secs()))
    }

    /// Sets a member of the header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the key that signs, with its `alg` and `kid` in the header.
    pub fn key(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self.header("alg", key.algorithm().as_str()).header("kid", key.id())
    }

    /// Sets `scope`.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Removes a claim.
    pub fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self
    }

    /// Removes a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs the token.
    #[must_use]
    pub fn sign(&self) -> String {
        let (header, claims) = (Value::Object(self.header.clone()), Value::Object(self.claims.clone()));
        Self::sign_text(&header.to_string(), &claims.to_string(), &self.key)
    }

    /// Signs a header and a payload byte for byte, valid JSON or not.
    #[must_use]
    pub fn sign_text(header: &str, payload: &str, key: &SigningKey) -> String {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", text(header.as_bytes()), text(payload.as_bytes()));
        let signature = text(&key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}
