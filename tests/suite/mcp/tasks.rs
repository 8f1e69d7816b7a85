//! Tasks belong to the caller that created them.

use std::future::IntoFuture;

use super::*;

fn events(messages: &[Value]) -> Response<Full<Bytes>> {
    let text: String = messages.iter().map(|message| format!("event: message\r\ndata: {message}\r\n\r\n")).collect();
    Response::builder().header("content-type", "text/event-stream; charset=utf-8").body(Full::from(text)).unwrap()
}

fn operation(method: &str, id: &str) -> Value {
    request(method, &json!({"taskId": id}))
}

async fn assert_bound(respond: impl Fn() -> Response<Full<Bytes>> + Send + Sync + 'static) {
    let server = Server::with(|server| server, move |_| respond());
    let (alice, bob) = (server.token("alice", "mcp:tools"), server.token("bob", "mcp:tools admin"));
    server.legacy(&alice, &operation("tasks/get", "t-1")).await.assert_refused(403, "mcp_task_forbidden");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    let listen = request("subscriptions/listen", &json!({"notifications": {"taskIds": ["t-1"]}}));
    server.modern(&alice, &listen).await.assert_admitted();
    server.modern(&bob, &listen).await.assert_refused(403, "mcp_task_forbidden");
    for method in ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"] {
        server.legacy(&alice, &operation(method, "t-1")).await.assert_admitted();
        server.legacy(&bob, &operation(method, "t-1")).await.assert_refused(403, "mcp_task_forbidden");
        let (other, unknown) = (operation(method, "t-1"), operation(method, "t-2"));
        assert_eq!(server.legacy(&bob, &other).await.body, server.legacy(&bob, &unknown).await.body);
    }
}

#[tokio::test]
async fn a_task_of_version_2025_11_25_is_used_by_its_caller() {
    assert_bound(|| ok(&json!({"task": {"taskId": "t-1", "status": "working"}}))).await;
}

#[tokio::test]
async fn a_task_of_version_2026_07_28_is_used_by_its_caller() {
    assert_bound(|| ok(&json!({"resultType": "task", "taskId": "t-1", "status": "working"}))).await;
}

#[tokio::test]
async fn a_task_in_a_stream_of_events_is_used_by_its_caller() {
    assert_bound(|| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
        events(&[progress, json!({"jsonrpc": "2.0", "id": 7, "result": {"task": {"taskId": "t-1"}}})])
    })
    .await;
}

#[tokio::test]
async fn an_unknown_task_is_refused_with_the_code_by_which_servers_refuse_it() {
    const INVALID_PARAMS: i64 = -32_602;
    const MISSING_CAPABILITY: i64 = -32_021;
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let message = operation("tasks/get", "t-1");
    let code = |answer: &Answer| {
        answer.assert_refused(403, "mcp_task_forbidden");
        answer.json()["error"]["code"].as_i64().unwrap()
    };
    assert_eq!(code(&server.legacy(&token, &message).await), INVALID_PARAMS);
    let answer = server.modern(&token, &message).await;
    assert_eq!(code(&answer), MISSING_CAPABILITY);
    let required = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    assert_eq!(answer.json()["error"]["data"]["requiredCapabilities"], required);
    let mut with_tasks = with_meta(&message);
    with_tasks["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = required;
    let answer = server.send(modern_request(&token, &message).body(full(&with_tasks)).unwrap()).await;
    assert_eq!(code(&answer), INVALID_PARAMS);
    assert_eq!(answer.json()["error"]["data"].get("requiredCapabilities"), None);
}

#[tokio::test]
async fn a_result_that_only_mentions_a_task_binds_none() {
    let server = Server::with(
        |server| server,
        |_| ok(&json!({"content": [{"text": "taskId"}], "structuredContent": {"taskId": "t-1"}, "taskId": "t-1"})),
    );
    let alice = server.token("alice", "mcp:tools");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    server.legacy(&alice, &operation("tasks/get", "t-1")).await.assert_refused(403, "mcp_task_forbidden");
}

#[tokio::test]
async fn a_task_in_an_event_of_several_lines_is_used_by_its_caller() {
    assert_bound(|| {
        let text = "data: {\"jsonrpc\":\"2.0\",\ndata: \"result\":{\"task\":{\"taskId\":\"t-1\"}}}\n\n";
        Response::builder().header("content-type", "text/event-stream").body(Full::from(text)).unwrap()
    })
    .await;
}

/// A server of HTTP/1.1 does not poll a body of a known length for its end.
#[tokio::test]
async fn a_task_in_a_response_with_a_length_is_used_by_its_caller_over_a_socket() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let (_, key) = keys.mint(NewKey::new("alice").scopes("mcp:tools")).await.unwrap();
    let inner = service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({"task": {"taskId": "t-1"}}))));
    let app = axum::Router::new().route_service("/mcp", declared().protect(keys).layer(inner));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    for message in [call("echo"), operation("tasks/get", "t-1")] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let (body, key) = (message.to_string(), key.expose());
        let length = body.len();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.contains("content-length"), "{response}");
    }
}
