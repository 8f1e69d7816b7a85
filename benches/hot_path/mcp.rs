//! Calls of tools through the guard of an MCP server.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    jwt::{Issuer, Jwt},
    mcp::McpServer,
    scope::Scope,
    testing::TestIssuer,
};

use crate::measure::{Budget, Effort, medians, prepared, row, table};

const RESOURCE: &str = "https://mcp.example.com/mcp";

/// A call of one KiB with a cached token, beside the same layers without the guard, and with a parser of JSON in its place.
pub(crate) fn calls(effort: Effort) {
    let issuer = TestIssuer::new("https://auth.example.com");
    let jwt = Jwt::new(Issuer::new(issuer.name(), RESOURCE).unwrap(), issuer.clone());
    let token = format!("Bearer {}", issuer.token("alice").audience(RESOURCE).scope("mcp:tools").sign());
    let tools = Scope::from_static("mcp:tools");
    let server = McpServer::new(RESOURCE).unwrap().require(tools.clone()).tool("search", tools);
    let auth = server.auth_layer(jwt);
    let call = Bytes::from(call().to_string());
    let request = || {
        let request = Request::post("/mcp").header("authorization", &token);
        let request = request.header("mcp-protocol-version", "2025-11-25").header("content-type", "application/json");
        request.body(Full::new(call.clone())).unwrap()
    };

    let bare = auth.stream_guard().layer(service_fn(async |request: Request<Full<Bytes>>| {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    }));
    let bare = auth.layer(bare);
    let parsed = auth.stream_guard().layer(service_fn(async |request: Request<Full<Bytes>>| {
        let body = request.into_body().collect().await?.to_bytes();
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert!(value.is_object());
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    }));
    let parsed = auth.layer(parsed);
    let guarded = server.protect_with(auth).layer(service_fn(async |request: Request<_>| {
        let body = BodyExt::collect(request.into_body()).await?.to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    }));
    let answer = guarded.clone().oneshot(request()).now_or_never().unwrap().unwrap();
    assert_eq!(answer.status(), 200);

    let [guarded, bare, parsed] = medians(
        effort.rounds,
        [
            prepared(request, |request| guarded.clone().oneshot(request).now_or_never().unwrap().unwrap().status()),
            prepared(request, |request| bare.clone().oneshot(request).now_or_never().unwrap().unwrap().status()),
            prepared(request, |request| parsed.clone().oneshot(request).now_or_never().unwrap().unwrap().status()),
        ],
    );
    table("Calls of one KiB to an MCP server, token cached");
    row("McpServer::protect", guarded, "AuthLayer and StreamGuardLayer", bare, Budget::Open);
    row("the same", guarded, "those, and serde_json::Value", parsed, Budget::Open);
    row("the guard alone", guarded - bare, "serde_json::Value alone", parsed - bare, Budget::Nanoseconds(3_000.0));
}

fn call() -> Value {
    let filters: Vec<_> = (0..12).map(|index| json!({"field": format!("property_{index}"), "equals": index})).collect();
    let text = "the quarterly report of the northern region, with all appendices ".repeat(8);
    json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "search", "arguments": {"text": text, "filters": filters}},
    })
}
