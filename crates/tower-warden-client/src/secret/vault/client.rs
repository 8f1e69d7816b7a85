use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, uri::Scheme};
use serde_json::Value;
use tower_warden::{ConfigError, fetch::Fetch};
use zeroize::Zeroizing;

use super::name::{VaultName, is_path};
use crate::secret::{Secret, SecretError, SecretErrorKind, SecretSource, polling::Reading};

/// A client of one server and one engine.
#[derive(Clone)]
pub(super) struct Vault {
    fetch: Arc<dyn Fetch>,
    /// Scheme, host and port.
    origin: Box<str>,
    mount: Box<str>,
    tokens: Arc<dyn SecretSource>,
    token_name: Box<str>,
}

impl Vault {
    pub(super) fn new(
        fetch: Arc<dyn Fetch>,
        address: &str,
        tokens: Arc<dyn SecretSource>,
        token_name: Box<str>,
    ) -> Result<Self, ConfigError> {
        // Without the value, which may contain a password.
        let refused = || {
            ConfigError::custom("the address of Vault is https, or http on a loopback host, without a path or a user")
        };
        let uri: Uri = address.parse().map_err(|_| refused())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(refused()) };
        let is_loopback = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
        let is_protected = *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_loopback);
        if !is_protected || authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            return Err(refused());
        }
        fetch.check(&uri)?;
        let origin = format!("{scheme}://{authority}").into();
        Ok(Self { fetch, origin, mount: "secret".into(), tokens, token_name })
    }

    pub(super) fn mount(mut self, mount: &str) -> Result<Self, ConfigError> {
        if !is_path(mount) {
            let message = "the mount of an engine consists of letters, digits, '-', '_', '.' and '/'";
            return Err(ConfigError::custom(message).value(mount));
        }
        self.mount = mount.into();
        Ok(self)
    }

    pub(super) async fn read_secret(&self, name: &str) -> Result<Reading, SecretError> {
        let VaultName { path, field } = VaultName::parse(name)?;
        let problem = |kind, problem| SecretError::new(kind, name, problem);
        let response = self.send(Method::GET, &format!("{}/data/{path}", self.mount), name).await?;
        match response.status() {
            StatusCode::OK => {}
            // Also of a version that was deleted, whose body describes it.
            StatusCode::NOT_FOUND => {
                return Err(problem(SecretErrorKind::Missing, "Vault has no secret at this path, or it was deleted"));
            }
            status => return Err(refused(name, status)),
        }
        let mut body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let version = body.pointer("/data/metadata/version").and_then(Value::as_u64);
        let Some(Value::Object(mut fields)) = body.pointer_mut("/data/data").map(Value::take) else {
            return Err(problem(SecretErrorKind::Unavailable, "the response is not one of KV version 2"));
        };
        let value = fields.remove(field);
        fields.into_iter().for_each(|(_, value)| wipe(value));
        match value {
            Some(Value::String(text)) if !text.is_empty() => Ok(Reading { secret: Secret::new(text), version }),
            Some(_) => Err(problem(SecretErrorKind::Format, "the field is not a text, or is empty")),
            None => Err(problem(SecretErrorKind::Missing, "the secret has no such field")),
        }
    }

    pub(super) async fn renew_token(&self) -> Result<Duration, SecretError> {
        let response = self.send(Method::POST, "auth/token/renew-self", &self.token_name).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(&self.token_name, response.status()));
        }
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let seconds = body.pointer("/auth/lease_duration").and_then(Value::as_u64);
        // The response repeats the token.
        wipe(body);
        seconds.map(Duration::from_secs).ok_or_else(|| {
            SecretError::new(SecretErrorKind::Unavailable, &*self.token_name, "the response does not state a lease")
        })
    }

    /// Sends a request. `name` is what an error names.
    async fn send(&self, method: Method, path: &str, name: &str) -> Result<Response<Bytes>, SecretError> {
        let token = self.tokens.get(&self.token_name).wait().await?;
        let token = HeaderValue::from_str(token.current().expose()).map_err(|_| {
            SecretError::new(SecretErrorKind::Format, &*self.token_name, "a token consists of visible ASCII characters")
        })?;
        let unavailable = |problem| SecretError::new(SecretErrorKind::Unavailable, name, problem);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.origin))
            .header(TOKEN, sensitive(token))
            .header(REQUEST, HeaderValue::from_static("true"))
            .body(Bytes::new())
            .map_err(|_| unavailable("the path is too long for a URL"))?;
        let sent = tokio::time::timeout(TIMEOUT, self.fetch.fetch(request, MAX_BYTES).wait()).await;
        let response = sent.map_err(|_| unavailable("Vault does not respond in time"))?;
        let response = response.map_err(|error| unavailable("Vault does not respond").because(error))?;
        // A custom implementation may ignore the limit.
        if response.body().len() > MAX_BYTES { Err(unavailable("the response is too long")) } else { Ok(response) }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("origin", &self.origin).field("mount", &self.mount).finish_non_exhaustive()
    }
}

fn refused(name: &str, status: StatusCode) -> SecretError {
    let problem = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "Vault refuses the token, or its policies do not permit the operation"
        }
        _ => "Vault responds with another status",
    };
    SecretError::new(SecretErrorKind::Unavailable, name, problem).because(format!("status {}", status.as_u16()))
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Overwrites the texts of a document.
fn wipe(value: Value) {
    match value {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(values) => values.into_iter().for_each(wipe),
        Value::Object(members) => members.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// The header field that agents require, against forged requests.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 20;
