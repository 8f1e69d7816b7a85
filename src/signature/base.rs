//! The signature base, RFC 9421 §2.5.

use std::{borrow::Cow, collections::HashMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName};
use sfv::{Dictionary, ItemSerializer, ListEntry, ListSerializer, Parser};

use super::{
    component::{Component, Form, Kind},
    field_type::FieldTypes,
    message::{Message, RequestHead, combined, trimmed},
    origin::Origin,
    query::Query,
};
use crate::reason::Reason;

/// The number of bytes that are read of a message for all its signatures, before any of them is verified.
const MAX_BYTES: usize = 128 * 1024;

/// The number of bytes that one byte of a structured field counts as, whose parsed form is larger.
const PARSED: usize = 4;

/// A signature base, without the origin of the request if there may be several.
#[derive(Default)]
pub(super) struct Base {
    text: String,
    /// The places at which a part of the origin belongs that is not known yet, in ascending order.
    gaps: Vec<(usize, OriginPart)>,
}

/// A part of an origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OriginPart {
    Authority,
    Scheme,
    Whole,
}

impl Base {
    /// Returns whether the base verifies with any of these origins, those for which it was made.
    pub(super) fn is_any(&self, origins: &[Origin], verifies: impl Fn(&[u8]) -> bool) -> bool {
        if self.gaps.is_empty() {
            return verifies(self.text.as_bytes());
        }
        origins.iter().any(|origin| verifies(self.with_origin(origin).as_bytes()))
    }

    /// The text of a base that was made for one origin.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn with_origin(&self, origin: &Origin) -> String {
        let mut base = String::with_capacity(self.text.len() + self.gaps.len() * origin.as_str().len());
        let mut start = 0;
        for (end, part) in &self.gaps {
            base.push_str(&self.text[start..*end]);
            base.push_str(part.of(origin));
            start = *end;
        }
        base.push_str(&self.text[start..]);
        base
    }
}

impl OriginPart {
    fn of(self, origin: &Origin) -> &str {
        match self {
            Self::Authority => origin.authority(),
            Self::Scheme => origin.scheme(),
            Self::Whole => origin.as_str(),
        }
    }
}

/// Reads the values of the components of one message, each field and the query once, and within a limit: it is done before
/// anything is verified.
pub(super) struct Values<'a> {
    /// The parsed fields by their names; true for one of the request of a response.
    dictionaries: HashMap<(HeaderName, bool), Option<Dictionary>>,
    message: Message<'a>,
    query: Option<Query<'a>>,
    /// The number of bytes that may still be read.
    remaining: usize,
    types: &'a FieldTypes,
}

impl<'a> Values<'a> {
    /// Those of a message of somebody else.
    pub(super) fn new(message: Message<'a>, types: &'a FieldTypes) -> Self {
        Self { dictionaries: HashMap::new(), message, query: None, remaining: MAX_BYTES, types }
    }

    /// Those of a message of this program, without a limit.
    pub(super) fn own(message: Message<'a>, types: &'a FieldTypes) -> Self {
        Self { remaining: usize::MAX, ..Self::new(message, types) }
    }

    /// The signature base of these components, for a message to one of these origins.
    pub(super) fn base(
        &mut self,
        components: &[Component],
        parameters: &str,
        origins: &[Origin],
    ) -> Result<Base, Reason> {
        // Mostly enough.
        let mut base =
            Base { text: String::with_capacity(64 * (components.len() + 1) + parameters.len()), gaps: Vec::new() };
        for component in components {
            base.text.extend(component.identifier());
            base.text.push_str(": ");
            let (part, value) = self.value(component)?;
            match (part, origins) {
                (None, _) => {}
                (Some(part), [only]) => base.text.push_str(part.of(only)),
                (Some(part), _) => base.gaps.push((base.text.len(), part)),
            }
            // The base is ASCII, and each component is one line of it.
            if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
                return Err(Reason::SIGNATURE_COMPONENT_ABSENT);
            }
            base.text.push_str(&value);
            base.text.push('\n');
        }
        base.text.push_str("\"@signature-params\": ");
        base.text.push_str(parameters);
        Ok(base)
    }

    /// The value of a component: a part of the origin, and what follows.
    fn value(&mut self, component: &Component) -> Result<(Option<OriginPart>, Cow<'a, str>), Reason> {
        let (of_request, request) = (component.is_of_request, self.message.request(component.is_of_request));
        let (part, value) = match &component.kind {
            Kind::Field(name, form) => (None, self.field(name, form, of_request)?),
            Kind::QueryParam(name) => (None, self.query_parameter(request, name)?),
            Kind::Status => (None, self.message.status().map(|status| status.as_str().to_owned().into())),
            kind => request.and_then(|request| request.derived(kind)).unzip(),
        };
        let value = value.ok_or(Reason::SIGNATURE_COMPONENT_ABSENT)?;
        self.read(value.len())?;
        Ok((part.flatten(), value))
    }

    fn query_parameter(
        &mut self,
        request: Option<RequestHead<'a>>,
        name: &str,
    ) -> Result<Option<Cow<'a, str>>, Reason> {
        let query = request.and_then(|request| request.uri.query()).unwrap_or_default();
        if self.query.is_none() {
            self.read(query.len())?;
        }
        Ok(self.query.get_or_insert_with(|| Query::parse(query)).parameter(name))
    }

    /// The value of a field (RFC 9421 §2.1); `None` if it is absent.
    fn field(&mut self, name: &HeaderName, form: &Form, of_request: bool) -> Result<Option<Cow<'a, str>>, Reason> {
        let Some(headers) = self.message.headers(of_request) else { return Ok(None) };
        match form {
            Form::Bytes => {
                self.read(length(headers, name))?;
                Ok(bytes(headers, name).map(Into::into))
            }
            Form::Combined if length(headers, name) > self.remaining => Err(Reason::SIGNATURE_TOO_LONG),
            Form::Combined => Ok(combined(headers, name)),
            Form::Member(key) => {
                let place = (name.clone(), of_request);
                if !self.dictionaries.contains_key(&place) {
                    self.read(length(headers, name).saturating_mul(PARSED))?;
                    let members = combined(headers, name).and_then(|value| Parser::new(&*value).parse().ok());
                    self.dictionaries.insert(place.clone(), members);
                }
                let members = self.dictionaries.get(&place).and_then(Option::as_ref);
                Ok(members.and_then(|members| serialized(members.get(&**key)?)).map(Into::into))
            }
            Form::Strict => {
                self.read(length(headers, name).saturating_mul(PARSED))?;
                let value = combined(headers, name);
                Ok(value.and_then(|value| self.types.serialized(name, &value)).map(Into::into))
            }
        }
    }

    fn read(&mut self, bytes: usize) -> Result<(), Reason> {
        self.remaining = self.remaining.checked_sub(bytes).ok_or(Reason::SIGNATURE_TOO_LONG)?;
        Ok(())
    }
}

/// The length of all lines of a field, joined.
fn length(headers: &HeaderMap, name: &HeaderName) -> usize {
    headers.get_all(name).iter().map(|line| line.len() + ", ".len()).sum()
}

/// The lines of a field as byte sequences (RFC 9421 §2.1.3).
fn bytes(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|line| format!(":{}:", STANDARD.encode(trimmed(line.as_bytes())))).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// A member of a dictionary, serialized again (RFC 9421 §2.1.2).
fn serialized(member: &ListEntry) -> Option<String> {
    match member {
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
