//! The messages of a request's body.

use std::slice;

use serde_json::value::RawValue;

use super::{
    header::Stated,
    operation::McpOperation,
    refusal::{header_mismatch, invalid_message, not_json},
    version::McpVersion,
};
use crate::{
    json::{Json, Object},
    refusal::Rejection,
};

/// The keys of the client's capabilities and of the protocol version within `_meta`.
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The member of `params` that has the arguments of a tool or prompt.
const ARGUMENTS: &str = "arguments";

/// The members whose objects and arrays are built.
const BUILT: [&str; 8] =
    ["_meta", "extensions", META_CAPABILITIES, "notifications", "params", "ref", "resourceSubscriptions", "taskIds"];

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
    meta: Option<&'a Object<'a>>,
    pub(super) method: &'a str,
    operations: Operations<'a>,
    /// The version that it states itself.
    pub(super) version: Option<&'a str>,
}

/// The requests and notifications of a body.
#[derive(Debug)]
pub(super) enum Calls<'a> {
    Batch(Vec<Call<'a>>),
    Single(Option<Call<'a>>),
}

impl<'a> Calls<'a> {
    pub(super) fn as_slice(&self) -> &[Call<'a>] {
        match self {
            Self::Batch(calls) => calls,
            Self::Single(call) => call.as_slice(),
        }
    }
}

#[derive(Debug)]
enum Operations<'a> {
    Several(Vec<McpOperation<'a>>),
    Single(McpOperation<'a>),
}

/// Parses a body. All parsers of JSON read the value in the same way.
pub(super) fn parse(body: &[u8]) -> Result<Json<'_>, Rejection> {
    // Arguments, often the largest part, are not looked at.
    Json::parse_part(body, ARGUMENTS, &BUILT).map_err(|_| not_json())
}

/// The `id` of a body that is one request, for the error that answers it.
pub(super) fn id_of(json: &Json<'_>) -> Option<Box<RawValue>> {
    json.as_object()?.get("id")?.to_raw()
}

/// The requests and notifications of a body. Responses to requests of the server are of the caller's session.
pub(super) fn calls<'a>(json: &'a Json<'a>, version: McpVersion) -> Result<Calls<'a>, Rejection> {
    match json {
        Json::Object(object) => call_of(object, version).map(Calls::Single),
        Json::Array(items) if version.has_batches() && (1..=MAX_MESSAGES).contains(&items.len()) => {
            let call = |item: &'a Json<'a>| call_of(item.as_object().ok_or_else(invalid_message)?, version);
            items.iter().filter_map(|item| call(item).transpose()).collect::<Result<_, _>>().map(Calls::Batch)
        }
        _ => Err(invalid_message()),
    }
}

/// The call that a message is; `None` for a response.
fn call_of<'a>(object: &'a Object<'a>, version: McpVersion) -> Result<Option<Call<'a>>, Rejection> {
    let [error, id, jsonrpc, method, params, result] =
        members(object, &["error", "id", "jsonrpc", "method", "params", "result"])?;
    if jsonrpc.and_then(Json::as_str) != Some("2.0") {
        return Err(invalid_message());
    }
    if id.is_some_and(|id| !matches!(id, Json::Number(_) | Json::String(_))) {
        return Err(invalid_message());
    }
    let is_answer = result.is_some() || error.is_some();
    match method {
        Some(Json::String(method)) if !is_answer => {
            let params = match params {
                None => Params::default(),
                Some(Json::Object(params)) => Params::of(params)?,
                Some(_) => return Err(invalid_message()),
            };
            call(method, id.is_some(), &params, version).map(Some)
        }
        // Requests of the server, and responses to them, exist with sessions only.
        None if is_answer && id.is_some() && !version.is_stateless() => Ok(None),
        _ => Err(invalid_message()),
    }
}

/// The members of `params` by which servers decide what a message does.
#[derive(Default)]
struct Params<'a> {
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "only audit events have a digest of them"))]
    arguments: Option<&'a Json<'a>>,
    meta: Option<&'a Json<'a>>,
    name: Option<&'a Json<'a>>,
    notifications: Option<&'a Json<'a>>,
    reference: Option<&'a Json<'a>>,
    task_id: Option<&'a Json<'a>>,
    uri: Option<&'a Json<'a>>,
}

impl<'a> Params<'a> {
    fn of(params: &'a Object<'a>) -> Result<Self, Rejection> {
        let [meta, arguments, name, notifications, reference, task_id, uri] =
            members(params, &["_meta", ARGUMENTS, "name", "notifications", "ref", "taskId", "uri"])?;
        Ok(Self { arguments, meta, name, notifications, reference, task_id, uri })
    }
}

/// The members with these names.
///
/// Some parsers find members whatever the case of their names. A message that has one in another case could be read
/// differently by the server, and is refused.
fn members<'a, const N: usize>(
    object: &'a Object<'a>,
    names: &[&str; N],
) -> Result<[Option<&'a Json<'a>>; N], Rejection> {
    let mut found = [None; N];
    for (name, value) in object.iter() {
        match names.iter().position(|known| *known == name) {
            Some(place) => found[place] = Some(value),
            None if is_other_spelling(name, names) => return Err(invalid_message()),
            None => {}
        }
    }
    Ok(found)
}

/// Names are compared with those that are known, which are ASCII.
fn is_other_spelling(name: &str, known: &[&str]) -> bool {
    if name.is_ascii() {
        return known.iter().any(|known| known.eq_ignore_ascii_case(name));
    }
    // Also by the rules of Unicode, for which `ſ` is an `s`, and the sign of Kelvin a `k`; and by those of Java, for which `İ`
    // is an `i`, without the dot above that it has in lower case.
    let folded = name.to_uppercase().to_lowercase().replace('\u{307}', "");
    known.iter().any(|known| known.eq_ignore_ascii_case(&folded))
}

fn call<'a>(method: &'a str, has_id: bool, params: &Params<'a>, version: McpVersion) -> Result<Call<'a>, Rejection> {
    let meta = match params.meta {
        None => None,
        Some(Json::Object(meta)) => Some(meta),
        Some(_) => return Err(invalid_message()),
    };
    let version_stated = match meta.and_then(|meta| meta.get(META_VERSION)) {
        None => None,
        Some(version) => Some(version.as_str().ok_or_else(invalid_message)?),
    };
    // A method that the version does not have is refused, whatever its members are.
    let operations = if version.has(method) { operations(method, params)? } else { Operations::Several(Vec::new()) };
    Ok(Call {
        #[cfg(feature = "audit")]
        // The text, as the client has sent it.
        arguments: params.arguments.and_then(Json::as_str),
        has_id,
        meta,
        method,
        operations,
        version: version_stated,
    })
}

/// The operations of a call. A known method without the member that it needs is refused: a server may treat it as another one.
fn operations<'a>(method: &'a str, params: &Params<'a>) -> Result<Operations<'a>, Rejection> {
    let operation = match method {
        "tools/call" => McpOperation::Tool(text(params.name)?),
        "prompts/get" => McpOperation::Prompt(text(params.name)?),
        "resources/directory/read"
        | "resources/read"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "skills/get" => McpOperation::Resource(text(params.uri)?),
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => McpOperation::Task(text(params.task_id)?),
        "completion/complete" => {
            let reference = params.reference.and_then(Json::as_object).ok_or_else(invalid_message)?;
            let [name, kind, uri] = members(reference, &["name", "type", "uri"])?;
            match text(kind)? {
                "ref/prompt" => McpOperation::Prompt(text(name)?),
                "ref/resource" => McpOperation::Resource(text(uri)?),
                _ => return Err(invalid_message()),
            }
        }
        "subscriptions/listen" => return subscriptions(method, params).map(Operations::Several),
        _ => McpOperation::Method(method),
    };
    Ok(Operations::Single(operation))
}

/// A member that is needed: a text that is not empty.
fn text<'a>(member: Option<&'a Json<'a>>) -> Result<&'a str, Rejection> {
    member.and_then(Json::as_str).filter(|text| !text.is_empty()).ok_or_else(invalid_message)
}

/// The method, and each resource and task that the client wants to hear of.
fn subscriptions<'a>(method: &'a str, params: &Params<'a>) -> Result<Vec<McpOperation<'a>>, Rejection> {
    let mut operations = vec![McpOperation::Method(method)];
    let Some(notifications) = params.notifications else { return Ok(operations) };
    let notifications = notifications.as_object().ok_or_else(invalid_message)?;
    let [uris, ids] = members(notifications, &["resourceSubscriptions", "taskIds"])?;
    for uri in texts(uris)? {
        operations.push(McpOperation::Resource(uri?));
    }
    for id in texts(ids)? {
        operations.push(McpOperation::Task(id?));
    }
    if operations.len() > MAX_OBJECTS { Err(invalid_message()) } else { Ok(operations) }
}

/// A member that is a list of texts, or absent.
fn texts<'a>(member: Option<&'a Json<'a>>) -> Result<impl Iterator<Item = Result<&'a str, Rejection>>, Rejection> {
    let items = member.map_or(Some(&[][..]), Json::as_array).ok_or_else(invalid_message)?;
    Ok(items.iter().map(|item| item.as_str().ok_or_else(invalid_message)))
}

impl<'a> Call<'a> {
    /// The operations that it asks for, all of which must be allowed.
    pub(super) fn operations(&self) -> &[McpOperation<'a>] {
        match &self.operations {
            Operations::Several(operations) => operations,
            Operations::Single(operation) => slice::from_ref(operation),
        }
    }

    /// Returns whether the call states that the client has an extension of the protocol.
    pub(super) fn declares_extension(&self, name: &str) -> bool {
        let capabilities = self.meta.and_then(|meta| meta.get(META_CAPABILITIES)).and_then(Json::as_object);
        let extensions = capabilities.and_then(|capabilities| capabilities.get("extensions"));
        extensions.and_then(Json::as_object).is_some_and(|extensions| extensions.get(name).is_some())
    }

    /// Compares what the header fields say with the body.
    pub(super) fn compare(&self, stated: &Stated<'_>, version: McpVersion) -> Result<(), Rejection> {
        let same_version = match self.version {
            Some(own) => stated.has_version && own == version.as_str(),
            // Notifications state it in the field only. The server refuses other messages that do.
            None => true,
        };
        let same_method = match stated.method {
            Some(method) => method == self.method,
            None => !version.is_stateless() || self.method == "initialize",
        };
        let named = match self.operations() {
            [McpOperation::Method(_), ..] | [] => None,
            [operation, ..] => Some(operation.name()),
        };
        let needs_name = matches!(self.method, "tools/call" | "prompts/get" | "resources/read");
        let same_name = match (&stated.name, named) {
            (Some(stated), Some(name)) if self.method != "completion/complete" => stated == name,
            (None, _) => !(version.is_stateless() && needs_name),
            _ => true,
        };
        if same_version && same_method && same_name { Ok(()) } else { Err(header_mismatch()) }
    }
}
