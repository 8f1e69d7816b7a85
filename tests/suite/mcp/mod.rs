//! Authorization in front of MCP servers.

mod declarations;
mod denials;
mod events;
mod headers;
mod json;
mod lists;
mod messages;
mod property;
mod sessions;
mod streams;
mod tasks;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Builder};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Environment, ManualClock, Policy as _, Principal, Rejection,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    caller::SenderConstraint,
    jwt::{Issuer, Jwt},
    mcp::{McpRequest, McpServer},
    revocation::MemoryRevocationList,
    scope::{Scope, scopes},
    testing::TestIssuer,
};

use crate::{secrets::listen, support::START};

scopes! {
    /// Use tools.
    pub(super) Tools = "mcp:tools";
    /// Administer.
    pub(super) Admin = "admin";
}

const RESOURCE: &str = "https://mcp.example.com/mcp";
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
const BATCHES: &str = "2025-03-26";

/// A declaration with two tools, a prompt and resources.
fn declared() -> McpServer {
    let server = McpServer::new(RESOURCE).unwrap().authorization_server("https://auth.example.com").unwrap();
    let server = server.require(Tools::SCOPE).tool("echo", ()).tool("reset", Admin::SCOPE);
    let server = server.tool("delete_user", Admin::SCOPE.and(SenderConstraint::Any)).prompt("greet", Tools::SCOPE);
    let server = server.resource("file:///public/{+path}", Tools::SCOPE).unwrap();
    server.resource("file:///secret", Admin::SCOPE).unwrap()
}

/// What reached the server behind the guard.
#[derive(Clone, Default)]
struct Reached(Arc<Mutex<Vec<(Bytes, Option<McpRequest>)>>>);

impl Reached {
    fn bodies(&self) -> Vec<Bytes> {
        self.0.lock().unwrap().iter().map(|(body, _)| body.clone()).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn last(&self) -> McpRequest {
        self.0.lock().unwrap().last().and_then(|(_, request)| request.clone()).unwrap()
    }
}

/// The response of the server to a request.
type Responding = Arc<dyn Fn(&Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync>;

/// A guarded server, whose clock stands still.
struct Server {
    clock: ManualClock,
    issuer: TestIssuer,
    keys: ApiKeys,
    reached: Reached,
    respond: Responding,
    revocations: Arc<MemoryRevocationList>,
    layer: tower_warden::mcp::McpLayer,
}

impl Server {
    fn new() -> Self {
        Self::with(|server| server, |_| ok(&json!({})))
    }

    fn with(
        declare: impl FnOnce(McpServer) -> McpServer,
        respond: impl Fn(&Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let clock = ManualClock::at(START);
        let environment = Environment::default().with_clock(clock.clone());
        let issuer = TestIssuer::new("https://auth.example.com").environment(&environment);
        let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
        let keys = keys.environment(&environment).build();
        let jwt = Jwt::new(declared().issuer(issuer.name()).unwrap(), issuer.clone());
        let revocations = Arc::new(MemoryRevocationList::default().environment(&environment));
        let server = declare(declared().environment(&environment));
        let auth = server.auth_layer((jwt, keys.clone())).revocations(Arc::clone(&revocations));
        let layer = server.protect_with(auth);
        Self { clock, issuer, keys, reached: Reached::default(), respond: Arc::new(respond), revocations, layer }
    }

    /// A token of a subject with scopes.
    fn token(&self, subject: &str, scope: &str) -> String {
        self.issuer.token(subject).audience(RESOURCE).client_id("agent").scope(scope).sign()
    }

    async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Debug + Send,
    {
        let (reached, respond) = (self.reached.clone(), Arc::clone(&self.respond));
        let service = self.layer.layer(service_fn(move |request: Request<_>| {
            let (reached, respond) = (reached.clone(), Arc::clone(&respond));
            async move {
                let (parts, body) = request.into_parts();
                let body = tower_warden::body::InspectedBody::collect(body).await.unwrap().to_bytes();
                assert!(parts.extensions.get::<Principal>().is_some(), "the server knows the caller");
                reached.0.lock().unwrap().push((body.clone(), McpRequest::of(&parts.extensions).cloned()));
                Ok::<_, Infallible>(respond(&Request::from_parts(parts, body)))
            }
        }));
        let response = service.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let rejection = parts.extensions.get::<Rejection>().cloned();
        Answer { status: parts.status, headers: parts.headers, body, rejection }
    }

    /// Sends a message of the version 2025-11-25.
    async fn legacy(&self, token: &str, message: &Value) -> Answer {
        self.send(post(token, LEGACY).body(full(message)).unwrap()).await
    }

    /// Sends a message of the version 2026-07-28, with the header fields that it needs.
    async fn modern(&self, token: &str, message: &Value) -> Answer {
        self.send(modern_request(token, message).body(full(&with_meta(message))).unwrap()).await
    }
}

struct Answer {
    body: Bytes,
    headers: HeaderMap,
    rejection: Option<Rejection>,
    status: StatusCode,
}

impl Answer {
    #[track_caller]
    fn assert_admitted(&self) {
        assert_eq!((self.status.as_u16(), &self.rejection.as_ref().map(ToString::to_string)), (200, &None));
    }

    #[track_caller]
    fn assert_refused(&self, status: u16, reason: &str) {
        let rejection = self.rejection.as_ref().unwrap_or_else(|| panic!("admitted: {:?}", self.body));
        assert_eq!((self.status.as_u16(), rejection.reason().as_str()), (status, reason));
    }

    /// The body as JSON.
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    fn challenge(&self) -> &str {
        self.headers["www-authenticate"].to_str().unwrap()
    }
}

fn full(message: &Value) -> Full<Bytes> {
    Full::from(message.to_string())
}

fn post(token: &str, version: &str) -> Builder {
    let request = Request::post("/mcp").header("authorization", format!("Bearer {token}"));
    request.header("content-type", "application/json").header("mcp-protocol-version", version)
}

fn modern_request(token: &str, message: &Value) -> Builder {
    let method = message["method"].as_str().unwrap_or_default();
    let mut request = post(token, MODERN).header("mcp-method", method);
    let params = &message["params"];
    let name = if method == "resources/read" { &params["uri"] } else { &params["name"] };
    if let Some(name) = name.as_str() {
        request = request.header("mcp-name", name);
    }
    request
}

/// A message with the version in its `_meta`.
fn with_meta(message: &Value) -> Value {
    let mut message = message.clone();
    message["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    message
}

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn call(tool: &str) -> Value {
    request("tools/call", &json!({"name": tool, "arguments": {"text": "hello"}}))
}

/// A response of the server with this result.
fn ok(result: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().header("content-type", "application/json");
    response.body(full(&json!({"jsonrpc": "2.0", "id": 7, "result": result}))).unwrap()
}
