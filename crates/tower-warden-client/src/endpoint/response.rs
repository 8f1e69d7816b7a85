//! Responses of token endpoints.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tower_warden::{UnixTime, scope::Scopes};

use crate::{
    RefreshToken, Token, TokenError, TokenErrorKind,
    dpop::DpopKey,
    retry_after::retry_after,
    token::{OwnedRequest, seconds},
    wiped::WipedJson,
};

/// The names of the members of a response: paths of names, separated by dots.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    pub(crate) expires_in: Box<str>,
    pub(crate) refresh_token: Box<str>,
    pub(crate) token: Box<str>,
}

/// The expectations with which a response is read.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) key: Option<&'a DpopKey>,
    pub(crate) members: &'a Members,
    pub(crate) request: &'a OwnedRequest,
    /// The scopes of the request, which a response need not repeat.
    pub(crate) scopes: &'a Scopes,
}

/// RFC 6749 §5.1.
impl Default for Members {
    fn default() -> Self {
        Self { expires_in: "expires_in".into(), refresh_token: "refresh_token".into(), token: "access_token".into() }
    }
}

/// The token of a successful response ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
pub(crate) fn token(body: &[u8], expected: Expected<'_>) -> Result<Token, TokenError> {
    let json = WipedJson::parse(body).ok_or_else(|| malformed("the response is not a JSON object"))?;
    let text = json.text(&expected.members.token).ok_or_else(|| malformed("the response contains no token"))?;
    let mut token = typed(text, json.text("token_type"), expected.key)?;
    let now = expected.request.now;
    // A lifetime of zero is treated as one that is not stated: with it, each request would need a new token.
    if let Some(lifetime) = json.find(&expected.members.expires_in).and_then(seconds).filter(|lifetime| *lifetime > 0) {
        token = token.expires_at(after(now, lifetime));
    }
    // RFC 6749 §5.1: the scopes are those of the request if the response does not state them.
    token = match json.find("scope").filter(|scope| !scope.is_null()) {
        // A malformed list states nothing.
        Some(scope) => match scope.as_str().map(Scopes::parse) {
            Some(Ok(scopes)) => token.with_scopes(scopes),
            _ => token,
        },
        None if expected.scopes.is_empty() => token,
        None => token.with_scopes(expected.scopes.clone()),
    };
    if let Some(kind) = json.text("issued_token_type") {
        token = token.with_issued_type(kind);
    }
    if let Some(text) = json.text(&expected.members.refresh_token).filter(|text| !text.is_empty()) {
        let mut refresh = RefreshToken::new(text);
        let lifetime = ["refresh_token_expires_in", "refresh_expires_in", "refresh_token_timeout"];
        if let Some(lifetime) = lifetime.iter().find_map(|name| json.find(name).and_then(seconds)).filter(|n| *n > 0) {
            refresh = refresh.expires_at(after(now, lifetime));
        }
        token = token.with_refresh_token(refresh);
    }
    Ok(token)
}

fn typed(text: &str, kind: Option<&str>, key: Option<&DpopKey>) -> Result<Token, TokenError> {
    let is = |name: &str| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name));
    match key {
        Some(key) if is("DPoP") => Token::dpop(text, key.clone()),
        // RFC 8693 §2.2.1: a token that is not an access token.
        _ if is("N_A") => Token::assertion(text),
        // RFC 9449 §5: a client that needs a bound token discards a bearer token.
        Some(_) => Err(malformed("the token is not bound to the key of the client")),
        None if kind.is_none() || is("Bearer") => Token::bearer(text),
        None => Err(malformed("the token is of a type that the client does not support")),
    }
}

/// The error of any other response ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
pub(crate) fn error(response: &Response<Bytes>, now: UnixTime) -> TokenError {
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let error = TokenError::new(TokenErrorKind::Unavailable, "the authorization server is unavailable");
        return match retry_after(response.headers(), || now) {
            Some(delay) => error.with_retry_after(delay.min(MAX_RETRY_AFTER)),
            None => error,
        };
    }
    if status.is_redirection() {
        return malformed("the authorization server redirects, which is not followed");
    }
    let json = WipedJson::parse(response.body());
    let code = json.as_ref().and_then(|json| json.text("error")).and_then(registered);
    let Some(code) = code else {
        return TokenError::new(TokenErrorKind::Refused, "the authorization server refused the request");
    };
    let (kind, message) = match code {
        "invalid_client" | "unauthorized_client" => {
            (TokenErrorKind::InvalidClient, "the authorization server refused the client")
        }
        "invalid_grant" => (TokenErrorKind::InvalidGrant, "the authorization server refused the grant"),
        "server_error" | "temporarily_unavailable" => {
            (TokenErrorKind::Unavailable, "the authorization server is unavailable")
        }
        _ => (TokenErrorKind::Refused, "the authorization server refused the request"),
    };
    TokenError::new(kind, message).with_code(code)
}

/// Error codes as fixed texts, because an error may be logged.
fn registered(code: &str) -> Option<&'static str> {
    CODES.iter().find(|known| **known == code).copied()
}

fn after(now: UnixTime, seconds: u64) -> UnixTime {
    now + Duration::from_secs(seconds)
}

const fn malformed(message: &'static str) -> TokenError {
    TokenError::new(TokenErrorKind::Response, message)
}

/// RFC 6749 §5.2, RFC 8628 §3.5, RFC 8693 §2.2.2, RFC 8707 §2, RFC 9449 §12.2.
const CODES: &[&str] = &[
    "access_denied",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "use_dpop_nonce",
];

/// The longest delay that a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
