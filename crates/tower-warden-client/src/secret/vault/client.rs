use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use tower_warden::{ConfigError, fetch::Fetch};
use zeroize::Zeroizing;

use super::name::{VaultName, is_path};
use crate::{
    Origin,
    secret::{Secret, SecretError, SecretErrorKind, SecretSource, polled::Reading},
    wiped::{WipedJson, wipe_buffer},
};

/// A client of one server and one engine.
#[derive(Clone)]
pub(super) struct Vault {
    fetch: Arc<dyn Fetch>,
    origin: Origin,
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
        let origin = Origin::parse(address)?;
        let uri: Uri = origin.to_string().parse().map_err(|_| ConfigError::custom("an origin is a URL"))?;
        fetch.check(&uri)?;
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
        let body = WipedJson::parse(response.body());
        wipe_buffer(response.into_body());
        let find = |path| body.as_ref().and_then(|body| body.find(path));
        let version = find("data.metadata.version").and_then(Value::as_u64);
        let Some(Value::Object(fields)) = find("data.data") else {
            return Err(problem(SecretErrorKind::Unavailable, "the response is not one of KV version 2"));
        };
        match fields.get(field) {
            Some(Value::String(text)) if !text.is_empty() => {
                Ok(Reading { secret: Secret::new(text.as_str()), version })
            }
            Some(_) => Err(problem(SecretErrorKind::Format, "the field is not a text, or is empty")),
            None => Err(problem(SecretErrorKind::Missing, "the secret has no such field")),
        }
    }

    pub(super) async fn renew_token(&self) -> Result<Duration, SecretError> {
        let response = self.send(Method::POST, "auth/token/renew-self", &self.token_name).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(&self.token_name, response.status()));
        }
        // The response repeats the token.
        let body = WipedJson::parse(response.body());
        wipe_buffer(response.into_body());
        let seconds = body.as_ref().and_then(|body| body.find("auth.lease_duration")).and_then(Value::as_u64);
        seconds.map(Duration::from_secs).ok_or_else(|| {
            SecretError::new(SecretErrorKind::Unavailable, &*self.token_name, "the response does not state a lease")
        })
    }

    /// Sends a request. `name` is what an error names.
    async fn send(&self, method: Method, path: &str, name: &str) -> Result<Response<Bytes>, SecretError> {
        let token = self.tokens.get(&self.token_name).wait().await?;
        let text = Some(token.current().expose()).filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        let token = text.and_then(|text| {
            HeaderValue::from_maybe_shared(Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()))).ok()
        });
        let token = token.ok_or_else(|| {
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
        f.debug_struct("Vault")
            .field("origin", &self.origin.to_string())
            .field("mount", &self.mount)
            .finish_non_exhaustive()
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

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// The header field that agents require, against forged requests.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 20;
