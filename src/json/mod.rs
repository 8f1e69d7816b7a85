//! A strict JSON parser for texts that decide on admission: no duplicate member names, no deep nesting.
//!
//! If a name occurs twice in an object, parsers differ in which member they use, and so may the issuer and this crate: such
//! a text is refused (RFC 7515 §4, RFC 7519 §4). Values borrow from the text.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

#[cfg(feature = "mcp")]
mod names;
#[cfg(feature = "mcp")]
mod reader;
#[cfg(feature = "mcp")]
mod syntax;

/// The beginning of member names that some builds of serde_json read as something else than an object.
#[cfg(feature = "mcp")]
const SERDE_PRIVATE: &str = "$serde_json::private::";

/// The maximum nesting of objects and arrays.
const MAX_DEPTH: u8 = 32;

/// The member name of the objects as which serde_json passes numbers on if any crate of the build enables its feature
/// `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

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
        let value = Value { depth: MAX_DEPTH, text }.deserialize(&mut deserializer).map_err(|_| InvalidJson)?;
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

/// Deserializes one value of a text, in which `depth` levels may be nested.
#[derive(Clone, Copy)]
struct Value<'de> {
    depth: u8,
    text: &'de [u8],
}

impl Value<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth, ..self })
    }

    /// Returns whether the first name of an object marks a number. serde_json passes a static string then, so the name is not
    /// located within the text; a member that has this name in the text is an ordinary one.
    fn is_number(self, name: &str) -> bool {
        name == NUMBER && !self.text.as_ptr_range().contains(&name.as_ptr())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'de> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'de> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let (inner, mut read) = (self.inner()?, Vec::new());
        while let Some(item) = items.next_element_seed(inner)? {
            read.push(item);
        }
        Ok(Json::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        // Only the outermost object allocates in advance: a text may contain thousands of objects.
        let capacity = if self.depth == MAX_DEPTH { LINEAR_SEARCH_LIMIT } else { 0 };
        let mut read: Vec<(Cow<'de, str>, Json<'de>)> = Vec::with_capacity(capacity);
        let mut names = HashSet::new();
        while let Some(name) = members.next_key_seed(Name)? {
            if let Cow::Borrowed(name) = name
                && read.is_empty()
                && self.is_number(name)
            {
                let number = members.next_value::<Cow<'de, str>>()?;
                return number.parse().map(Json::Number).map_err(A::Error::custom);
            }
            let is_duplicate = if read.len() < LINEAR_SEARCH_LIMIT {
                read.iter().any(|(known, _)| *known == name)
            } else {
                if names.is_empty() {
                    names.extend(read.iter().map(|(known, _)| known.clone()));
                }
                !names.insert(name.clone())
            };
            if is_duplicate {
                return Err(A::Error::custom("a duplicate member name"));
            }
            read.push((name, members.next_value_seed(inner)?));
        }
        Ok(Json::Object(Object(read)))
    }
}

/// Deserializes a member name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_member_names_are_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"[{"a":1,"\u0061":2}]"#, r#"{"a":1,"a":1,"b":2}"#]
        {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
        }
        let mut many: Vec<_> = (0..40).map(|name| format!("\"{name}\":0")).collect();
        assert!(Json::parse(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        many.push("\"3\":0".to_owned());
        assert!(Json::parse(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(usize::from(MAX_DEPTH)).as_bytes()).is_ok());
        assert!(Json::parse(nested(usize::from(MAX_DEPTH) + 1).as_bytes()).is_err());
        assert!(Json::parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn nested_objects_do_not_allocate_in_advance() {
        let text = "[{},{},{\"a\":{}}]";
        let Ok(Json::Array(objects)) = Json::parse(text.as_bytes()) else { panic!("{text}") };
        let capacities = objects.iter().filter_map(Json::as_object).map(|object| object.0.capacity());
        assert_eq!(capacities.collect::<Vec<_>>(), [0, 0, 4]);
    }

    #[test]
    fn an_object_with_the_internal_name_of_numbers_is_not_a_number() {
        for text in [r#"{"$serde_json::private::Number":"1"}"#, r#"{"\u0024serde_json::private::Number":"1"}"#] {
            let Ok(object) = Object::parse(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(object.get(NUMBER).and_then(Json::as_str), Some("1"), "{text}");
        }
    }

    #[test]
    fn invalid_json_is_refused() {
        for text in ["", "{", "{} {}", "{\"a\":1,}", "{'a':1}", "\u{feff}{}", "1e400", "{\"a\":NaN}", "\"\u{1}\""] {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        assert!(Json::parse(br#""\ud800""#).is_err());
    }
}
