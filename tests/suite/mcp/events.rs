//! Streams are resumed by the caller that their events were sent to.

use super::*;

fn stream(text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().header("content-type", "text/event-stream").body(Full::from(text.into())).unwrap()
}

/// A server that keeps the streams of all callers: the stream after `e-1` has a task.
fn resumable() -> Server {
    Server::with(
        |server| server,
        |request| {
            let result = json!({"jsonrpc": "2.0", "id": 7, "result": {"task": {"taskId": "t-1"}}});
            match *request.method() {
                Method::GET => stream(format!("id: e-2\ndata: {result}\n\n")),
                _ => stream("id: e-1\r\ndata:\r\n\r\n"),
            }
        },
    )
}

fn resuming(token: &str, method: Method, event: &str) -> Request<Full<Bytes>> {
    let body = if method == Method::POST { full(&call("echo")) } else { Full::default() };
    let request = Request::builder().method(method).uri("/mcp").header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json").header("mcp-protocol-version", LEGACY);
    request.header("last-event-id", event).body(body).unwrap()
}

#[tokio::test]
async fn a_stream_is_resumed_by_its_caller() {
    let server = resumable();
    let alice = server.token("alice", "mcp:tools");
    server.send(resuming(&alice, Method::GET, "e-1")).await.assert_refused(404, "mcp_event_forbidden");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    let task = request("tasks/get", &json!({"taskId": "t-1"}));
    server.legacy(&alice, &task).await.assert_refused(403, "mcp_task_forbidden");
    // The events of a resumed stream are of the caller too, and so are its tasks.
    for event in ["e-1", "e-2"] {
        server.send(resuming(&alice, Method::GET, event)).await.assert_admitted();
        server.legacy(&alice, &task).await.assert_admitted();
    }
}

#[tokio::test]
async fn a_stream_of_another_caller_does_not_exist() {
    let server = resumable();
    let (alice, bob) = (server.token("alice", "mcp:tools"), server.token("bob", "mcp:tools admin"));
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    let reached = server.reached.count();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = server.send(resuming(&bob, method.clone(), "e-1")).await;
        answer.assert_refused(404, "mcp_event_forbidden");
        let unknown = server.send(resuming(&bob, method, "e-9")).await;
        assert_eq!(answer.body, unknown.body, "it looks like one that does not exist");
    }
    assert_eq!(server.reached.count(), reached);
    server.send(resuming(&alice, Method::GET, "e-1")).await.assert_admitted();
}

#[tokio::test]
async fn a_session_does_not_admit_the_stream_of_another_caller() {
    let server = Server::with(
        |server| server,
        |request| {
            let is_bob = request.body().windows(3).any(|window| window == b"bob");
            let mut response = stream(if is_bob { "id: b-1\n\n" } else { "id: a-1\n\n" });
            response.headers_mut().insert("mcp-session-id", if is_bob { "s-b" } else { "s-a" }.parse().unwrap());
            response
        },
    );
    let (alice, bob) = (server.token("alice", "mcp:tools"), server.token("bob", "mcp:tools"));
    for (name, token) in [("alice", &alice), ("bob", &bob)] {
        server.legacy(token, &request("initialize", &json!({"clientInfo": {"name": name}}))).await.assert_admitted();
    }
    for (event, status) in [("a-1", 404), ("b-1", 200)] {
        let mut request = resuming(&bob, Method::GET, event);
        request.headers_mut().insert("mcp-session-id", "s-b".parse().unwrap());
        assert_eq!(server.send(request).await.status, status, "{event}");
    }
}

#[tokio::test]
async fn a_stream_that_resumes_none_binds_no_tasks() {
    let server = resumable();
    let bob = server.token("bob", "mcp:tools");
    let mut get = resuming(&bob, Method::GET, "");
    get.headers_mut().remove("last-event-id");
    server.send(get).await.assert_admitted();
    let task = request("tasks/get", &json!({"taskId": "t-1"}));
    server.legacy(&bob, &task).await.assert_refused(403, "mcp_task_forbidden");
}

#[tokio::test]
async fn two_last_event_ids_are_refused() {
    let server = resumable();
    let alice = server.token("alice", "mcp:tools");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    let mut request = resuming(&alice, Method::GET, "e-1");
    request.headers_mut().append("last-event-id", "e-1".parse().unwrap());
    server.send(request).await.assert_refused(404, "mcp_event_forbidden");
}

#[tokio::test]
async fn an_empty_last_event_id_is_refused() {
    let server = Server::with(|server| server, |_| stream("id: e-1\ndata: {}\n\nid:\ndata: {}\n\n"));
    let alice = server.token("alice", "mcp:tools");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    server.send(resuming(&alice, Method::GET, "")).await.assert_refused(404, "mcp_event_forbidden");
}

#[tokio::test]
async fn an_id_that_is_cut_off_is_refused() {
    let server = Server::with(|server| server, |_| stream("id: e-1\ndata: {}\n\nid: e-2"));
    let alice = server.token("alice", "mcp:tools");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    server.send(resuming(&alice, Method::GET, "e-2")).await.assert_refused(404, "mcp_event_forbidden");
}

#[tokio::test]
async fn the_events_of_a_caller_are_bounded_and_do_not_evict_those_of_others() {
    let server = Server::with(
        |server| server,
        |request| {
            let is_long = request.body().windows(4).any(|window| window == b"ping");
            let count = if is_long { 4_097 } else { 1 };
            stream((0..count).map(|event| format!("id: e-{event}\ndata: {{}}\n\n")).collect::<String>())
        },
    );
    let (alice, mallory) = (server.token("alice", "mcp:tools"), server.token("mallory", "mcp:tools"));
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    server.legacy(&mallory, &request("ping", &json!({}))).await.assert_admitted();
    server.send(resuming(&mallory, Method::GET, "e-0")).await.assert_refused(404, "mcp_event_forbidden");
    for (token, event) in [(&mallory, "e-1"), (&mallory, "e-4096"), (&alice, "e-0")] {
        server.send(resuming(token, Method::GET, event)).await.assert_admitted();
    }
}

#[tokio::test]
async fn events_that_are_sent_again_evict_no_others() {
    let server = Server::with(
        |server| server,
        |request| {
            let is_long = request.body().windows(4).any(|window| window == b"ping");
            let events = if is_long { 1..4_096 } else { 0..1 };
            stream(events.map(|event| format!("id: e-{event}\ndata: {{}}\n\n")).collect::<String>())
        },
    );
    let alice = server.token("alice", "mcp:tools");
    server.legacy(&alice, &call("echo")).await.assert_admitted();
    for _ in 0..2 {
        server.legacy(&alice, &request("ping", &json!({}))).await.assert_admitted();
    }
    server.send(resuming(&alice, Method::GET, "e-0")).await.assert_admitted();
}

/// The finder keeps a part of each line only.
#[tokio::test]
async fn the_end_of_a_line_that_is_too_long_is_no_event() {
    let server = resumable();
    let bob = server.token("bob", "mcp:tools");
    let inner = service_fn(async |_: Request<_>| {
        let parts = [format!("data: {}", "x".repeat(1 << 20)), "id: a-1\n\nid: b-1\n\n".to_owned()];
        let frames = parts.map(|part| Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(part))));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        Ok::<_, Infallible>(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
    });
    let request: Request<Full<Bytes>> = post(&bob, LEGACY).body(full(&call("echo"))).unwrap();
    server.layer.layer(inner).oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    server.send(resuming(&bob, Method::GET, "a-1")).await.assert_refused(404, "mcp_event_forbidden");
    server.send(resuming(&bob, Method::GET, "b-1")).await.assert_admitted();
}
