//! What a caller presents, and the one place that finds it.

use std::fmt;

use http::{HeaderName, HeaderValue, header};

use crate::{
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// The longest header value that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// What a caller presents, borrowed from the request.
///
/// 1. Looked at are `Authorization` and one configured header. Query and body are never read.
/// 2. Exactly one credential: two lines, a list in one line, or both headers are refused with 400 `invalid_request`.
/// 3. `Authorization: Bearer` and `Authorization: DPoP` carry a `b64token` of RFC 6750 §2.1, `Authorization: ApiKey`
///    visible ASCII; schemes are matched in any case.
/// 4. Control characters, non-ASCII and more than 16 KiB are refused before anything else looks.
/// 5. A scheme that is none of these, or one with nothing behind it, is no credential, but not an absent one either.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// From the API-key header, or `Authorization: ApiKey`.
    ApiKey(&'a str),
    /// From `Authorization: Bearer`, RFC 6750 §2.1.
    Bearer(&'a str),
    /// The client certificate of the connection, in the request's extensions, where the request carries nothing else.
    Certificate,
    /// From `Authorization: DPoP`, RFC 9449 §7.1: a token that comes with a proof, in a field of its own.
    Dpop(&'a str),
}

impl<'a> Credential<'a> {
    /// The one credential of a request, or none; `api_key_header` is where API keys come besides `Authorization`.
    ///
    /// # Errors
    ///
    /// If there is more than one, a malformed one, or one of a kind that is not understood. See [`Credential`].
    pub fn find(head: &Head<'a>, api_key_header: Option<&HeaderName>) -> Result<Option<Self>, Rejection> {
        let mut authorizations = head.headers.get_all(header::AUTHORIZATION).iter();
        let mut keys = api_key_header.into_iter().flat_map(|name| head.headers.get_all(name));
        let (authorization, key) = (authorizations.next(), keys.next());
        // Counted before they are read, so that no order makes a difference.
        if authorization.and(key).or_else(|| authorizations.next()).or_else(|| keys.next()).is_some() {
            return Err(malformed("several_credentials"));
        }
        match (authorization, key) {
            (Some(value), _) => read_authorization(value).map(Some),
            (None, Some(value)) => Ok(Some(Self::ApiKey(read_key(text(value)?)?))),
            (None, None) => Ok(None),
        }
    }

    /// Whether the query of the request seems to carry a credential, which is ignored (RFC 6750 §2.3, OAuth 2.1 §5.1).
    pub(crate) fn is_in_query(head: &Head<'_>) -> bool {
        const NAMES: [&str; 4] = ["access_token", "api_key", "apikey", "x-api-key"];
        let names = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
        names.into_iter().any(|name| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)))
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(..)",
            Self::Bearer(_) => "Bearer(..)",
            Self::Certificate => "Certificate",
            Self::Dpop(_) => "Dpop(..)",
        })
    }
}

fn read_authorization(value: &HeaderValue) -> Result<Credential<'_>, Rejection> {
    let text = text(value)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    // RFC 6750 §2.1 and RFC 9110 §11.4: one or more spaces after the scheme.
    let token = token.trim_start_matches(' ');
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    let is_dpop = scheme.eq_ignore_ascii_case("dpop");
    if !is_ours(scheme) {
        if text.split(',').skip(1).any(is_ours) {
            return Err(malformed("credential_list"));
        }
        return Err(Rejection::new(RejectionKind::Missing, "unsupported_scheme"));
    }
    if is_bearer && is_b64token(token) {
        return Ok(Credential::Bearer(token));
    }
    if is_dpop && is_b64token(token) {
        return Ok(Credential::Dpop(token));
    }
    match read_key(token)? {
        token if is_bearer || is_dpop || token.contains(' ') => Err(malformed("credential_syntax")),
        token => Ok(Credential::ApiKey(token)),
    }
}

/// Whether a part of a list begins with a scheme that is understood.
fn is_ours(part: &str) -> bool {
    let scheme = part.trim_start().split(' ').next().unwrap_or_default();
    ["apikey", "bearer", "dpop"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn text(value: &HeaderValue) -> Result<&str, Rejection> {
    if value.len() > LONGEST {
        return Err(malformed("credential_too_long"));
    }
    // Visible ASCII and space. Every byte is looked at, many at once: a way out at each would be one by one.
    let is_visible = value.as_bytes().iter().fold(true, |all, byte| all & (byte.wrapping_sub(b' ') < 0x5F));
    let text = std::str::from_utf8(value.as_bytes()).ok();
    text.filter(|_| is_visible).ok_or_else(|| malformed("credential_characters"))
}

/// A key is not empty, and not a list.
fn read_key(text: &str) -> Result<&str, Rejection> {
    if text.is_empty() {
        Err(Rejection::new(RejectionKind::Missing, "credential_empty"))
    } else if text.contains(',') {
        Err(malformed("credential_list"))
    } else {
        Ok(text)
    }
}

/// RFC 6750 §2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(text: &str) -> bool {
    let token = text.trim_end_matches('=');
    // In arithmetic, so that many bytes are looked at at once. From `-` to `9` stand `-`, `.`, `/` and the digits.
    let is_allowed = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        is_letter | (byte.wrapping_sub(b'-') < 13) | (byte == b'_') | (byte == b'~') | (byte == b'+')
    };
    !token.is_empty() & token.bytes().fold(true, |all, byte| all & is_allowed(byte))
}

fn malformed(reason: &'static str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, reason)
}
