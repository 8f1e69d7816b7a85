//! Bodies that servers might read differently, or that are no messages.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Frame;

use super::*;

async fn refused(server: &Server, version: &str, body: impl Into<Bytes>) -> Answer {
    let token = server.token("alice", "mcp:tools");
    let answer = server.send(post(&token, version).body(Full::from(body.into())).unwrap()).await;
    assert_eq!(server.reached.count(), 0, "{:?}", answer.body);
    answer
}

#[tokio::test]
async fn a_message_with_smuggled_members_is_refused() {
    let server = Server::new();
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"params":{"name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","$serde_json::private::RawValue":"{\"method\":\"tools/call\"}"}"#,
        r#"{"$serde_json::private::RawValue":"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[{"$serde_json::private::Number":"1"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"\u0024serde_json::private::Number":"1"}}"#,
        // Within arguments, which are not looked at.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":{"b":1,"b":2}}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[{"$serde_json::private::RawValue":"1"}]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1e999}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":"\ud800"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":01}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","arguments":{"method":1,"method":2},"params":{"name":"echo"}}"#,
        // For parsers that ignore the case of names.
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","NAME":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{"name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"param\u017f":{"name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"a","tas\u212aId":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///other","ur\u0130":"file:///secret"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"greet","Name":"other"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"greet","Type":"ref/resource"}}}"#,
    ] {
        refused(&server, LEGACY, body).await.assert_refused(400, "mcp_message_invalid");
    }
}

#[tokio::test]
async fn a_message_without_the_members_that_its_method_needs_is_refused() {
    let server = Server::new();
    for (method, params) in [
        ("tools/call", json!({})),
        ("tools/call", json!({"name": 5})),
        ("tools/call", json!({"name": ["echo"]})),
        ("tools/call", json!({"name": ""})),
        ("prompts/get", json!({"name": null})),
        ("resources/read", json!({"url": "file:///public/a"})),
        ("tasks/get", json!({"taskId": 1})),
        ("completion/complete", json!({"ref": "ref/prompt"})),
        ("completion/complete", json!({"ref": {"type": "ref/other", "name": "greet"}})),
        ("skills/get", json!({})),
    ] {
        refused(&server, LEGACY, request(method, &params).to_string()).await.assert_refused(400, "mcp_message_invalid");
    }
    let token = server.token("alice", "mcp:tools");
    for notifications in [
        json!({"resourceSubscriptions": "file:///secret"}),
        json!({"resourceSubscriptions": [1]}),
        json!({"taskIds": "t"}),
        json!({"resourceSubscriptions": vec!["file:///public/a"; 1_001]}),
        json!({"ResourceSubscriptions": ["file:///secret"]}),
    ] {
        let listen = request("subscriptions/listen", &json!({ "notifications": notifications }));
        server.modern(&token, &listen).await.assert_refused(400, "mcp_message_invalid");
    }
    assert_eq!(server.reached.count(), 0);
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused() {
    let server = Server::new();
    for body in [
        "",
        " ",
        "not JSON",
        "null",
        "1",
        "\"ping\"",
        "{}",
        "[]",
        "{\"jsonrpc\":\"2.0\"",
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":null,"params":{"name":"reset"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["reset"]}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":1}}"#,
    ] {
        refused(&server, LEGACY, body).await.assert_refused(400, "mcp_message_invalid");
    }
    refused(&server, LEGACY, &b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"[..])
        .await
        .assert_refused(400, "mcp_message_invalid");
}

#[tokio::test]
async fn the_error_of_a_body_that_is_not_json_is_a_parse_error() {
    let answer = refused(&Server::new(), LEGACY, "not JSON").await;
    let body = answer.json();
    assert_eq!((&body["error"]["code"], &body["id"]), (&json!(-32_700), &Value::Null));
    assert!(!answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    refused(&Server::new(), LEGACY, body).await.assert_refused(400, "mcp_message_invalid");
    for (depth, is_admitted) in [(29, true), (30, false), (100_000, false)] {
        let server = Server::new();
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"a":{nested}}}}}}}"#
        );
        let token = server.token("alice", "mcp:tools");
        let answer = server.send(post(&token, LEGACY).body(Full::from(body)).unwrap()).await;
        assert_eq!(answer.rejection.is_none(), is_admitted, "{depth}");
    }
}

#[tokio::test]
async fn a_body_of_64_mebibytes_is_refused() {
    let server = Server::new();
    refused(&server, LEGACY, vec![b' '; 64 << 20]).await.assert_refused(413, "body_too_large");
    assert_eq!(refused(&server, LEGACY, vec![b' '; (1 << 20) + 1]).await.json()["jsonrpc"], "2.0");
}

/// A body that never arrives.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_refused() {
    let server = Server::new();
    let answer = server.send(post(&server.token("alice", "mcp:tools"), LEGACY).body(Never).unwrap()).await;
    answer.assert_refused(408, "body_timeout");
}

#[tokio::test]
async fn a_batch_is_admitted_as_a_whole_where_the_version_has_batches() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let batch = |tools: &[&str]| Value::from(tools.iter().map(|tool| call(tool)).collect::<Vec<_>>());
    let send =
        async |version: &str, message: &Value| server.send(post(&token, version).body(full(message)).unwrap()).await;
    send(BATCHES, &batch(&["echo", "reset", "echo"])).await.assert_refused(403, "insufficient_scope");
    send(BATCHES, &batch(&["echo", "other"])).await.assert_refused(403, "mcp_undeclared");
    send(BATCHES, &json!([call("echo"), 1])).await.assert_refused(400, "mcp_message_invalid");
    send(BATCHES, &json!([[call("echo")]])).await.assert_refused(400, "mcp_message_invalid");
    for version in ["2025-06-18", LEGACY] {
        send(version, &batch(&["echo"])).await.assert_refused(400, "mcp_message_invalid");
    }
    assert_eq!(server.reached.count(), 0);
    send(BATCHES, &batch(&["echo", "echo"])).await.assert_admitted();
    assert_eq!(server.reached.last().tools().count(), 2);
}

#[tokio::test]
async fn a_tool_that_is_called_by_a_notification_is_judged_as_well() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let message = json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "reset"}});
    server.legacy(&token, &message).await.assert_refused(403, "insufficient_scope");
}

#[tokio::test]
async fn responses_of_clients_pass_where_the_version_has_them() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "result": {"model": "m"}}),
        json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -1, "message": "no"}}),
    ] {
        server.legacy(&token, &message).await.assert_admitted();
        let request = post(&token, MODERN).header("mcp-method", "ping").body(full(&message)).unwrap();
        server.send(request).await.assert_refused(400, "mcp_message_invalid");
    }
}

#[tokio::test]
async fn a_body_of_a_get_is_refused() {
    let server = Server::new();
    let request =
        Request::get("/mcp").header("authorization", format!("Bearer {}", server.token("alice", "mcp:tools")));
    let answer = server.send(request.body(full(&call("reset"))).unwrap()).await;
    answer.assert_refused(400, "mcp_message_invalid");
    assert_eq!(server.reached.count(), 0);
}

#[tokio::test]
async fn a_resource_with_dot_segments_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let read = |uri: &str| request("resources/read", &json!({"uri": uri}));
    server.legacy(&token, &read("file:///public/a/b.txt")).await.assert_admitted();
    server.legacy(&token, &read("file:///secret")).await.assert_refused(403, "insufficient_scope");
    for uri in [
        "file:///public/../secret",
        "file:///public/%2e%2e/secret",
        "file:///public/%252e%252e/secret",
        "file:///public/..%2fsecret",
        "file:///public/..\\secret",
        "file:///public/./a",
        "file:///public",
    ] {
        for method in ["resources/read", "resources/subscribe"] {
            let message = request(method, &json!({"uri": uri}));
            server.legacy(&token, &message).await.assert_refused(403, "mcp_undeclared");
        }
    }
}

#[tokio::test]
async fn a_completion_or_subscription_needs_what_its_object_needs() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let complete = |reference: Value| request("completion/complete", &json!({"ref": reference, "argument": {}}));
    server.legacy(&token, &complete(json!({"type": "ref/prompt", "name": "greet"}))).await.assert_admitted();
    server
        .legacy(&token, &complete(json!({"type": "ref/resource", "uri": "file:///public/{+path}"})))
        .await
        .assert_admitted();
    let other = complete(json!({"type": "ref/prompt", "name": "other"}));
    server.legacy(&token, &other).await.assert_refused(403, "mcp_undeclared");
    let listen =
        |uri: &str| request("subscriptions/listen", &json!({"notifications": {"resourceSubscriptions": [uri]}}));
    server.modern(&token, &listen("file:///public/a")).await.assert_admitted();
    server.modern(&token, &listen("file:///secret")).await.assert_refused(403, "insufficient_scope");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_json_as_it_is_sent_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let send = async |name: &str, value: &str| {
        let mut request = post(&token, LEGACY).body(full(&call("echo"))).unwrap();
        request.headers_mut().insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        server.send(request).await
    };
    for (name, value) in [
        ("content-type", "application/json; charset=utf-7"),
        ("content-type", "application/json; charset=utf-16le"),
        ("content-type", "application/json; charset=utf-8; charset=utf-7"),
        ("content-type", "text/plain"),
        ("content-type", ""),
        ("content-type", "application/json; boundary=x"),
        ("content-type", "application/jsonx"),
        ("content-encoding", "gzip"),
        ("content-encoding", "identity, br"),
    ] {
        send(name, value).await.assert_refused(415, "mcp_message_invalid");
    }
    assert_eq!(server.reached.count(), 0);
    for value in ["application/json", "Application/JSON; charset=UTF-8", "application/json; charset=\"utf-8\";"] {
        send("content-type", value).await.assert_admitted();
    }
    send("content-encoding", "identity").await.assert_admitted();
    let mut request = post(&token, LEGACY).body(full(&call("echo"))).unwrap();
    request.headers_mut().remove("content-type");
    server.send(request).await.assert_refused(415, "mcp_message_invalid");
}

#[tokio::test]
async fn a_refusal_names_an_id_in_the_form_of_the_request_or_none() {
    let server = Server::new();
    let token = server.token("alice", "other");
    let ids = [("7", json!(7)), ("-7", json!(-7)), (r#""7""#, json!("7")), ("18446744073709551615", json!(u64::MAX))];
    let others = ["1E2", "1.50", "10000000000000000000000", "-0"].map(|id| (id, json!(null)));
    for (id, expected) in ids.into_iter().chain(others) {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{}}}}}}"#
        );
        let answer = server.send(post(&token, LEGACY).body(Full::from(body)).unwrap()).await;
        answer.assert_refused(403, "insufficient_scope");
        assert_eq!(answer.json()["id"], expected, "{id}");
    }
}

#[tokio::test]
async fn an_upgrade_to_another_protocol_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    for protocols in [&["websocket"][..], &["h2c, websocket"], &["h2c", "websocket"], &["h2c", "h2c"], &[""], &["h2cx"]]
    {
        for method in [Method::GET, Method::POST] {
            let mut request = post(&token, LEGACY).method(&method).header("connection", "upgrade");
            for protocol in protocols {
                request = request.header("upgrade", *protocol);
            }
            let body = if method == Method::POST { full(&call("echo")) } else { Full::default() };
            server.send(request.body(body).unwrap()).await.assert_refused(400, "mcp_message_invalid");
        }
    }
    assert_eq!(server.reached.count(), 0);
}

/// HTTP clients of Java offer them with their first request.
#[tokio::test]
async fn an_offer_of_http_2_or_tls_is_ignored() {
    let server = Server::with(
        |server| server,
        |request| {
            let has = |name: &str| request.headers().contains_key(name);
            assert!(!has("upgrade") && !has("http2-settings"), "the server cannot accept it");
            ok(&json!({ "connection": request.headers().get("connection").map(|field| field.to_str().unwrap()) }))
        },
    );
    let token = server.token("alice", "mcp:tools");
    for (upgrade, connection, rest) in [
        ("h2c", "Upgrade, HTTP2-Settings", None),
        ("h2c", "upgrade, x-hop, HTTP2-Settings, close", Some("x-hop, close")),
        ("TLS/1.2", "Upgrade", None),
        ("TLS/1.3, h2c", "keep-alive, Upgrade", Some("keep-alive")),
    ] {
        let request = post(&token, LEGACY).header("upgrade", upgrade).header("connection", connection);
        let answer = server.send(request.header("http2-settings", "AAMAAABk").body(full(&call("echo"))).unwrap()).await;
        answer.assert_admitted();
        assert_eq!(answer.json()["result"]["connection"], json!(rest), "{upgrade}, {connection}");
    }
}

#[tokio::test]
async fn a_notification_with_an_id_is_a_method_that_is_not_declared() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let with_id = request("notifications/admin", &json!({}));
    server.legacy(&token, &with_id).await.assert_refused(403, "mcp_undeclared");
    let declared = Server::with(|server| server.method("notifications/admin", ()), |_| ok(&json!({})));
    let token_there = declared.token("alice", "mcp:tools");
    declared.legacy(&token_there, &with_id).await.assert_refused(403, "mcp_undeclared");
    let without = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    server.legacy(&token, &without).await.assert_admitted();
}

#[tokio::test]
async fn a_uri_that_is_spelled_differently_needs_what_the_declared_one_needs() {
    let server = Server::with(|server| server.resource("file:///{+path}", ()).unwrap(), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    let read = |uri: &str| request("resources/read", &json!({"uri": uri}));
    server.legacy(&token, &read("file:///other?a=b")).await.assert_admitted();
    for uri in ["file:///secret", "file:///secret?x"] {
        server.legacy(&token, &read(uri)).await.assert_refused(403, "insufficient_scope");
    }
    for uri in ["file:///%73ecret", "file:////secret", "file:///secret#x", "file:///x?/../secret", "file:///./secret"] {
        server.legacy(&token, &read(uri)).await.assert_refused(403, "mcp_undeclared");
    }
}

#[tokio::test]
async fn a_uri_that_is_encoded_differently_needs_what_the_declared_one_needs() {
    let declare = |server: McpServer| {
        let server = server.resource("file:///{+path}", ()).unwrap().resource("https://{host}/{+path}", ()).unwrap();
        let server = server.resource("file:///geheim%C3%A4", Admin::SCOPE).unwrap();
        let server = server.resource("file:///report(1)", Admin::SCOPE).unwrap();
        let server = server.resource("file:///%C3%A4/{name}/{+path}", Admin::SCOPE).unwrap();
        let server = server.resource("https://Files.example.com/admin/{+path}", Admin::SCOPE).unwrap();
        server.resource("file:///own%C3%B6", ()).unwrap().resource("file:///{name}%C3%B6", Admin::SCOPE).unwrap()
    };
    let server = Server::with(declare, |_| ok(&json!({})));
    let (token, admin) = (server.token("alice", "mcp:tools"), server.token("alice", "mcp:tools admin"));
    let read = |uri: &str| request("resources/read", &json!({"uri": uri}));
    for uri in [
        "file:///geheim%C3%A4",
        "file:///geheim%c3%a4",
        "file:///geheim\u{e4}",
        "file:///geheim%c3%a4?x",
        "file:///report%281%29",
        "file:///report%281)",
        "file:///%c3%a4/a/b",
        "file:///%c3%a4/a%20b%3f/b%7b%23",
        "file:///\u{e4}/a/b",
        "https://FILES.example.com/admin/x",
        "https://files.example.com/admin/x",
        "https://files.example.com:443/admin/x",
        "file:///other%c3%b6",
    ] {
        server.legacy(&token, &read(uri)).await.assert_refused(403, "insufficient_scope");
        server.legacy(&admin, &read(uri)).await.assert_admitted();
    }
    // The declaration of a URI takes precedence over templates, however it is spelled.
    for uri in [
        "file:///geheim",
        "file:///own%C3%B6",
        "file:///own%c3%b6",
        "https://other.example.com/admin/x",
        "file:///{+path}",
    ] {
        server.legacy(&token, &read(uri)).await.assert_admitted();
    }
}

#[tokio::test]
async fn a_uri_that_is_too_long_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let read = |length: usize| {
        let prefix = "file:///public/";
        request("resources/read", &json!({"uri": format!("{prefix}{}", "x".repeat(length - prefix.len()))}))
    };
    server.legacy(&token, &read(8_192)).await.assert_admitted();
    server.legacy(&token, &read(8_193)).await.assert_refused(403, "mcp_undeclared");
}

#[tokio::test]
async fn a_large_batch_is_refused_and_each_policy_decides_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let decided = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&decided);
    let count = move |_: &Principal, _: &tower_warden::Head<'_>| counting.fetch_add(1, Ordering::Relaxed) < usize::MAX;
    let server = Server::with(|server| server.tool("counted", count), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    let batch = |number: usize| Value::from(vec![call("counted"); number]);
    let send = async |number: usize| server.send(post(&token, BATCHES).body(full(&batch(number))).unwrap()).await;
    send(11).await.assert_refused(400, "mcp_message_invalid");
    send(10).await.assert_admitted();
    assert_eq!(decided.load(Ordering::Relaxed), 1);
}
