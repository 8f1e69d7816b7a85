//! A strict JSON parser for texts that decide on admission: no duplicate member names, no deep nesting.
//!
//! If a name occurs twice in an object, parsers differ in which member they use, and so may the issuer and this crate: such
//! a text is refused (RFC 7515 §4, RFC 7519 §4). Values borrow from the text.

use std::borrow::Cow;

use serde::de::DeserializeSeed;
use serde_json::Number;

use self::value::Value;

#[cfg(feature = "mcp")]
mod names;
#[cfg(feature = "mcp")]
mod reader;
#[cfg(feature = "mcp")]
mod syntax;
mod value;

/// The beginning of member names that some builds of serde_json read as something else than an object.
#[cfg(feature = "mcp")]
const SERDE_PRIVATE: &str = "$serde_json::private::";

/// The maximum nesting of objects and arrays.
const MAX_DEPTH: u8 = 32;

/// The number of members up to which names are compared one by one; beyond it, they are put into a hash set.
const LINEAR_SEARCH_LIMIT: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Array(Vec<Self>),
    Bool(bool),
    Null,
    Number(Number),
    Object(Object<'a>),
    String(Cow<'a, str>),
}

/// The members of an object in the order of the text, without duplicate names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// A text that is not JSON, has a duplicate member name, or is nested too deep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvalidJson;

impl<'a> Json<'a> {
    /// Parses a whole text.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, InvalidJson> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let value = Value::new(text).deserialize(&mut deserializer).map_err(|_| InvalidJson)?;
        deserializer.end().map_err(|_| InvalidJson)?;
        Ok(value)
    }

    /// Parses a whole text, of which a part is only checked.
    ///
    /// Values of members with the name `raw` are the strings of their JSON text. Objects and arrays of members that are not
    /// among `built` are null, and so are those in arrays within others. Names that are private to serde_json, and texts of
    /// which more than 4096 values would be built, are refused.
    #[cfg(feature = "mcp")]
    pub(crate) fn parse_part(
        text: &'a [u8],
        raw: &'static str,
        built: &'static [&'static str],
    ) -> Result<Self, InvalidJson> {
        reader::Reader::new(text, raw, built)?.document()
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) const fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// Writes an integer or a text as JSON. Other numbers would be written in another form than they were read.
#[cfg(feature = "mcp")]
impl Json<'_> {
    pub(crate) fn to_raw(&self) -> Option<Box<serde_json::value::RawValue>> {
        match self {
            Self::Number(number) if number.is_i64() || number.is_u64() => serde_json::value::to_raw_value(number).ok(),
            Self::String(text) => serde_json::value::to_raw_value(text).ok(),
            _ => None,
        }
    }
}

impl<'a> Object<'a> {
    /// Parses a text that is an object.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, InvalidJson> {
        match Json::parse(text)? {
            Json::Object(object) => Ok(object),
            _ => Err(InvalidJson),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

/// A document without the byte order mark that some servers write in front of it (RFC 8259 §8.1).
#[cfg(feature = "jwt")]
pub(crate) fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}
