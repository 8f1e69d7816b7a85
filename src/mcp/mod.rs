//! Authorization in front of an MCP server ([Model Context Protocol](https://modelcontextprotocol.io)).
//!
//! An [`McpServer`] declares the URL of a server, who issues tokens for it, and the policy of each tool, prompt and resource.
//! It yields the [metadata](McpServer::metadata) by which clients find the authorization server, the
//! [layer](McpServer::auth_layer) that authenticates them, and the [guard](McpServer::guard), which decides about each message.
//! The server behind it is any service: that of the crate rmcp, an axum route, a proxy.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     mcp::McpServer,
//!     scope::scopes,
//! };
//!
//! scopes! {
//!     /// Use tools.
//!     pub Tools = "mcp:tools";
//!     /// Administer.
//!     pub Admin = "admin";
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let mcp = McpServer::new("https://mcp.example.com/mcp")?
//!     .authorization_server("https://auth.example.com")?
//!     .require(Tools::SCOPE)
//!     .tool("echo", ())
//!     .tool("reset", Admin::SCOPE);
//!
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (_, key) = keys.mint(NewKey::new("alice").scopes("mcp:tools")).await?;
//! let server = service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{}"))));
//! let service = mcp.protect(keys).layer(server);
//!
//! let call = |tool: &str| {
//!     let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
//!     let request = Request::post("/mcp").header("authorization", format!("Bearer {}", key.expose()));
//!     let request = request.header("content-type", "application/json");
//!     service.clone().oneshot(request.body(Full::<Bytes>::from(message)).expect("a request"))
//! };
//! assert_eq!(call("echo").await?.status(), 200);
//!
//! let refused = call("reset").await?;
//! assert_eq!(refused.status(), 403);
//! let challenge = refused.headers()["www-authenticate"].to_str()?;
//! assert!(challenge.contains(r#"error="insufficient_scope""#) && challenge.contains(r#"scope="admin mcp:tools""#));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Order of the checks
//!
//! 1. [`AuthLayer`](crate::layer::AuthLayer) authenticates the caller: 401 before a byte of the body is read.
//! 2. `Origin`, if the request comes from a web page: 403 unless it is that of the server's URL or is
//!    [allowed](McpServer::allow_origin).
//! 3. The HTTP method, and the type of the body, which is JSON in UTF-8 without a content coding: 405 and 415.
//! 4. `Mcp-Session-Id`: 404 unless the session was opened by the same caller (issuer, subject, client and tenant).
//!    `Last-Event-ID`: 404 unless the event was in a stream of that caller.
//! 5. The body is read within [limits](McpServer::body_limits): 413 and 408.
//! 6. It is parsed once. 400 for anything that two parsers could read differently: duplicate member names, names in another
//!    case, names that are private to a parser, nesting deeper than 32 levels, a batch where the version has none.
//! 7. The version of the protocol: 400 and the error `-32022`. `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` are compared with the body: 400 and the error `-32020`.
//! 8. The policies of the operation, all together: 403 with a challenge that names all of its scopes. What is not declared is
//!    refused, and so is a batch of which one message is refused. A task is used by the caller that created it: 403
//!    and the error `-32602`, or `-32021` if the client does not declare the extension.
//!
//! The server receives exactly the bytes that were judged, and a refusal is sent before a stream begins. Its body is a
//! [JSON-RPC error](JsonRpcBody) with the `id` of the request.
//!
//! # Inside of the server
//!
//! The [`Principal`](crate::Principal) is in the extensions of the request. A tool of rmcp obtains the request with the
//! parameter `Extension(parts): Extension<http::request::Parts>`, and the caller with
//! [`Principal::of`](crate::Principal::of)`(&parts.extensions)`. `Scoped::<S>::of` requires a scope in the same way.
//!
//! # Deployment caveat
//!
//! Sessions, tasks and events are known to the node that has seen them begin, and to all clones of its guard. Where several
//! nodes serve one server, route a client to the same node, as servers that keep sessions in memory need anyway. A client whose
//! session is unknown opens a new one. 10 000 callers, and [1000 sessions and tasks](McpServer::max_per_caller) of each, are
//! kept. A client can resume a stream after one of the last 4096 events that were sent to its caller.
//!
//! `Accept-Encoding` is removed from requests whose responses the guard may have to read: those of versions with sessions, tool
//! calls, and lists that are filtered. Compress responses outside of the guard.
//!
//! rmcp accepts only loopback names in `Host` by default: set `StreamableHttpServerConfig::allowed_hosts` behind a proxy.
//!
//! Clients in browsers need CORS, outside of authentication, with the header fields [`EXPOSED_HEADERS`] and
//! [`ALLOWED_HEADERS`].

pub use self::{
    body::McpBody,
    cors::{ALLOWED_HEADERS, EXPOSED_HEADERS},
    head_check::{McpHeadCheck, McpPass},
    layer::{McpGate, McpGuardLayer, McpLayer},
    operation::McpOperation,
    refusal::JsonRpcBody,
    request::McpRequest,
    response::{McpResponseFuture, McpResponses},
    server::McpServer,
    version::McpVersion,
};

mod body;
mod cors;
mod event;
mod guard;
mod head_check;
mod header;
mod layer;
mod list;
mod message;
mod operation;
mod owner;
mod reason;
mod refusal;
mod request;
mod resource;
mod response;
mod rules;
mod server;
mod task;
mod template;
mod upgrade;
mod uri;
mod version;
mod yields;
