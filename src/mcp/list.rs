//! Lists of tools, prompts and resources, of which a caller sees what it may use.

use serde_json::{Map, Value};

use super::operation::McpOperation;

/// Returns whether the result of a method is a list that can be filtered.
pub(super) fn is_list(method: &str) -> bool {
    matches!(method, "prompts/list" | "resources/list" | "resources/templates/list" | "tools/list")
}

/// Removes what is not permitted from a response, or from each of several; `None` if it is not JSON.
pub(super) fn filter(body: &[u8], permits: impl Fn(McpOperation<'_>) -> bool) -> Option<Vec<u8>> {
    let mut response: Value = serde_json::from_slice(body).ok()?;
    let messages = match &mut response {
        Value::Array(messages) => &mut messages[..],
        message => std::slice::from_mut(message),
    };
    for message in messages {
        if let Some(result) = message.get_mut("result").and_then(Value::as_object_mut) {
            filter_result(result, &permits);
        }
    }
    serde_json::to_vec(&response).ok()
}

fn filter_result(result: &mut Map<String, Value>, permits: &impl Fn(McpOperation<'_>) -> bool) {
    type Operation = for<'a> fn(&'a str) -> McpOperation<'a>;
    let lists: [(&str, &str, Operation); 4] = [
        ("prompts", "name", |name| McpOperation::Prompt(name)),
        ("resourceTemplates", "uriTemplate", |uri| McpOperation::Resource(uri)),
        ("resources", "uri", |uri| McpOperation::Resource(uri)),
        ("tools", "name", |name| McpOperation::Tool(name)),
    ];
    for (list, name, operation) in lists {
        if let Some(items) = result.get_mut(list).and_then(Value::as_array_mut) {
            items.retain(|item| item.get(name).and_then(Value::as_str).is_some_and(|name| permits(operation(name))));
        }
    }
    // Clients must not share it.
    if result.contains_key("cacheScope") {
        result.insert("cacheScope".to_owned(), Value::from("private"));
    }
}
