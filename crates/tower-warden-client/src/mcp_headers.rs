//! The header fields of clients of MCP servers.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden_client::mcp_headers::McpHeadersLayer;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = McpHeadersLayer::new("billing-agent")?.protocol_version("2025-11-25")?;
//! let client = ServiceBuilder::new().layer(layer).service_fn(async |request: Request<String>| {
//!     let headers = request.headers();
//!     assert_eq!(headers["accept"], "application/json, text/event-stream");
//!     assert_eq!(headers["content-type"], "application/json");
//!     assert_eq!(headers["mcp-protocol-version"], "2025-11-25");
//!     assert_eq!(headers["x-agent-id"], "billing-agent");
//!     Ok::<_, Infallible>(Response::new(()))
//! });
//! client.oneshot(Request::post("https://mcp.example/").body(r#"{"jsonrpc":"2.0"}"#.to_owned())?).await?;
//!
//! assert!(McpHeadersLayer::new("billing\r\nagent").is_err());
//! # Ok(()) }
//! ```

use std::{
    fmt,
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Method, Request, header};
use tower_layer::Layer;
use tower_service::Service;
use tower_warden::ConfigError;

/// Adds the header fields that an MCP server expects of its clients, whatever the message is. See the [module docs](self).
///
/// - `Accept`: JSON and event streams for `POST`, event streams for `GET`.
/// - `Content-Type`: JSON, for `POST`.
/// - `MCP-Protocol-Version`: the configured version.
/// - `X-Agent-Id`: the configured agent. It names the agent, and proves nothing: servers authenticate the token.
///
/// What the transport has set remains, except the agent: it is that of this layer, so that neither a model nor a tool chooses
/// another one.
///
/// `Mcp-Method` and `Mcp-Name`, which servers require since version 2026-07-28, repeat members of the message. This layer does
/// not read it: the transport sets them, as that of rmcp does. A client without such a transport sets both itself.
#[derive(Clone, Debug)]
pub struct McpHeadersLayer {
    agent: HeaderValue,
    version: Option<HeaderValue>,
}

impl McpHeadersLayer {
    /// Creates a layer for an agent of this id.
    ///
    /// # Errors
    ///
    /// If the id is empty, or has other than visible ASCII characters.
    pub fn new(agent: &str) -> Result<Self, ConfigError> {
        let refused = || ConfigError::custom("the id of an agent consists of visible ASCII characters").value(agent);
        Ok(Self { agent: visible(agent).ok_or_else(refused)?, version: None })
    }

    /// Sets the version of the protocol, for requests whose transport has set none. By default, none is added.
    ///
    /// Since 2026-07-28, servers refuse messages without the fields `Mcp-Method` and `Mcp-Name`, which this layer
    /// [does not add](Self).
    ///
    /// # Errors
    ///
    /// If it is not a date such as `2025-11-25`.
    pub fn protocol_version(mut self, version: &str) -> Result<Self, ConfigError> {
        let is_date = version.len() == 10
            && version.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let value = visible(version).filter(|_| is_date);
        let refused = || ConfigError::custom("a version of MCP is a date such as 2025-11-25").value(version);
        self.version = Some(value.ok_or_else(refused)?);
        Ok(self)
    }

    fn add_to<B>(&self, request: &mut Request<B>) {
        let (is_post, is_get) = (request.method() == Method::POST, request.method() == Method::GET);
        let headers = request.headers_mut();
        if is_post {
            headers.entry(header::ACCEPT).or_insert(JSON_OR_EVENTS);
            headers.entry(header::CONTENT_TYPE).or_insert(JSON);
        } else if is_get {
            headers.entry(header::ACCEPT).or_insert(EVENTS);
        }
        if let Some(version) = &self.version {
            headers.entry(PROTOCOL_VERSION).or_insert_with(|| version.clone());
        }
        headers.insert(AGENT_ID, self.agent.clone());
    }
}

impl<S> Layer<S> for McpHeadersLayer {
    type Service = McpHeaders<S>;

    fn layer(&self, inner: S) -> McpHeaders<S> {
        McpHeaders { layer: self.clone(), inner }
    }
}

/// The service of a [`McpHeadersLayer`]. It has the readiness and the future of the inner service.
#[derive(Clone)]
pub struct McpHeaders<S> {
    layer: McpHeadersLayer,
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for McpHeaders<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.layer.add_to(&mut request);
        self.inner.call(request)
    }
}

impl<S: fmt::Debug> fmt::Debug for McpHeaders<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpHeaders").field("layer", &self.layer).field("inner", &self.inner).finish()
    }
}

/// A value without spaces and control characters.
fn visible(text: &str) -> Option<HeaderValue> {
    let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_visible.then(|| HeaderValue::from_str(text).ok()).flatten()
}

const AGENT_ID: HeaderName = HeaderName::from_static("x-agent-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
