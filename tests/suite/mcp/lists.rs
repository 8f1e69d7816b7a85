//! Lists that are filtered for the caller.

use tower_warden::{Head, mcp::McpOperation};

use super::*;

fn listing(request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    ok(&match body["method"].as_str().unwrap() {
        "tools/list" => {
            let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
            json!({"tools": [tool("echo"), tool("reset"), tool("other")], "cacheScope": "public", "nextCursor": "2"})
        }
        "resources/list" => json!({"resources": [{"uri": "file:///public/a"}, {"uri": "file:///secret"}]}),
        "resources/templates/list" => {
            json!({"resourceTemplates": [{"uriTemplate": "file:///public/{+path}"}, {"uriTemplate": "db:{a}"}]})
        }
        _ => json!({"prompts": [{"name": "greet"}, {"name": "other"}]}),
    })
}

#[tokio::test]
async fn lists_have_what_the_caller_may_use() {
    let server = Server::with(McpServer::filter_lists, listing);
    let token = server.token("alice", "mcp:tools");
    let list = async |method: &str, name: &str, key: &str| {
        let answer = server.legacy(&token, &request(method, &json!({}))).await;
        answer.assert_admitted();
        assert_eq!(
            (&answer.headers["cache-control"], &answer.headers["vary"]),
            (
                &"private, no-store".parse::<http::HeaderValue>().unwrap(),
                &"Authorization".parse::<http::HeaderValue>().unwrap()
            )
        );
        let body = answer.json();
        (body["result"][name].as_array().unwrap().iter().map(|item| item[key].clone()).collect::<Vec<_>>(), body)
    };
    let (tools, body) = list("tools/list", "tools", "name").await;
    assert_eq!(tools, ["echo"]);
    assert_eq!((&body["result"]["cacheScope"], &body["result"]["nextCursor"]), (&json!("private"), &json!("2")));
    assert_eq!(list("resources/list", "resources", "uri").await.0, ["file:///public/a"]);
    assert_eq!(
        list("resources/templates/list", "resourceTemplates", "uriTemplate").await.0,
        ["file:///public/{+path}"]
    );
    assert_eq!(list("prompts/list", "prompts", "name").await.0, ["greet"]);
    let admin = server.token("alice", "mcp:tools admin");
    let answer = server.legacy(&admin, &request("tools/list", &json!({}))).await;
    assert_eq!(answer.json()["result"]["tools"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_remains_of_a_list_is_as_the_server_has_written_it() {
    const LIST: &str = r#"{"result":{"tools":[{"name":"echo","z":1.50,"a":[123456789012345678901234567890]},
        {"name":"reset"},{"title":"no name"},5,{"name":"echo","n\u0061me":"reset"}],"z":1,"a":{"tools":[1]}},"id":7}"#;
    let server = Server::with(McpServer::filter_lists, |_| {
        let response = Response::builder().header("content-type", "application/json").header("etag", "\"1\"");
        let response = response.header("content-digest", "sha-256=:AA==:").header("content-length", LIST.len());
        response.body(Full::from(LIST)).unwrap()
    });
    let answer = server.legacy(&server.token("alice", "mcp:tools"), &request("tools/list", &json!({}))).await;
    let expected = r#"{"result":{"tools":[{"name":"echo","z":1.50,"a":[123456789012345678901234567890]}],"z":1,"a":{"tools":[1]}},"id":7}"#;
    assert_eq!(answer.body, expected);
    for field in ["etag", "content-digest", "content-length"] {
        assert!(!answer.headers.contains_key(field), "{field}");
    }
}

#[tokio::test]
async fn the_lists_of_a_batch_are_filtered() {
    let server = Server::with(McpServer::filter_lists, |_| {
        let tools = json!([{"name": "echo"}, {"name": "reset"}]);
        let responses =
            json!([{"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}, {"jsonrpc": "2.0", "id": 2, "result": {}}]);
        Response::builder().header("content-type", "application/json").body(full(&responses)).unwrap()
    });
    let batch = json!([request("tools/list", &json!({})), request("ping", &json!({}))]);
    let token = server.token("alice", "mcp:tools");
    let answer = server.send(post(&token, BATCHES).body(full(&batch)).unwrap()).await;
    assert_eq!(answer.json()[0]["result"]["tools"], json!([{"name": "echo"}]));
}

/// The body that a client receives for the list of a server.
async fn sent(list: &'static str) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let server = Server::with(McpServer::filter_lists, listing);
    let request: Request<Full<Bytes>> =
        post(&server.token("alice", "mcp:tools"), LEGACY).body(full(&request("tools/list", &json!({})))).unwrap();
    let inner = service_fn(async |_: Request<_>| {
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(list)).unwrap())
    });
    let response = server.layer.layer(inner).oneshot(request).await.unwrap();
    response.into_body().collect().await.map(http_body_util::Collected::to_bytes)
}

#[tokio::test]
async fn a_list_that_is_not_json_is_not_sent() {
    sent("not JSON").await.unwrap_err();
}

#[tokio::test]
async fn something_else_in_the_place_of_a_list_is_not_sent() {
    for list in [
        r#"{"result":{"tools":{"reset":{"name":"reset"}}}}"#,
        r#"{"result":{"tools":"[{\"name\":\"reset\"}]"}}"#,
        r#"{"result":{"tools":[{"name":"echo"}],"resources":{"uri":"file:///secret"}}}"#,
    ] {
        sent(list).await.expect_err(list);
    }
}

// JavaScript reads such names.
#[tokio::test]
async fn a_list_beside_a_name_that_is_not_unicode_is_not_sent() {
    for list in [
        r#"{"jsonrpc":"2.0","id":7,"\ud800":1,"result":{"tools":[{"name":"reset"}]}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{"\ud800":1,"tools":[{"name":"reset"}]}}"#,
        r#"[{"jsonrpc":"2.0","id":7,"\ud800":1,"result":{"tools":[{"name":"reset"}]}}]"#,
    ] {
        sent(list).await.expect_err(list);
    }
}

#[tokio::test]
async fn an_item_with_a_name_that_is_not_unicode_is_removed() {
    let list = r#"{"result":{"tools":[{"name":"echo","\ud800":1},{"name":"\ud800"},{"name":"echo"}]}}"#;
    assert_eq!(sent(list).await.unwrap(), r#"{"result":{"tools":[{"name":"echo"}]}}"#);
}

#[tokio::test]
async fn what_is_no_list_is_unchanged() {
    for response in [r#"{"result":5}"#, r#"{"result":{"tools":null}}"#, r#"[7,{"error":{"code":-32603}}]"#, "null"] {
        assert_eq!(sent(response).await.unwrap(), response);
    }
}

#[tokio::test]
async fn lists_are_unchanged_by_default() {
    let server = Server::with(|server| server, listing);
    let answer = server.legacy(&server.token("alice", "mcp:tools"), &request("tools/list", &json!({}))).await;
    assert_eq!(answer.json()["result"]["tools"].as_array().unwrap().len(), 3);
    assert!(!answer.headers.contains_key("vary"));
}

#[tokio::test]
async fn a_server_can_ask_what_a_caller_may_use() {
    let server = declared();
    let asked = server.clone();
    let issuer = TestIssuer::new("https://auth.example.com");
    let jwt = Jwt::new(Issuer::new(issuer.name(), RESOURCE).unwrap(), issuer.clone());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<()>| {
            let caller = Principal::of(request.extensions()).unwrap();
            let operations = [
                McpOperation::Tool("echo"),
                McpOperation::Tool("reset"),
                McpOperation::Tool("other"),
                McpOperation::Resource("file:///public/a"),
                McpOperation::Method("tools/list"),
                McpOperation::Method("tasks/list"),
            ];
            seen.lock().unwrap().extend(operations.map(|operation| asked.permits(caller, operation)));
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    };
    let token = issuer.token("alice").audience(RESOURCE).scope("mcp:tools").sign();
    let request = Request::get("/").header("authorization", format!("Bearer {token}")).body(()).unwrap();
    server.auth_layer(jwt).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [true, false, false, true, true, false]);
}

#[tokio::test]
async fn a_list_is_filtered_where_each_request_names_its_tenant() {
    use tower_warden::authorize::OwnTenant;
    let own = OwnTenant::in_header(http::HeaderName::from_static("x-tenant-id"));
    let server = Server::with(|server| server.require(own.clone()).tool("other", own).filter_lists(), listing);
    let (_, key) = server.keys.mint(NewKey::new("robot").tenant("acme").scopes("mcp:tools")).await.unwrap();
    let list = post(key.expose(), LEGACY).header("x-tenant-id", "acme").body(full(&request("tools/list", &json!({}))));
    let answer = server.send(list.unwrap()).await;
    let body = answer.json();
    let names: Vec<_> = body["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["echo", "other"]);
}

#[tokio::test]
async fn a_server_is_not_asked_for_an_encoded_list() {
    let server = Server::with(McpServer::filter_lists, |request| {
        assert!(!request.headers().contains_key("accept-encoding"));
        listing(request)
    });
    let list = post(&server.token("alice", "mcp:tools"), LEGACY).header("accept-encoding", "gzip, br");
    server.send(list.body(full(&request("tools/list", &json!({})))).unwrap()).await.assert_admitted();
}

#[tokio::test]
async fn the_policy_of_a_tool_sees_the_tool_that_would_be_listed() {
    let policy = |_: &Principal, head: &Head<'_>| {
        McpRequest::of(head.extensions).is_some_and(|request| request.tools().eq(["other"]))
    };
    let server = Server::with(|server| server.filter_lists().tool("echo", policy).tool("other", policy), listing);
    let answer = server.legacy(&server.token("alice", "mcp:tools"), &request("tools/list", &json!({}))).await;
    let tools = answer.json()["result"]["tools"].clone();
    assert_eq!(tools.as_array().unwrap().iter().map(|tool| &tool["name"]).collect::<Vec<_>>(), ["other"]);
}

#[tokio::test]
async fn the_policy_of_a_tool_sees_the_version_of_the_request() {
    let policy = |_: &Principal, head: &Head<'_>| {
        McpRequest::of(head.extensions).is_some_and(|request| request.version().as_str() == MODERN)
    };
    let server = Server::with(|server| server.filter_lists().tool("echo", policy).tool("other", policy), listing);
    let token = server.token("alice", "mcp:tools");
    let list = request("tools/list", &json!({}));
    for (answer, count) in [(server.modern(&token, &list).await, 2), (server.legacy(&token, &list).await, 0)] {
        answer.assert_admitted();
        assert_eq!(answer.json()["result"]["tools"].as_array().unwrap().len(), count);
    }
}
