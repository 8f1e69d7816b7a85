//! Refusals, and the JSON-RPC errors that are their bodies.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::{Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

use super::{message::Call, operation::McpOperation, version::McpVersion};
use crate::{
    reason::Reason,
    refusal::{Rejection, RejectionKind, Respond},
    scope::Scopes,
};

/// Errors of JSON-RPC and of MCP.
mod code {
    pub(super) const PARSE_ERROR: i32 = -32_700;
    pub(super) const INVALID_REQUEST: i32 = -32_600;
    pub(super) const METHOD_NOT_FOUND: i32 = -32_601;
    pub(super) const INVALID_PARAMS: i32 = -32_602;
    pub(super) const INTERNAL_ERROR: i32 = -32_603;
    /// `HeaderMismatch`.
    pub(super) const HEADER_MISMATCH: i32 = -32_020;
    /// `MissingRequiredClientCapability`.
    pub(super) const MISSING_CAPABILITY: i32 = -32_021;
    /// `UnsupportedProtocolVersionError`.
    pub(super) const UNSUPPORTED_VERSION: i32 = -32_022;
    /// Not assigned by MCP.
    pub(super) const FORBIDDEN: i32 = -32_003;
}

/// The extension of MCP that has tasks since version 2026-07-28.
const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The error of a refusal, where its kind does not determine it.
#[derive(Clone)]
struct RpcError {
    code: i32,
    /// The version that was requested, which is not supported.
    requested: Option<Box<str>>,
}

/// The `id` of the refused request, as JSON.
#[derive(Clone)]
struct RequestId(Box<RawValue>);

/// Makes the bodies of a guard's refusals: a JSON-RPC error with the `id` of the request.
///
/// The status and the challenges are those of any refusal. The `error` member has a code of JSON-RPC or MCP as its `code`, and
/// in `data` the error code of the refusal, such as `insufficient_scope`, and the scopes that are needed.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct JsonRpcBody;

#[derive(Serialize)]
struct Message<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: ErrorMember<'a>,
}

#[derive(Serialize)]
struct ErrorMember<'a> {
    code: i32,
    message: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    error: &'a str,
    #[serde(serialize_with = "joined", skip_serializing_if = "Option::is_none")]
    scope: Option<&'a Scopes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<&'a str>,
    #[serde(rename = "requiredCapabilities", skip_serializing_if = "Option::is_none")]
    required_capabilities: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supported: Vec<&'static str>,
}

fn joined<S: Serializer>(scopes: &Option<&Scopes>, serializer: S) -> Result<S::Ok, S::Error> {
    match scopes {
        Some(scopes) => serializer.collect_str(scopes),
        None => serializer.serialize_none(),
    }
}

impl<B: From<Bytes>> Respond<B> for JsonRpcBody {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        let error = rejection.extension::<RpcError>();
        let code = error.map_or_else(|| code_of(rejection.kind()), |error| error.code);
        let requested = error.and_then(|error| error.requested.as_deref());
        let supported = requested.map(|_| McpVersion::names().collect()).unwrap_or_default();
        let required_capabilities =
            (code == code::MISSING_CAPABILITY).then(|| json!({ "extensions": { TASKS_EXTENSION: {} } }));
        let data =
            Data { error: rejection.code(), scope: rejection.needed(), requested, required_capabilities, supported };
        let message = Message {
            jsonrpc: "2.0",
            id: rejection.extension::<RequestId>().map(|id| &*id.0),
            error: ErrorMember { code, message: rejection.detail(), data },
        };
        let body = serde_json::to_vec(&message).expect("strings and numbers serialize as JSON");
        let mut response = Response::new(B::from(Bytes::from(body)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

const fn code_of(kind: RejectionKind) -> i32 {
    match kind {
        RejectionKind::BodyInvalid
        | RejectionKind::BodyTimeout
        | RejectionKind::BodyTooLarge
        | RejectionKind::Malformed
        | RejectionKind::Request => code::INVALID_REQUEST,
        RejectionKind::Internal | RejectionKind::Unavailable => code::INTERNAL_ERROR,
        _ => code::FORBIDDEN,
    }
}

/// Adds the `id` of the refused request.
pub(super) fn answering(rejection: Rejection, id: Option<Box<RawValue>>) -> Rejection {
    match id {
        Some(id) => rejection.response_extension(RequestId(id)),
        None => rejection,
    }
}

/// The body is not JSON that all parsers read in the same way.
pub(super) fn not_json() -> Rejection {
    invalid_message().response_extension(RpcError { code: code::PARSE_ERROR, requested: None })
}

/// The body is not a message of the protocol.
pub(super) fn invalid_message() -> Rejection {
    Rejection::new(RejectionKind::BodyInvalid, Reason::MCP_MESSAGE_INVALID)
}

/// A header field and the body differ.
pub(super) fn header_mismatch() -> Rejection {
    let rejection = Rejection::new(RejectionKind::BodyInvalid, Reason::MCP_HEADER_MISMATCH);
    rejection
        .with_code("header_mismatch", "A header field of the request is missing, or differs from the body.")
        .response_extension(RpcError { code: code::HEADER_MISMATCH, requested: None })
}

pub(super) fn unsupported_version(requested: &str) -> Rejection {
    let rejection = Rejection::new(RejectionKind::Request, Reason::MCP_VERSION_UNSUPPORTED);
    // What a client sent: it may be as long as a header field.
    let requested = requested.chars().take(40).collect::<String>().into();
    rejection
        .with_code("unsupported_protocol_version", "The version of the protocol is not supported.")
        .response_extension(RpcError { code: code::UNSUPPORTED_VERSION, requested: Some(requested) })
}

pub(super) fn method_not_allowed(allowed: &'static str, method: &Method) -> Rejection {
    Rejection::new(RejectionKind::Request, Reason::MCP_HTTP_METHOD)
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_code("method_not_allowed", "The method of the request is not allowed.")
        .response_field(header::ALLOW, HeaderValue::from_static(allowed))
        .with_explanation(method)
}

/// The operation is not declared. Since version 2026-07-28, an unknown method is a 404.
pub(super) fn undeclared(operation: McpOperation<'_>, version: McpVersion) -> Rejection {
    let rejection = forbidden(Reason::MCP_UNDECLARED).with_explanation(operation);
    if matches!(operation, McpOperation::Method(_)) && version.is_stateless() {
        return rejection.hidden().response_extension(RpcError { code: code::METHOD_NOT_FOUND, requested: None });
    }
    rejection
}

/// The task is unknown, or belongs to another caller, with the code by which a server responds about an unknown one.
///
/// Since version 2026-07-28, that is another one for clients that do not declare that they have the extension.
pub(super) fn unknown_task(call: &Call<'_>, version: McpVersion) -> Rejection {
    let has_tasks = !version.is_stateless() || call.declares_extension(TASKS_EXTENSION);
    let code = if has_tasks { code::INVALID_PARAMS } else { code::MISSING_CAPABILITY };
    forbidden(Reason::MCP_TASK_FORBIDDEN).response_extension(RpcError { code, requested: None })
}

pub(super) fn forbidden(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Forbidden, reason)
}
