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

/// Removes what is not permitted from a response, or from each of several; `None` if it is not JSON, has a member name that
/// is not Unicode, or something else in the place of a list. What remains is as the server has written it.
pub(super) fn filter(body: &[u8], mut permits: impl FnMut(McpOperation<'_>) -> bool) -> Option<Vec<u8>> {
    let filtered = match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(messages) => {
            let messages = messages.into_iter().map(|message| filter_message(message, &mut permits));
            serde_json::to_vec(&messages.collect::<Option<Vec<_>>>()?)
        }
        Err(_) => serde_json::to_vec(&filter_message(serde_json::from_slice(body).ok()?, &mut permits)?),
    };
    filtered.ok()
}

fn filter_message<'a>(
    message: &'a RawValue,
    permits: &mut impl FnMut(McpOperation<'_>) -> bool,
) -> Option<Cow<'a, RawValue>> {
    change(message, |name, value| match name {
        "result" => filter_result(value, permits),
        _ => Some(Cow::Borrowed(value)),
    })
}

fn filter_result<'a>(
    result: &'a RawValue,
    permits: &mut impl FnMut(McpOperation<'_>) -> bool,
) -> Option<Cow<'a, RawValue>> {
    change(result, |name, value| {
        if name == "cacheScope" {
            // Clients must not share it.
            return Some(Cow::Owned(raw(&"private")));
        }
        let list = LISTS.iter().find(|(list, ..)| *list == name).filter(|_| value.get() != "null");
        let Some((_, key, operation)) = list else { return Some(Cow::Borrowed(value)) };
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
        let permitted = items.into_iter().filter(|item| is_permitted(item, key, |name| permits(operation(name))));
        Some(Cow::Owned(raw(&permitted.collect::<Vec<_>>())))
    })
}

/// Returns whether an item has a name that is permitted.
fn is_permitted(item: &RawValue, key: &str, mut permits: impl FnMut(&str) -> bool) -> bool {
    let Ok(Members(members)) = serde_json::from_str(item.get()) else { return false };
    let mut names = members.iter().filter(|(name, _)| name == key).peekable();
    let mut permits =
        |name: &RawValue| serde_json::from_str::<Cow<'_, str>>(name.get()).is_ok_and(|name| permits(&name));
    // A name that is there twice could be read differently by the client.
    names.peek().is_some() && names.all(|(_, name)| permits(name))
}

/// An object in which a function has replaced the values of members; the value itself if it is no object; `None` if it is one
/// that cannot be read, or the function returns that.
fn change<'a>(
    value: &'a RawValue,
    mut changed: impl FnMut(&str, &'a RawValue) -> Option<Cow<'a, RawValue>>,
) -> Option<Cow<'a, RawValue>> {
    if !value.get().starts_with('{') {
        return Some(Cow::Borrowed(value));
    }
    // Raw values may have a name with half of a surrogate pair, which is no string here but is one in JavaScript.
    let Members(members) = serde_json::from_str(value.get()).ok()?;
    let members = members.into_iter().map(|(name, value)| {
        let value = changed(&name, value)?;
        Some((name, value))
    });
    Some(Cow::Owned(raw(&Members(members.collect::<Option<_>>()?))))
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("texts of JSON serialize as JSON")
}

/// The members of an object, in their order.
struct Members<V>(Vec<(String, V)>);

impl<'de> Deserialize<'de> for Members<&'de RawValue> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut read = Vec::new();
                while let Some(member) = members.next_entry()? {
                    read.push(member);
                }
                Ok(Members(read))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

impl<V: Serialize> Serialize for Members<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
