//! Header fields that repeat what the body says.

use super::*;

async fn send(server: &Server, change: impl FnOnce(&mut HeaderMap)) -> Answer {
    let token = server.token("alice", "mcp:tools");
    let mut request = modern_request(&token, &call("echo")).body(full(&with_meta(&call("echo")))).unwrap();
    change(request.headers_mut());
    server.send(request).await
}

#[tokio::test]
async fn a_header_field_that_differs_from_the_body_is_refused() {
    let server = Server::new();
    send(&server, |_| {}).await.assert_admitted();
    for (name, value) in [
        ("mcp-name", "reset"),
        ("mcp-name", ""),
        ("mcp-name", "=?base64?cmVzZXQ=?="),
        ("mcp-name", "=?base64?!?="),
        ("mcp-name", "=?BASE64?ZWNobw==?="),
        ("mcp-name", "=?base64?/w==?="),
        ("mcp-method", "tools/list"),
        ("mcp-method", "Tools/call"),
        ("mcp-protocol-version", LEGACY),
    ] {
        let answer = send(&server, |headers| {
            headers.insert(name, value.parse().unwrap());
        });
        let answer = answer.await;
        answer.assert_refused(400, "mcp_header_mismatch");
        let body = answer.json();
        assert_eq!((&body["error"]["code"], &body["id"]), (&json!(-32_020), &json!(7)), "{name}: {value}");
    }
}

#[tokio::test]
async fn a_header_field_that_is_missing_is_refused() {
    let server = Server::new();
    for name in ["mcp-name", "mcp-method", "mcp-protocol-version"] {
        let answer = send(&server, |headers| {
            headers.remove(name);
        });
        answer.await.assert_refused(400, "mcp_header_mismatch");
    }
}

#[tokio::test]
async fn a_header_field_that_is_present_twice_is_refused() {
    let server = Server::new();
    for (name, value) in [("mcp-name", "echo"), ("mcp-method", "tools/call"), ("mcp-protocol-version", MODERN)] {
        let answer = send(&server, |headers| {
            headers.append(name, value.parse().unwrap());
        });
        answer.await.assert_refused(400, "mcp_header_mismatch");
    }
}

#[tokio::test]
async fn a_name_may_be_encoded() {
    let server = Server::with(|server| server.tool("größe", Tools::SCOPE), |_| ok(&json!({})));
    let token = server.token("alice", "mcp:tools");
    let message = with_meta(&call("größe"));
    let request = post(&token, MODERN).header("mcp-method", "tools/call").header("mcp-name", "=?base64?Z3LDtsOfZQ==?=");
    server.send(request.body(full(&message)).unwrap()).await.assert_admitted();
}

#[tokio::test]
async fn a_version_in_the_body_without_the_header_field_or_with_another_one_is_refused() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    server.legacy(&token, &with_meta(&call("echo"))).await.assert_refused(400, "mcp_header_mismatch");
    // The server refuses a message without it.
    let request = modern_request(&token, &call("echo")).body(full(&call("echo"))).unwrap();
    server.send(request).await.assert_admitted();
}

#[tokio::test]
async fn a_method_that_the_version_does_not_have_is_a_404_with_the_id() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    for method in ["resources/subscribe", "resources/unsubscribe", "tasks/list", "tasks/result", "unknown/method"] {
        let answer = server.modern(&token, &request(method, &json!({}))).await;
        answer.assert_refused(404, "mcp_undeclared");
        let body = answer.json();
        assert_eq!((&body["error"]["code"], &body["id"]), (&json!(-32_601), &json!(7)), "{method}");
    }
    assert_eq!(server.reached.count(), 0);
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_those_that_are_known() {
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    for version in ["2027-01-01", "2026-07-28 ", "draft", "", "2026-07-29"] {
        let answer = server.send(post(&token, version).body(full(&call("echo"))).unwrap()).await;
        if version.trim() == MODERN {
            answer.assert_refused(400, "mcp_header_mismatch");
            continue;
        }
        answer.assert_refused(400, "mcp_version_unsupported");
        let body = answer.json();
        let error = &body["error"];
        assert_eq!(body["id"], 7);
        assert_eq!((&error["code"], &error["data"]["requested"]), (&json!(-32_022), &json!(version)));
        assert!(error["data"]["supported"].as_array().unwrap().contains(&json!(MODERN)));
    }
}

/// A server that does not have the version of the client chooses it, and the client states it from then on.
#[tokio::test]
async fn the_version_of_servers_before_the_transport_is_known() {
    const FIRST: &str = "2024-11-05";
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    server.send(post(&token, FIRST).body(full(&call("echo"))).unwrap()).await.assert_admitted();
    assert_eq!(server.reached.last().version().as_str(), FIRST);
    let reset = post(&token, FIRST).body(full(&call("reset"))).unwrap();
    server.send(reset).await.assert_refused(403, "insufficient_scope");
    let batch = post(&token, FIRST).body(full(&json!([call("echo")]))).unwrap();
    server.send(batch).await.assert_refused(400, "mcp_message_invalid");
}

#[tokio::test]
async fn the_http_methods_are_those_of_the_version() {
    let server = Server::new();
    let authorization = format!("Bearer {}", server.token("alice", "mcp:tools"));
    for (method, version, status) in [
        (Method::GET, LEGACY, 200),
        (Method::DELETE, LEGACY, 200),
        (Method::PUT, LEGACY, 405),
        (Method::OPTIONS, LEGACY, 405),
        (Method::GET, MODERN, 405),
        (Method::DELETE, MODERN, 405),
        (Method::HEAD, LEGACY, 405),
    ] {
        let request = Request::builder().method(&method).uri("/mcp").header("authorization", &authorization);
        let request = request.header("mcp-protocol-version", version).body(Full::<Bytes>::default()).unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{method} {version}");
        if status == 405 {
            answer.assert_refused(405, "mcp_http_method");
            assert!(answer.headers.contains_key("allow"));
        }
    }
}
