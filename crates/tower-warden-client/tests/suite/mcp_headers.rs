//! The header fields that MCP servers expect.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_warden_client::mcp_headers::McpHeadersLayer;

use crate::server::Server;

async fn sent(method: Method, headers: &[(&'static str, &str)]) -> HeaderMap {
    let builder = Request::builder().method(method).uri("https://mcp.example/");
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    let server = Server::default();
    let layer = McpHeadersLayer::new("billing-agent").unwrap().protocol_version("2025-11-25").unwrap();
    layer.layer(server.clone()).oneshot(builder.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    server.headers(0)
}

#[tokio::test]
async fn mcp_headers_are_complete() {
    let post = sent(Method::POST, &[]).await;
    assert_eq!(post.len(), 4);
    assert_eq!(post["accept"], "application/json, text/event-stream");
    assert_eq!(post["content-type"], "application/json");
    assert_eq!(post["mcp-protocol-version"], "2025-11-25");
    assert_eq!(post["x-agent-id"], "billing-agent");
}

#[tokio::test]
async fn a_get_accepts_event_streams_and_a_delete_nothing() {
    let get = sent(Method::GET, &[]).await;
    assert_eq!((get.len(), &get["accept"]), (3, &"text/event-stream".parse().unwrap()));
    let delete = sent(Method::DELETE, &[]).await;
    assert_eq!((delete.len(), delete.get("accept"), delete.get("content-type")), (2, None, None));
}

#[tokio::test]
async fn what_the_transport_has_set_remains() {
    let headers = sent(Method::POST, &[("accept", "application/json"), ("mcp-protocol-version", "2025-06-18")]).await;
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["mcp-protocol-version"], "2025-06-18");
    assert_eq!(headers.get_all("mcp-protocol-version").iter().count(), 1);
}

#[tokio::test]
async fn the_fields_that_repeat_the_message_are_those_of_the_transport() {
    let headers = sent(Method::POST, &[("mcp-method", "tools/call"), ("mcp-name", "echo")]).await;
    assert_eq!(
        (&headers["mcp-method"], &headers["mcp-name"]),
        (&"tools/call".parse().unwrap(), &"echo".parse().unwrap())
    );
    let headers = sent(Method::POST, &[]).await;
    assert!(!headers.contains_key("mcp-method") && !headers.contains_key("mcp-name"));
}

/// (211)
#[tokio::test]
async fn an_agent_id_in_the_request_is_replaced() {
    let headers = sent(Method::POST, &[("x-agent-id", "admin"), ("x-agent-id", "other")]).await;
    assert_eq!(headers.get_all("x-agent-id").iter().collect::<Vec<_>>(), ["billing-agent"]);
}

#[test]
fn an_agent_id_or_a_version_that_is_malformed_is_refused() {
    for agent in ["", "billing agent", "agent\r\nx-admin: 1", "agent\u{e9}"] {
        assert!(McpHeadersLayer::new(agent).is_err(), "{agent}");
    }
    for version in ["", "2025-11-5", "2025/11/25", "latest", "2025-11-25 "] {
        assert!(McpHeadersLayer::new("agent").unwrap().protocol_version(version).is_err(), "{version}");
    }
}
