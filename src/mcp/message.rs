//! The messages of a request's body.

use serde_json::value::RawValue;

use super::{
    header,
    operation::McpOperation,
    refusal::{header_mismatch, invalid_message, not_json},
    version::McpVersion,
};
use crate::{
    json::{Json, Object},
    refusal::Rejection,
};

/// The key of the protocol version within `_meta`.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The member of `params` that has the arguments of a tool or prompt.
const ARGUMENTS: &str = "arguments";

/// The members by which servers decide what a message does.
const SIGNIFICANT: [&str; 6] = ["error", "id", "jsonrpc", "method", "params", "result"];
const SIGNIFICANT_PARAMS: [&str; 7] = ["_meta", "arguments", "name", "notifications", "ref", "taskId", "uri"];

/// The most messages of a batch: the audit event of the request names all of them.
const MAX_MESSAGES: usize = 10;

/// The most objects that a message names.
const MAX_OBJECTS: usize = 1_000;

/// A request of a client, or a notification if it has no `id`.
#[derive(Debug)]
pub(super) struct Call<'a> {
    #[cfg(feature = "audit")]
    pub(super) arguments: Option<&'a str>,
    /// It is a request; otherwise a notification.
    pub(super) has_id: bool,
    pub(super) method: &'a str,
    /// The operations that it asks for, all of which must be allowed.
    pub(super) operations: Vec<McpOperation<'a>>,
    /// The version that it states itself.
    pub(super) version: Option<&'a str>,
}

/// Parses a body. All parsers of JSON read the value in the same way.
pub(super) fn parse(body: &[u8]) -> Result<Json<'_>, Rejection> {
    // Arguments, often the largest part, are not looked at.
    Json::parse_except(body, ARGUMENTS).map_err(|_| not_json())
}

/// The `id` of a body that is one request, for the error that answers it.
pub(super) fn id_of(json: &Json<'_>) -> Option<Box<RawValue>> {
    json.as_object()?.get("id")?.to_raw()
}

/// The requests and notifications of a body. Responses to requests of the server are of the caller's session.
pub(super) fn calls<'a>(json: &'a Json<'a>, version: McpVersion) -> Result<Vec<Call<'a>>, Rejection> {
    match json {
        Json::Object(object) => Ok(call_of(object, version)?.into_iter().collect()),
        Json::Array(items) if version.has_batches() && (1..=MAX_MESSAGES).contains(&items.len()) => {
            let call = |item: &'a Json<'a>| call_of(item.as_object().ok_or_else(invalid_message)?, version);
            items.iter().filter_map(|item| call(item).transpose()).collect()
        }
        _ => Err(invalid_message()),
    }
}

/// The call that a message is; `None` for a response.
fn call_of<'a>(object: &'a Object<'a>, version: McpVersion) -> Result<Option<Call<'a>>, Rejection> {
    if has_other_spelling(object, &SIGNIFICANT) || object.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return Err(invalid_message());
    }
    let id = object.get("id");
    if id.is_some_and(|id| !matches!(id, Json::Number(_) | Json::String(_))) {
        return Err(invalid_message());
    }
    let is_answer = object.get("result").is_some() || object.get("error").is_some();
    match object.get("method") {
        Some(Json::String(method)) if !is_answer => {
            let params = match object.get("params") {
                None => None,
                Some(Json::Object(params)) if !has_other_spelling(params, &SIGNIFICANT_PARAMS) => Some(params),
                Some(_) => return Err(invalid_message()),
            };
            call(method, id.is_some(), params, version).map(Some)
        }
        // Requests of the server, and responses to them, exist with sessions only.
        None if is_answer && id.is_some() && !version.is_stateless() => Ok(None),
        _ => Err(invalid_message()),
    }
}

/// Some parsers find members whatever the case of their names. A message that has one in another case could be read
/// differently by the server.
fn has_other_spelling(object: &Object<'_>, names: &[&str]) -> bool {
    object.iter().any(|(name, _)| {
        if name.is_ascii() {
            let is_other = |known: &str| name != known && name.eq_ignore_ascii_case(known);
            return names.iter().any(|known| name.len() == known.len() && is_other(known));
        }
        // Also by the rules of Unicode, for which `ſ` is an `s`, and the sign of Kelvin a `k`.
        let folded = name.to_uppercase().to_lowercase();
        names.iter().any(|known| folded == known.to_uppercase().to_lowercase())
    })
}

fn call<'a>(
    method: &'a str,
    has_id: bool,
    params: Option<&'a Object<'a>>,
    version: McpVersion,
) -> Result<Call<'a>, Rejection> {
    let stated = match params.and_then(|params| params.get("_meta")) {
        None => None,
        Some(Json::Object(meta)) => match meta.get(META_VERSION) {
            None => None,
            Some(version) => Some(version.as_str().ok_or_else(invalid_message)?),
        },
        Some(_) => return Err(invalid_message()),
    };
    // A method that the version does not have is refused, whatever its members are.
    let operations = if version.has(method) { operations(method, params)? } else { Vec::new() };
    Ok(Call {
        #[cfg(feature = "audit")]
        // The text, as the client has sent it.
        arguments: params.and_then(|params| params.get(ARGUMENTS)).and_then(Json::as_str),
        has_id,
        method,
        operations,
        version: stated,
    })
}

/// The operations of a call. A known method without the member that it needs is refused: a server may treat it as another one.
fn operations<'a>(method: &'a str, params: Option<&'a Object<'a>>) -> Result<Vec<McpOperation<'a>>, Rejection> {
    let member = |object: Option<&'a Object<'a>>, name: &str| {
        let text = object.and_then(|object| object.get(name)).and_then(Json::as_str);
        text.filter(|text| !text.is_empty()).ok_or_else(invalid_message)
    };
    let operation = match method {
        "tools/call" => McpOperation::Tool(member(params, "name")?),
        "prompts/get" => McpOperation::Prompt(member(params, "name")?),
        "resources/directory/read"
        | "resources/read"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "skills/get" => McpOperation::Resource(member(params, "uri")?),
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => McpOperation::Task(member(params, "taskId")?),
        "completion/complete" => {
            let reference = params.and_then(|params| params.get("ref")).and_then(Json::as_object);
            if reference.is_some_and(|reference| has_other_spelling(reference, &["name", "type", "uri"])) {
                return Err(invalid_message());
            }
            match member(reference, "type")? {
                "ref/prompt" => McpOperation::Prompt(member(reference, "name")?),
                "ref/resource" => McpOperation::Resource(member(reference, "uri")?),
                _ => return Err(invalid_message()),
            }
        }
        "subscriptions/listen" => return subscriptions(method, params),
        _ => McpOperation::Method(method),
    };
    Ok(vec![operation])
}

/// The method, and each resource and task that the client wants to hear of.
fn subscriptions<'a>(method: &'a str, params: Option<&'a Object<'a>>) -> Result<Vec<McpOperation<'a>>, Rejection> {
    type Operation = for<'a> fn(&'a str) -> McpOperation<'a>;
    const LISTS: [(&str, Operation); 2] =
        [("resourceSubscriptions", |uri| McpOperation::Resource(uri)), ("taskIds", |id| McpOperation::Task(id))];
    let mut operations = vec![McpOperation::Method(method)];
    let Some(notifications) = params.and_then(|params| params.get("notifications")) else { return Ok(operations) };
    let notifications = notifications.as_object().ok_or_else(invalid_message)?;
    if has_other_spelling(notifications, &LISTS.map(|(name, _)| name)) {
        return Err(invalid_message());
    }
    for (name, operation) in LISTS {
        let Some(items) = notifications.get(name) else { continue };
        for item in items.as_array().ok_or_else(invalid_message)? {
            operations.push(operation(item.as_str().ok_or_else(invalid_message)?));
        }
    }
    if operations.len() > MAX_OBJECTS { Err(invalid_message()) } else { Ok(operations) }
}

impl Call<'_> {
    /// Compares what the header fields say with the body.
    pub(super) fn compare(&self, fields: &header::Fields<'_>, version: McpVersion) -> Result<(), Rejection> {
        let same_version = match self.version {
            Some(own) => fields.states_version() && own == version.as_str(),
            // Notifications state it in the field only. The server refuses other messages that do.
            None => true,
        };
        let same_method = match fields.method {
            Some(stated) => stated == self.method,
            None => !version.is_stateless() || self.method == "initialize",
        };
        let named = match self.operations[..] {
            [McpOperation::Method(_), ..] | [] => None,
            [operation, ..] => Some(operation.name()),
        };
        let needs_name = matches!(self.method, "tools/call" | "prompts/get" | "resources/read");
        let same_name = match (&fields.name, named) {
            (Some(stated), Some(name)) if self.method != "completion/complete" => stated == name,
            (None, _) => !(version.is_stateless() && needs_name),
            _ => true,
        };
        if same_version && same_method && same_name { Ok(()) } else { Err(header_mismatch()) }
    }
}
