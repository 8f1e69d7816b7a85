//! The header fields of requests that the guard judges.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::refusal::header_mismatch;
use crate::refusal::Rejection;

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The header fields that the guard judges: those of HTTP, and those that repeat members of the body.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) content_encoding: Field<'a>,
    pub(super) content_type: Field<'a>,
    pub(super) last_event_id: Field<'a>,
    method: Field<'a>,
    name: Field<'a>,
    pub(super) origin: Field<'a>,
    pub(super) session_id: Field<'a>,
    pub(super) upgrade: Field<'a>,
    pub(super) version: Field<'a>,
}

/// The members of a message that header fields repeat.
pub(super) struct Stated<'a> {
    pub(super) has_version: bool,
    pub(super) method: Option<&'a str>,
    pub(super) name: Option<Cow<'a, str>>,
}

/// A header field that a request may have once.
#[derive(Clone, Copy, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Once(&'a HeaderValue),
    Repeated,
}

impl<'a> Fields<'a> {
    /// Finds the fields in one pass, which takes less time than to look each of them up.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "content-encoding" => &mut fields.content_encoding,
                "content-type" => &mut fields.content_type,
                "last-event-id" => &mut fields.last_event_id,
                "mcp-method" => &mut fields.method,
                "mcp-name" => &mut fields.name,
                "mcp-protocol-version" => &mut fields.version,
                "mcp-session-id" => &mut fields.session_id,
                "origin" => &mut fields.origin,
                "upgrade" => &mut fields.upgrade,
                _ => continue,
            };
            *field = match field {
                Field::Absent => Field::Once(value),
                Field::Once(_) | Field::Repeated => Field::Repeated,
            };
        }
        fields
    }

    pub(super) fn stated(&self) -> Result<Stated<'a>, Rejection> {
        let (method, name) = (self.method.text()?, self.name.text()?.map(decoded).transpose()?);
        Ok(Stated { has_version: self.version.is_present(), method, name })
    }
}

impl<'a> Field<'a> {
    pub(super) const fn is_present(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The value; an error if there are several, or if it is not text.
    pub(super) fn text(self) -> Result<Option<&'a str>, Rejection> {
        match self {
            Self::Absent => Ok(None),
            Self::Once(value) => value.to_str().map(|text| Some(text.trim_ascii())).map_err(|_| header_mismatch()),
            Self::Repeated => Err(header_mismatch()),
        }
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
