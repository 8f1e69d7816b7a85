//! The responses.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tower_warden::{UnixTime, caller::Confirmation, scope::Scopes};
use zeroize::Zeroizing;

use super::{audited::Notes, binding::token_type, error::OAuthError};
use crate::{RefreshSecret, access_token::AccessToken};

/// A response with a token, RFC 6749 §5.1.
pub(super) struct TokenResponse {
    pub(super) access_token: AccessToken,
    pub(super) expires_in: Duration,
    /// RFC 8693 §2.2.1.
    pub(super) issued_token_type: Option<&'static str>,
    pub(super) refresh_token: Option<RefreshSecret>,
    /// The granted resource, where a profile requires that the response states it.
    pub(super) resource: Option<Box<str>>,
    pub(super) scopes: Scopes,
    pub(super) token_type: &'static str,
}

impl TokenResponse {
    /// A response with an access token only.
    pub(super) fn new(
        access_token: AccessToken,
        confirmation: Option<&Confirmation>,
        scopes: Scopes,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Self {
        Self {
            access_token,
            expires_in: Duration::from_secs(expires_at.as_secs().saturating_sub(now.as_secs())),
            issued_token_type: None,
            refresh_token: None,
            resource: None,
            scopes,
            token_type: token_type(confirmation),
        }
    }

    pub(super) fn into_response<B: From<Bytes>>(self, notes: &Notes) -> Response<B> {
        notes.issued(&self.access_token);
        let mut body = json!({
            "access_token": self.access_token.text,
            "expires_in": self.expires_in.as_secs(),
            "token_type": self.token_type,
        });
        if let Some(kind) = self.issued_token_type {
            body["issued_token_type"] = kind.into();
        }
        if let Some(token) = &self.refresh_token {
            body["refresh_token"] = token.expose().into();
        }
        if let Some(resource) = &self.resource {
            body["resource"] = (**resource).into();
        }
        if !self.scopes.is_empty() {
            body["scope"] = self.scopes.to_string().into();
        }
        not_stored(StatusCode::OK, &body)
    }
}

impl OAuthError {
    pub(super) fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let body = json!({ "error": self.code, "error_description": self.description });
        let mut response = not_stored(self.status, &body);
        response.extensions_mut().insert(self.rejection());
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6749 §5.2, and RFC 9110 §15.5.2 for any method of authentication.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, BASIC);
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        response
    }
}

/// A public document, which any origin may read.
pub(super) fn document<B: From<Bytes>>(text: String, with_body: bool) -> Response<B> {
    let length = text.len();
    let body = if with_body { Bytes::from(text) } else { Bytes::new() };
    let fields = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
        // Explicit, so that `HEAD` has the same field (RFC 9110 §9.3.2).
        (header::CONTENT_LENGTH, length.into()),
        (header::CONTENT_TYPE, JSON),
    ];
    respond(StatusCode::OK, fields, body)
}

/// The response at the authorization endpoint. The request names no client that could be redirected to: RFC 6749 §4.1.2.1.
pub(super) fn no_sign_in<B: From<Bytes>>(with_body: bool) -> Response<B> {
    const TEXT: &str = "This server has no sign-in. It issues tokens to clients that have credentials of their own.\n";
    let fields = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_LENGTH, TEXT.len().into()),
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
    ];
    respond(StatusCode::BAD_REQUEST, fields, if with_body { Bytes::from_static(TEXT.as_bytes()) } else { Bytes::new() })
}

/// A response without a body to a request for no endpoint, or with another method than its endpoint has.
pub(super) fn empty<B: From<Bytes>>(status: StatusCode, allow: &'static str) -> Response<B> {
    let allow = (!allow.is_empty()).then(|| (header::ALLOW, HeaderValue::from_static(allow)));
    respond(status, allow, Bytes::new())
}

/// RFC 6749 §5.1: neither tokens nor errors are stored by caches.
pub(super) fn not_stored<B: From<Bytes>>(status: StatusCode, body: &Value) -> Response<B> {
    let fields = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_TYPE, JSON),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    let text = Zeroizing::new(body.to_string().into_bytes());
    respond(status, fields, Bytes::from_owner(text))
}

fn respond<B: From<Bytes>>(
    status: StatusCode,
    fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    body: Bytes,
) -> Response<B> {
    let mut response = Response::new(B::from(body));
    *response.status_mut() = status;
    response.headers_mut().extend(fields);
    response
}

const BASIC: HeaderValue = HeaderValue::from_static(r#"Basic realm="token endpoint", charset="UTF-8""#);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
