//! A client of MCP for the conformance suite: rmcp's transport over the layers of the crate. It lists the tools of the server
//! that the last argument names, and calls each of them.
//!
//! The suite sets `MCP_CONFORMANCE_PROTOCOL_VERSION`, and `MCP_CONFORMANCE_CONTEXT` with the credentials of the client.

use std::{env, num::NonZeroU32};

use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rmcp::{
    model::{CallToolRequestParams, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt},
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use serde_json::Value;
use tower::ServiceBuilder;
use tower_warden::fetch::HttpClient;
use tower_warden_client::{CachedToken, TokenLayer, mcp_headers::McpHeadersLayer};
use tower_warden_interop::BoxError;

use self::{discovery::Discovery, tokens::Tokens, transport::ServiceClient};

mod discovery;
mod tokens;
mod transport;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = env::args().next_back().ok_or("the URL of the server is missing")?;
    let context = env::var("MCP_CONFORMANCE_CONTEXT").map_or(Ok(Value::Null), |json| serde_json::from_str(&json))?;
    let version = env::var("MCP_CONFORMANCE_PROTOCOL_VERSION")?;

    let discovery = Discovery::new(HttpClient::new()?, &url, &version);
    let tokens = CachedToken::new(Tokens::new(discovery, context)?);
    let origin = url.strip_suffix("/mcp").ok_or("the path of the server is /mcp")?;
    let service = ServiceBuilder::new()
        .layer(McpHeadersLayer::new("conformance")?.protocol_version(&version)?)
        .layer(TokenLayer::new(tokens, origin)?.step_up(NonZeroU32::MIN))
        .service(Client::builder(TokioExecutor::new()).build_http());

    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(ServiceClient::new(service), config);
    let client = ().serve_with_lifecycle(transport, lifecycle(&version)).await?;
    for tool in client.list_all_tools().await? {
        client.call_tool(CallToolRequestParams::new(tool.name)).await?;
    }
    client.cancel().await?;
    Ok(())
}

fn lifecycle(version: &str) -> ClientLifecycleMode {
    if version < "2026-07-28" {
        return ClientLifecycleMode::Initialize;
    }
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}
