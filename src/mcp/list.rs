//! Lists of tools, prompts and resources, of which a caller sees what it may use.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::{RawValue, to_raw_value};

use super::operation::McpOperation;

type Operation = for<'a> fn(&'a str) -> McpOperation<'a>;

/// The members of results that are lists, and of their items the members that name them.
const LISTS: [(&str, &str, Operation); 4] = [
    ("prompts", "name", |name| McpOperation::Prompt(name)),
    ("resourceTemplates", "uriTemplate", |uri| McpOperation::Resource(uri)),
    ("resources", "uri", |uri| McpOperation::Resource(uri)),
    ("tools", "name", |name| McpOperation::Tool(name)),
];

/// Returns whether the result of a method is a list that can be filtered.
pub(super) fn is_list(method: &str) -> bool {
    matches!(method, "prompts/list" | "resources/list" | "resources/templates/list" | "tools/list")
}

/// Removes what is not permitted from a response, or from each of several; `None` if it is not JSON. What remains is as the
/// server has written it.
pub(super) fn filter(body: &[u8], permits: impl Fn(McpOperation<'_>) -> bool) -> Option<Vec<u8>> {
    let filtered = match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(messages) => {
            let messages: Vec<_> = messages.into_iter().map(|message| filter_message(message, &permits)).collect();
            serde_json::to_vec(&messages)
        }
        Err(_) => serde_json::to_vec(&filter_message(serde_json::from_slice(body).ok()?, &permits)),
    };
    filtered.ok()
}

fn filter_message<'a>(message: &'a RawValue, permits: &impl Fn(McpOperation<'_>) -> bool) -> Cow<'a, RawValue> {
    change(message, |name, value| (name == "result").then(|| filter_result(value, permits).into_owned()))
}

fn filter_result<'a>(result: &'a RawValue, permits: &impl Fn(McpOperation<'_>) -> bool) -> Cow<'a, RawValue> {
    change(result, |name, value| {
        if name == "cacheScope" {
            // Clients must not share it.
            return Some(raw(&"private"));
        }
        let (_, key, operation) = LISTS.iter().find(|(list, ..)| *list == name)?;
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
        let permits = |name: &str| permits(operation(name));
        let permitted: Vec<_> = items.into_iter().filter(|item| is_permitted(item, key, permits)).collect();
        Some(raw(&permitted))
    })
}

/// Returns whether an item has a name that is permitted.
fn is_permitted(item: &RawValue, key: &str, permits: impl Fn(&str) -> bool) -> bool {
    let Ok(Members(members)) = serde_json::from_str(item.get()) else { return false };
    let mut names = members.iter().filter(|(name, _)| name == key).peekable();
    let permits = |name: &RawValue| serde_json::from_str::<Cow<'_, str>>(name.get()).is_ok_and(|name| permits(&name));
    // A name that is there twice could be read differently by the client.
    names.peek().is_some() && names.all(|(_, name)| permits(name))
}

/// An object in which a function has replaced the values of members; the value itself if it is none.
fn change(value: &RawValue, changed: impl Fn(&str, &RawValue) -> Option<Box<RawValue>>) -> Cow<'_, RawValue> {
    let Ok(Members(mut members)) = serde_json::from_str(value.get()) else { return Cow::Borrowed(value) };
    for (name, value) in &mut members {
        if let Some(changed) = changed(name, value) {
            *value = Cow::Owned(changed);
        }
    }
    Cow::Owned(raw(&Members(members)))
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("texts of JSON serialize as JSON")
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members<'de>, A::Error> {
                let mut read = Vec::new();
                while let Some((name, value)) = members.next_entry::<String, &RawValue>()? {
                    read.push((name, Cow::Borrowed(value)));
                }
                Ok(Members(read))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
