//! Requests to an MCP server: a call that the declaration refuses does not reach it, also for readers that are less strict.

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    mcp::{McpLayer, McpServer},
    scope::Scope,
};

use super::{block_on, split_line, with_fields};

/// The layers, a valid key, and what a server behind them has received last.
struct Guarded {
    key: String,
    layer: McpLayer,
    received: Arc<Mutex<Option<Bytes>>>,
}

static GUARDED: LazyLock<Guarded> = LazyLock::new(|| {
    let (tools, admin) = (Scope::from_static("mcp:tools"), Scope::from_static("admin"));
    let server = McpServer::new("https://mcp.test/mcp").unwrap().require(tools.clone());
    let server = server.tool("echo", tools.clone()).tool("reset", admin.clone()).prompt("greet", tools.clone());
    let server = server.resource("file:///public/{+path}", tools).unwrap().resource("file:///secret", admin).unwrap();
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let key = block_on(keys.mint(NewKey::new("alice").scopes("mcp:tools"))).unwrap().1;
    let layer = server.protect(keys);
    Guarded { key: key.expose().to_owned(), layer, received: Arc::default() }
});

/// The HTTP method, header fields, a line `---`, and the body.
pub fn run(input: &[u8]) -> bool {
    let separator = b"\n---\n";
    let end = input.windows(separator.len()).position(|window| window == separator);
    let (head, body) = end.map_or((&b"POST"[..], input), |end| (&input[..end], &input[end + separator.len()..]));
    let head = String::from_utf8_lossy(head);
    let (method, fields) = split_line(&head);
    let Guarded { key, layer, received } = &*GUARDED;
    let Ok(request) = Request::builder().method(method).uri("/mcp").body(()) else { return false };
    let mut request = with_fields(request, fields).map(|()| Full::<Bytes>::from(body.to_vec()));
    request.headers_mut().entry("content-type").or_insert_with(|| "application/json".parse().unwrap());
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    *received.lock().unwrap() = None;
    let status = block_on(async {
        let keep = Arc::clone(received);
        let service = layer.layer(service_fn(move |request: Request<_>| {
            let keep = Arc::clone(&keep);
            async move {
                let body = BodyExt::collect(request.into_body()).await.unwrap();
                *keep.lock().unwrap() = Some(body.to_bytes());
                Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
            }
        }));
        service.oneshot(request).await.unwrap().status()
    });
    let received = received.lock().unwrap().take();
    assert_eq!(received.is_some(), status == 200, "{status}");
    assert!(matches!(status.as_u16(), 200 | 400 | 403..=405 | 415), "{status}");
    let Some(received) = received else { return false };
    assert_eq!(received, body, "the bytes that were judged");
    assert_eq!(forbidden_calls(&received, "file:///public/"), Vec::<String>::new());
    true
}

/// The calls that a server would execute and the declaration refuses, for a reader that takes the last of duplicate members
/// and ignores the case of names.
pub fn forbidden_calls(body: &[u8], public: &str) -> Vec<String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let messages = value.as_array().cloned().unwrap_or_else(|| vec![value]);
    messages.iter().filter_map(|message| forbidden_call(message, public)).collect()
}

/// The case of a name as the most lenient parsers ignore it.
fn fold(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

fn forbidden_call(message: &Value, public: &str) -> Option<String> {
    let member = |object: &Value, name: &str| {
        let object = object.as_object()?;
        object.iter().rev().find(|(known, _)| fold(known) == fold(name)).map(|(_, value)| value.clone())
    };
    let method = member(message, "method")?.as_str()?.to_owned();
    let params = member(message, "params").unwrap_or_default();
    let text = |name: &str| member(&params, name).and_then(|value| value.as_str().map(str::to_owned));
    let is_allowed = match &*method {
        "tools/call" => text("name").as_deref() == Some("echo"),
        "prompts/get" => text("name").as_deref() == Some("greet"),
        "resources/read" | "resources/subscribe" => {
            text("uri").is_some_and(|uri| uri.starts_with(public) && !uri.contains("..") && !uri.contains('\\'))
        }
        "completion/complete" => {
            let reference = member(&params, "ref").unwrap_or_default();
            let is = |name: &str, value: &str| member(&reference, name).is_some_and(|found| found == value);
            is("type", "ref/prompt") && is("name", "greet")
                || is("type", "ref/resource") && is("uri", "file:///public/{+path}")
        }
        "subscriptions/listen" => {
            let notifications = member(&params, "notifications").unwrap_or_default();
            let uris = member(&notifications, "resourceSubscriptions").unwrap_or_default();
            uris.as_array().into_iter().flatten().all(|uri| uri.as_str().is_some_and(|uri| uri.starts_with(public)))
        }
        _ => !method.starts_with("tasks/") && !method.starts_with("admin/"),
    };
    (!is_allowed).then_some(method)
}
