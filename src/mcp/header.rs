//! Header fields that repeat members of the body.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName};

use super::{
    refusal::header_mismatch,
    version::{PROTOCOL_VERSION, only},
};
use crate::refusal::Rejection;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The header fields that repeat members of the body.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    headers: &'a HeaderMap,
    pub(super) method: Option<&'a str>,
    pub(super) name: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, Rejection> {
        Ok(Self { headers, method: only(headers, &METHOD)?, name: only(headers, &NAME)?.map(decoded).transpose()? })
    }

    pub(super) fn states_version(&self) -> bool {
        self.headers.contains_key(PROTOCOL_VERSION)
    }
}

/// The value of `Mcp-Name`, which may be encoded as `=?base64?…?=`.
fn decoded(text: &str) -> Result<Cow<'_, str>, Rejection> {
    let Some(encoded) = text.strip_prefix("=?base64?").and_then(|text| text.strip_suffix("?=")) else {
        return Ok(Cow::Borrowed(text));
    };
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| header_mismatch())?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| header_mismatch())
}
