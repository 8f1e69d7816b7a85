//! A check of a text by the rules of the parser, which builds no values.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{InvalidJson, LINEAR_SEARCH_LIMIT, Name, SERDE_PRIVATE};

/// Checks a value: no duplicate names, no names that are private to serde_json, and at most `depth` levels.
pub(super) fn check(text: &str, depth: u8) -> Result<(), InvalidJson> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let checked = Value { depth, names: &mut Vec::new(), text }.deserialize(&mut deserializer);
    checked.and_then(|()| deserializer.end()).map_err(|_| InvalidJson)
}

/// Checks one value.
struct Value<'n, 'de> {
    depth: u8,
    /// The names of the objects around the value and of those before it, which are one after the other: a name is compared with
    /// those of its own object.
    names: &'n mut Vec<Cow<'de, str>>,
    text: &'de str,
}

impl<'de> Value<'_, 'de> {
    fn inner<E: Error>(&mut self) -> Result<Value<'_, 'de>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Value { depth, names: self.names, text: self.text })
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() { Ok(()) } else { Err(E::custom("not a number")) }
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.inner::<A::Error>()?;
        while items.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.inner::<A::Error>()?;
        let first = self.names.len();
        let mut many = HashSet::new();
        while let Some(name) = members.next_key_seed(Name)? {
            if name.starts_with(SERDE_PRIVATE) {
                // A number, as serde_json passes it on in some builds: its name is not a part of the text.
                if matches!(name, Cow::Borrowed(name) if !self.text.as_bytes().as_ptr_range().contains(&name.as_ptr()))
                {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                return Err(A::Error::custom("a private name"));
            }
            let own = &self.names[first..];
            let is_duplicate = if own.len() < LINEAR_SEARCH_LIMIT {
                own.contains(&name)
            } else {
                if many.is_empty() {
                    many.extend(own.iter().cloned());
                }
                !many.insert(name.clone())
            };
            if is_duplicate {
                return Err(A::Error::custom("a duplicate member name"));
            }
            self.names.push(name);
            members.next_value_seed(self.inner()?)?;
        }
        self.names.truncate(first);
        Ok(())
    }
}
