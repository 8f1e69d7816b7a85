//! Requests to the introspection endpoint, RFC 7662 §2.1.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use zeroize::Zeroizing;

use crate::{
    cache::{Failure, Outcome},
    fetch::Fetch,
    json::{Json, Object},
    log::Causes,
    reason::Reason,
};

/// An introspection endpoint, and the client credentials for it.
pub(super) struct Endpoint {
    /// The media type of responses.
    accept: &'static str,
    fetch: Arc<dyn Fetch>,
    uri: Uri,
    /// Its buffer is wiped when dropped.
    authorization: Option<HeaderValue>,
    /// The parameters that follow the token.
    parameters: Zeroizing<String>,
}

/// The authentication method of the client, RFC 6749 §2.3.1.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientAuth {
    /// `client_secret_basic`, in the `Authorization` header.
    Basic,
    /// None: the endpoint serves anyone who can reach it.
    None,
    /// `client_secret_post`, in the body.
    Post,
}

impl Endpoint {
    pub(super) fn new(fetch: Arc<dyn Fetch>, uri: Uri, client_id: &str, secret: &str, client_auth: ClientAuth) -> Self {
        // With capacity for everything, because a buffer that is left behind by a reallocation is not wiped.
        let mut parameters = Zeroizing::new(String::with_capacity(64 + 3 * (client_id.len() + secret.len())));
        parameters.push_str("&token_type_hint=access_token");
        let authorization = match client_auth {
            ClientAuth::Basic => Some(basic(client_id, secret)),
            ClientAuth::None => None,
            ClientAuth::Post => {
                parameters.push_str("&client_id=");
                encode(client_id, &mut parameters);
                parameters.push_str("&client_secret=");
                encode(secret, &mut parameters);
                None
            }
        };
        Self { accept: "application/json", fetch, uri, authorization, parameters }
    }

    /// Requests responses of this media type.
    pub(super) const fn accepting(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    /// The body of the response, or the result of the look-up if there is none about the token.
    pub(super) async fn introspect<V>(&self, token: &str) -> Result<Bytes, Outcome<V>> {
        let response = self
            .fetch
            .fetch(self.request(token), MAX_RESPONSE_BYTES)
            .wait()
            .await
            .map_err(|error| Outcome::Down(Failure::new(Reason::INTROSPECTION_UNAVAILABLE, Causes(&error))))?;
        match response.status() {
            // A custom `Fetch` may ignore the limit.
            StatusCode::OK if response.body().len() <= MAX_RESPONSE_BYTES => Ok(response.into_body()),
            status => Err(refused(status, &response)),
        }
    }

    fn request(&self, token: &str) -> Request<Bytes> {
        let mut form = Zeroizing::new(String::with_capacity(8 + 3 * token.len() + self.parameters.len()));
        form.push_str("token=");
        encode(token, &mut form);
        form.push_str(&self.parameters);
        let mut request = Request::new(Bytes::from_owner(form));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(self.accept));
        headers.insert(header::CONTENT_TYPE, const { HeaderValue::from_static("application/x-www-form-urlencoded") });
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the query, which may contain a secret.
        f.debug_struct("Endpoint")
            .field("host", &self.uri.host())
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

/// The result of a look-up whose response does not describe the token: an outage, unless the endpoint reports that it does
/// not support the token.
fn refused<V>(status: StatusCode, response: &Response<Bytes>) -> Outcome<V> {
    let reason = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let cause = format_args!("status {status}: the endpoint refuses the client id and secret of this server");
            let failure = Failure::new(Reason::INTROSPECTION_CREDENTIALS, cause);
            return Outcome::Down(Failure { is_own_mistake: true, ..failure });
        }
        // RFC 7009 §2.2.1: the endpoint does not support tokens of this form.
        StatusCode::BAD_REQUEST if is_unsupported(response.body()) => {
            return Outcome::Refused(Reason::TOKEN_UNSUPPORTED);
        }
        StatusCode::OK => Reason::INTROSPECTION_TOO_LONG,
        StatusCode::TOO_MANY_REQUESTS => Reason::INTROSPECTION_THROTTLED,
        _ => Reason::INTROSPECTION_STATUS,
    };
    let mut failure = Failure::new(reason, format_args!("status {status}"));
    if let StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE = status {
        failure.retry_after = retry_after(response.headers());
    }
    Outcome::Down(failure)
}

fn is_unsupported(body: &[u8]) -> bool {
    let error = Object::parse(body).ok();
    error.as_ref().and_then(|error| error.get("error")).and_then(Json::as_str) == Some("unsupported_token_type")
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); a date is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number that does not fit is longer than the maximum.
    Some(text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs).clamp(Duration::from_secs(1), MAX_RETRY_AFTER))
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let mut pair = Zeroizing::new(String::with_capacity(1 + 3 * (client_id.len() + secret.len())));
    encode(client_id, &mut pair);
    pair.push(':');
    encode(secret, &mut pair);
    let mut value = Zeroizing::new(String::with_capacity(16 + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    BASE64_STANDARD.encode_string(pair.as_bytes(), &mut value);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// Appends a value in the encoding of `application/x-www-form-urlencoded`, RFC 6749 appendix B.
fn encode(text: &str, into: &mut String) {
    byte_serialize(text.as_bytes()).for_each(|part| into.push_str(part));
}

/// The maximum length of a response in bytes. Responses are cached.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The maximum `Retry-After` that is passed on to clients.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
