//! The values of components, and the signature base, RFC 9421 §2.

use std::{borrow::Cow, str};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use sfv::{Dictionary, ItemSerializer, ListEntry, ListSerializer, Parser};

use super::{
    component::{Component, Form, Kind},
    field_type::FieldTypes,
    origin::Origin,
    query,
};

/// A message whose components are covered.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    Request(RequestHead<'a>),
    Response { headers: &'a HeaderMap, request: Option<RequestHead<'a>>, status: StatusCode },
}

/// A request as its signer sees it.
#[derive(Clone, Copy)]
pub(super) struct RequestHead<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a Method,
    /// The scheme and the authority, and the prefix of paths that a proxy has removed.
    pub(super) origin: &'a Origin,
    pub(super) uri: &'a Uri,
}

impl<'a> Message<'a> {
    /// The signature base (RFC 9421 §2.5); `None` if a component has no value in this message.
    pub(super) fn signature_base(
        &self,
        components: &[Component],
        parameters: &str,
        types: &FieldTypes,
    ) -> Option<String> {
        let mut base = String::with_capacity(256 + parameters.len());
        for component in components {
            let value = self.value(component, types)?;
            // The base is ASCII, and each component is one line of it.
            if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
                return None;
            }
            base.extend([component.identifier(), ": ", &value, "\n"]);
        }
        base.extend(["\"@signature-params\": ", parameters]);
        Some(base)
    }

    fn value(&self, component: &Component, types: &FieldTypes) -> Option<Cow<'a, str>> {
        let (request, headers) = match *self {
            // RFC 9421 §2.4: `req` is for responses.
            Self::Request(_) if component.is_of_request => return None,
            Self::Request(request) => (Some(request), request.headers),
            Self::Response { request, .. } if component.is_of_request => (request, request?.headers),
            Self::Response { headers, .. } => (None, headers),
        };
        match (&component.kind, *self) {
            (Kind::Field(name, form), _) => field(headers, name, form, types),
            (Kind::Status, Self::Response { status, .. }) => Some(status.as_str().to_owned().into()),
            (Kind::Status, Self::Request(_)) => None,
            (kind, _) => request?.derived(kind),
        }
    }
}

impl<'a> RequestHead<'a> {
    fn derived(self, kind: &Kind) -> Option<Cow<'a, str>> {
        Some(match kind {
            Kind::Authority => self.origin.authority().into(),
            Kind::Field(..) | Kind::Status => return None,
            Kind::Method => self.method.as_str().into(),
            Kind::Path => self.path()?,
            Kind::Query => format!("?{}", self.uri.query().unwrap_or_default()).into(),
            Kind::QueryParam(name) => query::parameter(self.uri.query().unwrap_or_default(), name)?.into(),
            Kind::RequestTarget => self.request_target()?,
            Kind::Scheme => self.origin.scheme().into(),
            Kind::TargetUri => format!("{}{}", self.origin.as_str(), self.path_and_query()?).into(),
        })
    }

    fn path(self) -> Option<Cow<'a, str>> {
        // RFC 9421 §2.2.6: an empty path is a slash. The target of `OPTIONS *` and of `CONNECT` has no path.
        let path = match self.uri.path() {
            "" if self.method != Method::CONNECT => "/",
            path => path,
        };
        path.starts_with('/').then(|| match self.origin.removed_prefix() {
            "" => path.into(),
            prefix => format!("{prefix}{path}").into(),
        })
    }

    fn path_and_query(self) -> Option<Cow<'a, str>> {
        let path = self.path()?;
        Some(match self.uri.query() {
            None => path,
            Some(query) => format!("{path}?{query}").into(),
        })
    }

    /// RFC 9421 §2.2.5. A server cannot distinguish an absolute form from the pseudo-header fields of HTTP/2, for which the
    /// component is not defined.
    fn request_target(self) -> Option<Cow<'a, str>> {
        if self.method == Method::CONNECT {
            return self.uri.authority().map(|authority| authority.as_str().into());
        }
        match (self.uri.scheme(), self.uri.path()) {
            (Some(_), _) => Some(self.uri.to_string().into()),
            (None, "*") => Some("*".into()),
            (None, _) => self.path_and_query(),
        }
    }
}

/// The value of a field (RFC 9421 §2.1); `None` if it is absent.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName, form: &Form, types: &FieldTypes) -> Option<Cow<'a, str>> {
    if *form == Form::Bytes {
        let lines = headers.get_all(name).iter();
        let lines: Vec<_> = lines.map(|line| format!(":{}:", STANDARD.encode(trimmed(line.as_bytes())))).collect();
        return (!lines.is_empty()).then(|| lines.join(", ").into());
    }
    let value = combined(headers, name)?;
    match form {
        Form::Bytes | Form::Combined => Some(value),
        Form::Member(key) => member(&value, key).map(Into::into),
        Form::Strict => types.serialized(name, &value).map(Into::into),
    }
}

/// The lines of a field, without white space around each, joined by commas; `None` if there is none, or if one is not text.
pub(super) fn combined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| str::from_utf8(trimmed(line.as_bytes())).ok());
    let first = lines.next()??;
    let mut joined = Cow::Borrowed(first);
    for line in lines {
        joined.to_mut().extend([", ", line?]);
    }
    Some(joined)
}

/// Without white space at both ends (RFC 9110 §5.5).
fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// The member of a dictionary, serialized again (RFC 9421 §2.1.2).
fn member(value: &str, key: &str) -> Option<String> {
    let members: Dictionary = Parser::new(value).parse().ok()?;
    match members.get(key)? {
        ListEntry::Item(item) => {
            Some(ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish())
        }
        list @ ListEntry::InnerList(_) => {
            let mut serializer = ListSerializer::new();
            serializer.members([list]);
            serializer.finish()
        }
    }
}
