//! Streams end with their credential; audit events name the tool.

use futures_util::FutureExt;
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_key_is_revoked() {
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let (record, key) = keys.mint(NewKey::new("alice").scopes("mcp:tools")).await.unwrap();
    let server = declared();
    let layer = server.protect(keys.clone());
    let inner = service_fn(async |_: Request<_>| {
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("data: {}\n\n")))]);
        let body = StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending()));
        Ok::<_, Infallible>(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
    });
    let request: Request<Full<Bytes>> = post(key.expose(), LEGACY).body(full(&call("echo"))).unwrap();
    let mut body = Box::pin(layer.layer(inner).oneshot(request).await.unwrap().into_body());
    assert!(body.frame().await.unwrap().is_ok());
    assert!(body.frame().now_or_never().is_none());
    keys.revoke(&record.id).await.unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
}

#[tokio::test]
async fn the_audit_event_names_the_tool_and_a_digest_of_its_arguments() {
    use tower_warden::audit::{AuditChannel, AuditLog, EventKind};
    let (sink, mut events) = AuditChannel::new(10);
    let log = AuditLog::new(sink);
    let server = Server::new();
    let token = server.token("alice", "mcp:tools");
    let inner = service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({}))));
    let service = tower_warden::layer::AuditLayer::new(log).layer(server.layer.layer(inner));
    for tool in ["echo", "reset"] {
        let request: Request<Full<Bytes>> = post(&token, LEGACY).body(full(&call(tool))).unwrap();
        service.clone().oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        let event = events.try_recv().unwrap();
        let EventKind::Request(event) = &event.kind else { panic!("{event:?}") };
        let field = |name: &str| event.fields.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
        assert_eq!((field("mcp_method"), field("tool")), (Some("tools/call"), Some(tool)));
        let digest = tower_warden::Digest::of(br#"{"text":"hello"}"#).to_hex();
        assert_eq!(field("input_sha256"), Some(&*digest));
    }
}

#[tokio::test]
async fn the_audit_event_of_a_resource_has_no_query() {
    use tower_warden::audit::{AuditChannel, AuditLog, EventKind};
    let (sink, mut events) = AuditChannel::new(10);
    let server = Server::new();
    let inner = service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({}))));
    let service = tower_warden::layer::AuditLayer::new(AuditLog::new(sink)).layer(server.layer.layer(inner));
    let read = request("resources/read", &json!({"uri": "file:///public/a?key=hunter2"}));
    let request: Request<Full<Bytes>> = post(&server.token("alice", "mcp:tools"), LEGACY).body(full(&read)).unwrap();
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let event = events.try_recv().unwrap();
    let EventKind::Request(event) = &event.kind else { panic!("{event:?}") };
    let object = event.fields.iter().find(|(name, _)| name == "object").map(|(_, value)| &**value);
    assert_eq!(object, Some("file:///public/a"));
}

/// The fields of an event are bounded: a message that names many objects would leave no room for those after it.
#[tokio::test]
async fn a_batch_has_no_messages_that_name_several_objects() {
    let server = Server::new();
    let uris = vec!["file:///public/a"; 10];
    let listen = request("subscriptions/listen", &json!({"notifications": {"resourceSubscriptions": uris}}));
    let batch = json!([listen, listen, listen, call("reset")]);
    let token = server.token("alice", "mcp:tools admin");
    server.send(post(&token, BATCHES).body(full(&batch)).unwrap()).await.assert_refused(403, "mcp_undeclared");
}

#[tokio::test]
async fn the_audit_event_of_a_batch_names_each_tool() {
    use tower_warden::audit::{AuditChannel, AuditLog, EventKind};
    let (sink, mut events) = AuditChannel::new(10);
    let server = Server::new();
    let inner = service_fn(async |_: Request<_>| Ok::<_, Infallible>(ok(&json!({}))));
    let service = tower_warden::layer::AuditLayer::new(AuditLog::new(sink)).layer(server.layer.layer(inner));
    let mut batch = vec![call("echo"); 9];
    batch.push(call("reset"));
    let request: Request<Full<Bytes>> =
        post(&server.token("alice", "mcp:tools admin"), BATCHES).body(full(&Value::from(batch))).unwrap();
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let event = events.try_recv().unwrap();
    let EventKind::Request(event) = &event.kind else { panic!("{event:?}") };
    let tools: Vec<_> = event.fields.iter().filter(|(name, _)| name == "tool").map(|(_, value)| &**value).collect();
    assert_eq!((tools.len(), tools.last()), (10, Some(&"reset")));
}
