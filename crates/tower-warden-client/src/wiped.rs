//! Documents and buffers that are overwritten after their use.

use bytes::Bytes;
use serde_json::Value;
use zeroize::Zeroize;

/// A JSON object whose texts are overwritten when it is dropped.
pub(crate) struct WipedJson(Value);

impl WipedJson {
    /// `None` if the text is not a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let json = Self(serde_json::from_slice(body).ok()?);
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
    fn the_texts_of_a_document_are_overwritten() {
        let mut value = serde_json::json!({ "a": ["sk_live", { "b": "sk_test" }], "n": 1 });
        wipe(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["", { "b": "" }], "n": 1 }));
    }
}
