//! Documents and buffers that are overwritten after their use.

use std::{collections::BTreeMap, fmt, mem};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use zeroize::Zeroize;

/// A JSON object whose texts are overwritten when it is dropped.
pub(crate) struct WipedJson(Value);

impl WipedJson {
    /// `None` if the text is not a JSON object, or if a name is repeated in one: parsers differ in which member they use. What
    /// was read until then is overwritten.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let json: Self = serde_json::from_slice(body).ok()?;
        json.0.is_object().then_some(json)
    }

    /// Finds a member by the names that lead to it, separated by dots.
    pub(crate) fn find(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |value, name| value.get(name))
    }

    /// Finds a member of the document itself, whatever characters its name has.
    #[cfg(feature = "aws")]
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.find(path).and_then(Value::as_str)
    }

    fn take(mut self) -> Value {
        mem::take(&mut self.0)
    }
}

impl<'de> Deserialize<'de> for WipedJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads a value. Each part of it is wiped if a later one is malformed; those of a `Value` would not be.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = WipedJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<WipedJson, E> {
        Ok(WipedJson(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<WipedJson, E> {
        Ok(WipedJson(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<WipedJson, E> {
        Ok(WipedJson(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<WipedJson, E> {
        Ok(WipedJson(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<WipedJson, E> {
        Ok(WipedJson(value.into()))
    }

    fn visit_unit<E>(self) -> Result<WipedJson, E> {
        Ok(WipedJson(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<WipedJson, A::Error> {
        let mut read: Vec<WipedJson> = Vec::new();
        while let Some(item) = items.next_element()? {
            read.push(item);
        }
        Ok(WipedJson(read.into_iter().map(WipedJson::take).collect()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<WipedJson, A::Error> {
        let mut read: BTreeMap<String, WipedJson> = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NUMBER && read.is_empty() {
                let number: Number = members.next_value::<String>()?.parse().map_err(A::Error::custom)?;
                return Ok(WipedJson(number.into()));
            }
            if read.insert(name, members.next_value()?).is_some() {
                return Err(A::Error::custom("a name is repeated"));
            }
        }
        Ok(WipedJson(read.into_iter().map(|(name, member)| (name, member.take())).collect()))
    }
}

impl Drop for WipedJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::String(text) => text.zeroize(),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

/// Overwrites a buffer, if there is no other reference to it.
pub(crate) fn wipe_buffer(buffer: Bytes) {
    if let Ok(mut buffer) = buffer.try_into_mut() {
        buffer.as_mut().zeroize();
    }
}

/// The only name of the object as which serde_json passes a number on if any crate of the build enables its feature
/// `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_an_object_and_its_members_are_found_by_their_path() {
        let json = WipedJson::parse(br#"{"data":{"data":{"a.b":"x"}},"n":1}"#).expect("an object");
        assert_eq!(json.find("data.data").and_then(|data| data.get("a.b")).and_then(Value::as_str), Some("x"));
        assert!(json.text("n").is_none() && json.text("data.none").is_none());
        for text in ["", "[]", r#""sk_live""#, "{"] {
            assert!(WipedJson::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_repeated_is_refused_at_any_depth() {
        for text in
            [r#"{"access_token":"a","access_token":"b"}"#, r#"{"a":{"b":1,"\u0062":2}}"#, r#"{"a":[{"b":1,"b":1}]}"#]
        {
            assert!(WipedJson::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(WipedJson::parse(br#"{"a":{"a":1},"b":{"a":1}}"#).is_some());
    }

    #[test]
    fn values_of_all_kinds_are_read_as_serde_json_reads_them() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5e3,"\u00e4\n",{"b":[]}],"c":{}}"#;
        let json = WipedJson::parse(text.as_bytes()).expect("an object");
        assert_eq!(json.0, serde_json::from_str::<Value>(text).expect("JSON"));
        assert_eq!(json.find("a").and_then(|items| items.get(3)).and_then(Value::as_u64), Some(u64::MAX));
        for text in [r#"{"a":1} {}"#, r#"{"a":"\ud800"}"#, r#"{"a":1e400}"#, r#"{"a":"b","#] {
            assert!(WipedJson::parse(text.as_bytes()).is_none(), "{text}");
        }
        let nested = |depth| format!("{}0{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(WipedJson::parse(nested(100).as_bytes()).is_some());
        assert!(WipedJson::parse(nested(100_000).as_bytes()).is_none());
    }

    #[test]
    fn the_texts_of_a_document_are_overwritten() {
        let mut value = serde_json::json!({ "a": ["sk_live", { "b": "sk_test" }], "n": 1 });
        wipe(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["", { "b": "" }], "n": 1 }));
    }
}
