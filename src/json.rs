//! JSON as it must be where it decides who is let in: no member twice, no deep nesting.
//!
//! Where a name stands twice in an object, parsers differ about which one counts, and so may the issuer and we: such a
//! text is refused (RFC 7515 §4, RFC 7519 §4). What is read borrows from the text.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// How deep objects and arrays may be nested.
const DEPTH: u8 = 32;

/// With more members than that, names are looked up instead of compared one by one.
const FEW: usize = 16;

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

/// The members of an object, in their order, no name twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// The text is none, has a name twice, or is nested too deep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused;

impl<'a> Json<'a> {
    /// Reads a whole text.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Refused> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let value = Value { depth: DEPTH }.deserialize(&mut deserializer).map_err(|_| Refused)?;
        deserializer.end().map_err(|_| Refused)?;
        Ok(value)
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

impl<'a> Object<'a> {
    /// Reads a text that is an object.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Refused> {
        match Json::parse(text)? {
            Json::Object(object) => Ok(object),
            _ => Err(Refused),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

/// Reads one value, which may be nested so deep.
#[derive(Clone, Copy)]
struct Value {
    depth: u8,
}

impl Value {
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
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
        let mut read: Vec<(Cow<'de, str>, Json<'de>)> = Vec::with_capacity(FEW);
        let mut names = HashSet::new();
        while let Some(name) = members.next_key_seed(Name)? {
            let is_known = if read.len() < FEW {
                read.iter().any(|(known, _)| *known == name)
            } else {
                if names.is_empty() {
                    names.extend(read.iter().map(|(known, _)| known.clone()));
                }
                !names.insert(name.clone())
            };
            if is_known {
                return Err(A::Error::custom("a name stands twice"));
            }
            read.push((name, members.next_value_seed(inner)?));
        }
        Ok(Json::Object(Object(read)))
    }
}

/// Reads a name.
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
    fn a_name_that_stands_twice_is_refused_wherever_it_does() {
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
        assert!(Json::parse(nested(usize::from(DEPTH)).as_bytes()).is_ok());
        assert!(Json::parse(nested(usize::from(DEPTH) + 1).as_bytes()).is_err());
        assert!(Json::parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "{", "{} {}", "{\"a\":1,}", "{'a':1}", "\u{feff}{}", "1e400", "{\"a\":NaN}", "\"\u{1}\""] {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        assert!(Json::parse(br#""\ud800""#).is_err());
    }
}
