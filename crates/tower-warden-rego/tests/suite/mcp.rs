//! Policies in the declaration of an MCP server, and inside of its guard.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_warden::{
    Rejection,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    body::InspectedBody,
    layer::{AuthLayer, AuthorizeLayer},
    mcp::McpServer,
    scope::Scope,
};
use tower_warden_rego::{RegoPolicy, Tool};

use crate::support::allow;

/// Denies a tool without a client certificate, and what calls no tool.
fn policy() -> RegoPolicy {
    let rules = r#"default allow := false

        allow if input.tool.name

        deny if {
            input.tool.name == "delete-user"
            not input.request.cert_verified
        }"#;
    allow(rules).deny("data.test.deny").build().unwrap()
}

fn call(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}})
}

type Service = BoxCloneService<Request<Full<Bytes>>, Result<(), Rejection>, Infallible>;

/// A server with this policy in its declaration or inside of its guard, and the key of a caller.
async fn server(declared: Option<RegoPolicy>, inside: Option<RegoPolicy>) -> (Service, String) {
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let (_, key) = keys.mint(NewKey::new("agent-7").tenant("acme").scopes("mcp:invoke")).await.unwrap();
    let scope = Scope::from_static("mcp:invoke");
    let mut server = McpServer::new("https://mcp.example.com/mcp").unwrap();
    for tool in ["echo", "delete-user"] {
        server = server.tool(tool, scope.clone());
    }
    if let Some(policy) = declared {
        server = server.require(policy);
    }
    let auth: AuthLayer = server.auth_layer(keys);
    let handler =
        |_: Request<InspectedBody<Full<Bytes>>>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) };
    let inside = inside.map(AuthorizeLayer::new);
    let inner = ServiceBuilder::new().option_layer(inside).service_fn(handler);
    let service = server.protect_with(auth).layer(inner);
    let verdict = service_fn(move |request| {
        let service = service.clone();
        async move {
            let response = service.oneshot(request).await?;
            Ok::<_, Infallible>(response.extensions().get::<Rejection>().cloned().map_or(Ok(()), Err))
        }
    });
    (BoxCloneService::new(verdict), key.expose().to_owned())
}

/// The reason for which a message is refused.
async fn refused((service, key): &(Service, String), message: &Value) -> Option<&'static str> {
    let request = Request::post("/mcp").header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", "application/json").body(Full::from(message.to_string()));
    let verdict = service.clone().oneshot(request.unwrap()).await.unwrap();
    verdict.err().map(|rejection| rejection.reason().as_str())
}

#[tokio::test]
async fn a_policy_of_a_declaration_sees_the_tool_of_a_message() {
    let server = server(Some(policy()), None).await;
    assert_eq!(refused(&server, &call("echo")).await, None);
    assert_eq!(refused(&server, &call("delete-user")).await, Some("policy"));
    assert_eq!(refused(&server, &json!({"jsonrpc": "2.0", "id": 7, "method": "ping"})).await, Some("policy"));
}

/// (285)
#[tokio::test]
async fn a_batch_is_decided_for_each_of_its_tools() {
    let server = server(Some(policy()), None).await;
    assert_eq!(refused(&server, &json!([call("echo"), call("echo")])).await, None);
    assert_eq!(refused(&server, &json!([call("echo"), call("delete-user")])).await, Some("policy"));
    let ping = json!({"jsonrpc": "2.0", "id": 8, "method": "ping"});
    assert_eq!(refused(&server, &json!([call("echo"), ping])).await, Some("policy"));
}

#[tokio::test]
async fn a_policy_inside_of_the_guard_sees_the_tool_of_a_message() {
    let server = server(None, Some(policy())).await;
    assert_eq!(refused(&server, &call("echo")).await, None);
    assert_eq!(refused(&server, &call("delete-user")).await, Some("policy"));
}

#[tokio::test]
async fn a_closure_adds_the_namespace_of_each_tool() {
    let policy = allow(r#"allow if input.tool == {"name": input.tool.name, "namespace": input.agent.tenant}"#);
    let policy = policy.input(|input, _, _| {
        let namespace = if input.tool_name() == Some("echo") { "acme" } else { "umbrella" };
        if let Some(tool) = input.tool_name().map(|name| Tool::new(name).namespace(namespace)) {
            input.set_tool(&tool);
        }
    });
    let server = server(Some(policy.build().unwrap()), None).await;
    assert_eq!(refused(&server, &call("echo")).await, None);
    assert_eq!(refused(&server, &json!([call("echo"), call("delete-user")])).await, Some("policy_undefined"));
}
