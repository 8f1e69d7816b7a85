//! What is refused, and how.

use super::*;

#[tokio::test]
async fn a_declared_tool_is_called_with_its_scope() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    server.legacy(&token, &call("echo")).await.assert_admitted();
    server.modern(&token, &call("echo")).await.assert_admitted();
    assert_eq!(server.reached.bodies()[0], call("echo").to_string());
    assert_eq!(server.reached.last().tools().collect::<Vec<_>>(), ["echo"]);
}

#[tokio::test]
async fn a_missing_scope_is_a_403_with_all_scopes_of_the_operation() {
    let server = Server::new();
    for scope in ["mcp:tools", "other"] {
        let token = server.token("alice", scope);
        for answer in [server.legacy(&token, &call("reset")).await, server.modern(&token, &call("reset")).await] {
            answer.assert_refused(403, "insufficient_scope");
            let challenge = answer.challenge();
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
            assert!(
                challenge.contains(r#"scope="admin mcp:tools""#) || challenge.contains(r#"scope="mcp:tools admin""#),
                "{challenge}"
            );
            let metadata = r#"resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp""#;
            assert!(challenge.contains(metadata), "{challenge}");
            assert_eq!(answer.headers["content-type"], "application/json");
            let body = answer.json();
            assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(7)));
            assert_eq!(body["error"]["data"]["error"], "insufficient_scope");
            assert!(body["error"]["code"].is_i64() && body["error"]["message"].is_string(), "{body}");
        }
    }
    assert_eq!(server.reached.count(), 0);
}

#[tokio::test]
async fn a_request_without_a_token_is_a_401_before_its_body_is_judged() {
    let server = Server::new();
    let request = Request::post("/mcp").body(Full::from("not JSON")).unwrap();
    let answer = server.send(request).await;
    answer.assert_refused(401, "credential_missing");
    let challenge = answer.challenge();
    assert!(challenge.contains(r#"scope="mcp:tools""#), "the basic scope only: {challenge}");
}

#[tokio::test]
async fn an_undeclared_tool_prompt_resource_or_method_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools admin");
    for message in [
        call("drop_tables"),
        call("Echo"),
        call("echo "),
        call("ec\u{200b}ho"),
        call("есho"),
        request("prompts/get", &json!({"name": "other"})),
        request("resources/read", &json!({"uri": "file:///private/a"})),
        request("tasks/list", &json!({})),
        request("admin/shutdown", &json!({})),
        request("tools/Call", &json!({"name": "echo"})),
    ] {
        server.legacy(&token, &message).await.assert_refused(403, "mcp_undeclared");
    }
    assert_eq!(server.reached.count(), 0);
}

#[tokio::test]
async fn methods_that_establish_a_connection_need_the_basic_scope_only() {
    let server = Server::new();
    let (token, other) = (server.token("alice", "mcp:tools"), server.token("alice", "other"));
    for method in [
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "logging/setLevel",
    ] {
        server.legacy(&token, &request(method, &json!({}))).await.assert_admitted();
        server.legacy(&other, &request(method, &json!({}))).await.assert_refused(403, "insufficient_scope");
    }
    let listen = request("subscriptions/listen", &json!({}));
    server.modern(&token, &listen).await.assert_admitted();
    server.modern(&other, &listen).await.assert_refused(403, "insufficient_scope");
    server.legacy(&token, &listen).await.assert_refused(403, "mcp_undeclared");
}

#[tokio::test]
async fn a_tool_can_require_a_credential_that_is_bound_to_its_sender() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools admin");
    let answer = server.legacy(&token, &call("delete_user")).await;
    assert_eq!((answer.status.as_u16(), server.reached.count()), (401, 0));
    assert_eq!(answer.json()["id"], 7);
}

#[tokio::test]
async fn an_api_key_passes_the_guard_like_a_token() {
    let server = Server::new();
    let (_, key) = server.keys.mint(NewKey::new("robot").scopes("mcp:tools")).await.unwrap();
    server.legacy(key.expose(), &call("echo")).await.assert_admitted();
    server.legacy(key.expose(), &call("reset")).await.assert_refused(403, "insufficient_scope");
}

#[tokio::test]
async fn a_declared_tenant_header_must_match_the_principal() {
    use tower_warden::authorize::OwnTenant;
    let own = OwnTenant::in_header(http::HeaderName::from_static("x-tenant-id"));
    let server = Server::with(|server| server.require(own), |_| ok(&json!({})));
    let (_, key) = server.keys.mint(NewKey::new("robot").tenant("acme").scopes("mcp:tools")).await.unwrap();
    for (tenant, status) in [("acme", 200), ("umbrella", 403)] {
        let request = post(key.expose(), LEGACY).header("x-agent-id", "robot-1").header("x-tenant-id", tenant);
        let answer = server.send(request.body(full(&call("echo"))).unwrap()).await;
        assert_eq!(answer.status, status, "{tenant}");
    }
}

#[tokio::test]
async fn scope_hierarchies_apply() {
    use tower_warden::scope::{ScopeHierarchy, Scopes};
    let hierarchy = ScopeHierarchy::new([(Admin::SCOPE, Scopes::parse("mcp:tools").unwrap())]).unwrap();
    let issuer = TestIssuer::new("https://auth.example.com");
    let jwt = Jwt::new(Issuer::new(issuer.name(), RESOURCE).unwrap(), issuer.clone());
    let server = declared();
    let layer = server.protect_with(server.auth_layer(jwt).scope_hierarchy(hierarchy));
    let inner = service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({}))));
    let token = issuer.token("alice").audience(RESOURCE).scope("admin").sign();
    let request: Request<Full<Bytes>> = post(&token, LEGACY).body(full(&call("echo"))).unwrap();
    assert_eq!(layer.layer(inner).oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_policy_may_decide_later() {
    let later = tower_warden::authorize::policy_fn(|caller, _| {
        let is_alice = caller.subject() == "alice";
        async move {
            tokio::task::yield_now().await;
            is_alice
        }
    });
    let server = Server::with(|server| server.tool("slow", later), |_| ok(&json!({})));
    server.legacy(&server.token("alice", "mcp:tools"), &call("slow")).await.assert_admitted();
    let answer = server.legacy(&server.token("bob", "mcp:tools"), &call("slow")).await;
    answer.assert_refused(403, "policy");
    assert_eq!(answer.json()["id"], 7);
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let allow = |server: McpServer| {
        let server = server.allow_origin("https://app.example.com").unwrap();
        server.allow_origin("vscode-webview://abc").unwrap()
    };
    let server = Server::with(allow, |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    for (origin, status) in [
        ("https://app.example.com", 200),
        ("https://APP.example.com:443", 200),
        ("https://mcp.example.com", 200),
        ("vscode-webview://abc", 200),
        ("vscode-webview://other", 403),
        ("http://app.example.com", 403),
        ("https://app.example.com.evil.example", 403),
        ("null", 403),
        ("https://evil.example", 403),
        ("", 403),
        ("https://app.example.com:8443", 403),
    ] {
        let request = post(&token, LEGACY).header("origin", origin).body(full(&call("echo"))).unwrap();
        assert_eq!(server.send(request).await.status, status, "{origin}");
    }
    let two = post(&token, LEGACY).header("origin", "https://app.example.com").header("origin", "https://evil.example");
    server.send(two.body(full(&call("echo"))).unwrap()).await.assert_refused(403, "mcp_origin_forbidden");
    let any = Server::with(McpServer::danger_any_origin, |_| ok(&json!({})));
    let request = post(&any.token("alice", "mcp:tools"), LEGACY).header("origin", "https://evil.example");
    any.send(request.body(full(&call("echo"))).unwrap()).await.assert_admitted();
}

#[tokio::test]
async fn a_tool_obtains_its_caller_and_a_scope_from_the_request() {
    use tower_warden::axum::Scoped;
    let server = Server::new();
    let inner = service_fn(async |request: Request<_>| {
        let (parts, _) = request.into_parts();
        let caller = Principal::of(&parts.extensions).unwrap();
        assert!(Scoped::<Tools>::of(&parts.extensions).is_ok_and(|scoped| scoped.subject() == caller.subject()));
        let refused = Scoped::<Admin>::of(&parts.extensions).unwrap_err();
        // It names the scopes that the guard has required as well.
        let mut needed: Vec<_> = refused.needed().unwrap().iter().map(ToString::to_string).collect();
        needed.sort_unstable();
        Ok::<_, Infallible>(ok(&json!({"subject": caller.subject(), "needed": needed})))
    });
    let request: Request<Full<Bytes>> =
        post(&server.token("alice", "mcp:tools"), LEGACY).body(full(&call("echo"))).unwrap();
    let response = server.layer.layer(inner).oneshot(request).await.unwrap();
    let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["result"], json!({"subject": "alice", "needed": ["admin", "mcp:tools"]}));
}

#[tokio::test]
async fn a_limit_inside_of_the_guard_depends_on_the_tool() {
    use tower_warden::{
        layer::RateLimitLayer,
        rate_limit::{LimitBy, LocalRateLimiter, Quota},
    };
    let server = Server::with(|server| server.tool("render", Tools::SCOPE), |_| ok(&json!({})));
    let quota = Quota::per_minute(10).burst(10);
    let limit = RateLimitLayer::new("tools", LocalRateLimiter::default(), LimitBy::principal(), quota);
    let limit = limit.cost(|head| match McpRequest::of(head.extensions) {
        Some(request) if request.tools().any(|tool| tool == "render") => 8,
        _ => 1,
    });
    let inner = limit.layer(service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({})))));
    let service = server.layer.layer(inner);
    let token = server.token("alice", "mcp:tools");
    for (tool, status) in [("echo", 200), ("render", 200), ("render", 429), ("echo", 200)] {
        let request: Request<Full<Bytes>> = post(&token, LEGACY).body(full(&call(tool))).unwrap();
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), status, "{tool}");
    }
}
