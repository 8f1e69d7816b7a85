//! The deserialization of a value by serde_json.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{Json, LINEAR_SEARCH_LIMIT, MAX_DEPTH, Object};

/// The member name of the objects as which serde_json passes numbers on if any crate of the build enables its feature
/// `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

/// Deserializes one value of a text, in which `depth` levels may be nested.
#[derive(Clone, Copy)]
pub(super) struct Value<'de> {
    depth: u8,
    text: &'de [u8],
}

impl<'de> Value<'de> {
    pub(super) const fn new(text: &'de [u8]) -> Self {
        Self { depth: MAX_DEPTH, text }
    }

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
