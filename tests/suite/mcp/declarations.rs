//! Declarations, and what they yield.

use tower_warden::{
    ConfigErrorKind, Head,
    body::BodyLimits,
    dpop::{Dpop, Nonces},
    metadata::ProtectedResourceMetadata,
};

use super::*;

#[test]
fn one_declaration_yields_metadata_and_challenges() {
    let server = declared().tool("refresh", Scope::from_static("offline_access"));
    let metadata = server.metadata();
    let document: Value = serde_json::from_str(&metadata.to_json()).unwrap();
    assert_eq!(document["resource"], RESOURCE);
    assert_eq!(document["authorization_servers"], json!(["https://auth.example.com"]));
    let mut scopes: Vec<_> =
        document["scopes_supported"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["admin", "mcp:tools"], "without offline_access");
    let dpop: Value = serde_json::from_str(&server.dpop().unwrap().metadata().unwrap().to_json()).unwrap();
    assert!(dpop["dpop_signing_alg_values_supported"].as_array().unwrap().contains(&json!("ES256")));
}

#[test]
fn a_declaration_is_compared_with_the_tools_of_the_server() {
    let server = declared();
    server.check_tools(["echo", "reset", "delete_user"]).unwrap();
    for (tools, named) in
        [(&["echo", "reset", "delete_user", "other"][..], "other"), (&["echo", "reset"], "delete_user")]
    {
        let error = server.check_tools(tools).unwrap_err();
        assert_eq!((error.kind(), error.refused_value()), (ConfigErrorKind::Mcp, Some(named)));
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let limits = |bytes| BodyLimits::new(bytes, Duration::from_secs(1)).unwrap();
    for bytes in [4_095, (64 << 20) + 1] {
        let error = declared().body_limits(limits(bytes)).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Mcp);
    }
    for bytes in [4_096, 64 << 20] {
        assert!(declared().body_limits(limits(bytes)).is_ok());
    }
    for origin in ["app.example.com", "https://", "https://a.example/path", "null", "https://u@a.example"] {
        assert!(declared().allow_origin(origin).is_err(), "{origin}");
    }
    for template in ["file:///{?query}", "file:///{", "{}"] {
        assert!(declared().resource(template, Tools::SCOPE).is_err(), "{template}");
    }
    assert!(declared().idle_lifetime(Duration::from_secs(59)).is_err());
    assert!(McpServer::new("http://mcp.example.com").is_err());
}

#[test]
fn a_resource_that_clients_write_in_another_way_is_refused() {
    for resource in [
        "https://MCP.example.com/mcp",
        "HTTPS://mcp.example.com/mcp",
        "https://mcp.example.com:443/mcp",
        "https://mcp.example.com:443",
    ] {
        assert_eq!(McpServer::new(resource).unwrap_err().kind(), ConfigErrorKind::Mcp, "{resource}");
    }
    for resource in ["https://mcp.example.com", "https://mcp.example.com:8443/MCP", "http://127.0.0.1:8080/"] {
        assert!(McpServer::new(resource).is_ok(), "{resource}");
    }
}

#[test]
fn a_server_of_tokens_without_an_authorization_server_is_a_warning() {
    let without = || McpServer::new(RESOURCE).unwrap();
    let jwt =
        || Jwt::new(without().issuer("https://auth.example.com").unwrap(), TestIssuer::new("https://auth.example.com"));
    let (log, _guard) = listen();
    drop(declared().protect(jwt()));
    drop(without().protect(ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap())));
    assert_eq!(log.text(), "");
    drop(without().protect(jwt()));
    assert!(log.text().contains("McpServer::authorization_server"), "{}", log.text());
}

#[tokio::test]
async fn a_tool_that_is_declared_twice_requires_both_policies() {
    let server = Server::with(|server| server.tool("echo", Admin::SCOPE), |_| ok(&json!({})));
    server.legacy(&server.token("alice", "mcp:tools"), &call("echo")).await.assert_refused(403, "insufficient_scope");
    server.legacy(&server.token("alice", "mcp:tools admin"), &call("echo")).await.assert_admitted();
}

#[tokio::test]
async fn a_method_can_require_more() {
    let server =
        Server::with(|server| server.method("tools/call", Admin::SCOPE).method("skills/list", ()), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    server.legacy(&token, &call("echo")).await.assert_refused(403, "insufficient_scope");
    server.legacy(&token, &request("skills/list", &json!({}))).await.assert_admitted();
}

#[tokio::test]
async fn a_guard_without_authentication_refuses_every_request() {
    let inner = service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({}))));
    let request: Request<Full<Bytes>> = Request::post("/mcp").body(full(&call("echo"))).unwrap();
    let response = declared().guard().layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn a_requirement_of_a_method_does_not_replace_those_of_its_object() {
    let server =
        Server::with(|server| server.method("tasks/result", ()).method("resources/subscribe", ()), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    for (method, params) in
        [("tasks/result", json!({"taskId": "t"})), ("resources/subscribe", json!({"uri": "file:///secret"}))]
    {
        let message = request(method, &params);
        assert_eq!(server.legacy(&token, &message).await.status, 403, "{method}");
        server.modern(&token, &message).await.assert_refused(404, "mcp_undeclared");
    }
    assert_eq!(server.reached.count(), 0);
}

#[test]
fn an_issuer_of_the_declaration_has_its_url_as_audience() {
    let jwt =
        Jwt::new(declared().issuer("https://auth.example.com").unwrap(), TestIssuer::new("https://auth.example.com"));
    assert_eq!(jwt.protected_resource().unwrap().resource(), RESOURCE);
}

#[tokio::test]
async fn a_policy_of_each_request_sees_what_the_request_asks_for() {
    let policy = |_: &Principal, head: &Head<'_>| {
        McpRequest::of(head.extensions).is_some_and(|request| !request.tools().any(|tool| tool == "reset"))
    };
    let server = Server::with(|server| server.require(policy), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools admin");
    server.legacy(&token, &call("echo")).await.assert_admitted();
    server.legacy(&token, &call("reset")).await.assert_refused(403, "policy");
    server.modern(&token, &call("reset")).await.assert_refused(403, "policy");
    let batch = Value::from(vec![call("echo"), call("reset")]);
    server.send(post(&token, BATCHES).body(full(&batch)).unwrap()).await.assert_refused(403, "policy");
    assert_eq!(server.reached.last().tools().collect::<Vec<_>>(), ["echo"]);
}

#[test]
fn proofs_are_accepted_from_clocks_that_differ_by_five_minutes() {
    let window = |dpop: Dpop| format!("{dpop:?}").split_once("window: ").unwrap().1.to_owned();
    let dpop = || declared().dpop().unwrap();
    let minutes = |past, future| window(dpop().window(past, future).unwrap());
    let five = Duration::from_secs(300);
    assert_eq!(window(dpop()), minutes(five, five));
    assert_eq!(
        window(dpop().nonces(Nonces::random().unwrap())),
        window(Dpop::new(RESOURCE).unwrap().nonces(Nonces::random().unwrap()))
    );
}

#[test]
fn proofs_name_the_url_of_a_server_in_a_private_network() {
    let metadata = ProtectedResourceMetadata::danger_plain_http("http://api.svc/mcp").unwrap();
    McpServer::with_metadata(metadata).dpop().unwrap();
    assert!(Dpop::new("http://api.svc/mcp").is_err());
}
