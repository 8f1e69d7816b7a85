//! An MCP server made with [rmcp], whose tools require scopes. It serves both generations of the protocol: 2026-07-28, and
//! 2025-11-25 and older with sessions.
//!
//! ```text
//! cargo run --example mcp
//! ISSUER=https://auth.example.com cargo run --example mcp
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ISSUER` | the issuer of tokens, whose keys are found by discovery | an issuer in this process, on another port |
//! | `LISTEN` | the address to listen on | `127.0.0.1:3000` |
//! | `RUST_LOG` | the filter of log lines | `warn,tower_warden=debug` |
//!
//! rmcp refuses requests whose `Host` is not a loopback host, unless it is configured with `with_allowed_hosts`.
//!
//! [rmcp]: https://docs.rs/rmcp
#![expect(clippy::print_stdout, reason = "the output is for the terminal")]
#![expect(clippy::unused_self, reason = "tools are methods")]

use std::{env, error::Error, io, sync::Arc};

use axum::Router;
use http::request::Parts;
use rmcp::{
    ErrorData,
    handler::server::{tool::Extension, wrapper::Parameters},
    schemars::JsonSchema,
    serde::Deserialize,
    tool, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use tokio::net::TcpListener;
use tower::Layer;
use tower_warden::{
    Authenticator, Policy, Principal,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    axum::Scoped,
    caller::SenderConstraint,
    jwt::{Issuer, Jwt, RemoteKeys},
    mcp::McpServer,
    metadata::metadata_routes,
    scope::scopes,
    testing::TestIssuer,
};
use tracing_subscriber::EnvFilter;

scopes! {
    /// Use the server, and call tools that change nothing.
    pub McpTools = "mcp:tools";
    /// Change things.
    pub Admin = "admin";
}

/// The server behind the layers: `resource` is its URL, which is the audience of tokens.
fn app(resource: &str, issuer: &str, authenticator: impl Authenticator) -> Result<Router, Box<dyn Error>> {
    let mcp = McpServer::new(resource)?
        .authorization_server(issuer)?
        .require(McpTools::SCOPE)
        .tool("echo", ())
        .tool("reset", Admin::SCOPE)
        .tool("delete_user", Admin::SCOPE.and(SenderConstraint::Any));
    let auth = mcp.auth_layer(authenticator).dpop(mcp.dpop()?);
    let sessions = Arc::new(LocalSessionManager::default());
    let server = StreamableHttpService::new(|| Ok(Tools), sessions, StreamableHttpServerConfig::default());
    // The metadata is outside of the layers: clients read it to find out where to get a token.
    Ok(Router::new()
        .route_service("/mcp", mcp.protect_with(auth).layer(server))
        .merge(metadata_routes(&mcp.metadata())))
}

#[derive(Clone, Debug)]
struct Tools;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "rmcp::serde")]
#[schemars(crate = "rmcp::schemars")]
struct Echo {
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "rmcp::serde")]
#[schemars(crate = "rmcp::schemars")]
struct DeleteUser {
    user: String,
}

#[tool_router(server_handler)]
impl Tools {
    #[tool(description = "Returns the text. Scope: mcp:tools.")]
    fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Resets the counters. Scope: admin.")]
    fn reset(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let caller = Principal::of(&parts.extensions).map_err(refused)?;
        Ok(format!("reset by {}", caller.subject()))
    }

    #[tool(description = "Deletes a user. Scope: admin, with a token that is bound to a key of the client.")]
    fn delete_user(
        &self,
        Parameters(DeleteUser { user }): Parameters<DeleteUser>,
        Extension(parts): Extension<Parts>,
    ) -> Result<String, ErrorData> {
        // What the layers have checked, as a type.
        let caller = Scoped::<Admin>::of(&parts.extensions).map_err(refused)?;
        Ok(format!("{user} deleted by {}", caller.subject()))
    }
}

/// Does not occur behind the layers.
fn refused(_: impl Sized) -> ErrorData {
    ErrorData::internal_error("the request has not passed the layers", None)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let listener = TcpListener::bind(variable("LISTEN").as_deref().unwrap_or("127.0.0.1:3000")).await?;
    let resource = format!("http://{}/mcp", listener.local_addr()?);
    println!("listening on {resource}");

    let issuer = match variable("ISSUER") {
        Some(issuer) => issuer,
        None => greet(&TestIssuer::listen().await?, &resource),
    };
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_mcp")?);
    let (_, key) = keys.mint(NewKey::new("agent-1").scopes([McpTools::SCOPE])).await?;
    let key = key.expose();
    println!("api key: {key}\n\n# 200\n{}", call(&resource, "echo", r#"{"text":"hello"}"#, key));

    let jwt = Jwt::new(Issuer::new(&issuer, &resource)?, RemoteKeys::discovery(&issuer).connect().await?);
    axum::serve(listener, app(&resource, &issuer, (jwt, keys))?).await?;
    Ok(())
}

/// Shows tokens of the issuer in this process, and returns its name.
fn greet(issuer: &TestIssuer, resource: &str) -> String {
    let token = |scope| issuer.token("alice").audience(resource).client_id("example").scope(scope).sign();
    let (user, admin) = (token("mcp:tools"), token("mcp:tools admin"));
    println!(
        r#"the issuer is {name}, for as long as this process runs
token of alice with mcp:tools: {user}
token of alice with mcp:tools and admin: {admin}

# 401: where to get a token
curl -i {resource} -d '{{}}' -H 'Content-Type: application/json'
# 403: admin is needed
{denied}
# 200
{reset}
# 401: a token that is bound to a key of the client is needed
{bearer}
"#,
        name = issuer.name(),
        denied = call(resource, "reset", "{}", &user),
        reset = call(resource, "reset", "{}", &admin),
        bearer = call(resource, "delete_user", r#"{"user":"bob"}"#, &admin),
    );
    issuer.name().to_owned()
}

/// A call of a tool with curl, in the protocol of 2026-07-28.
fn call(resource: &str, tool: &str, arguments: &str, token: &str) -> String {
    let meta =
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let params = format!(r#"{{"name":"{tool}","arguments":{arguments},"_meta":{meta}}}"#);
    format!(
        "curl -i {resource} -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    \
         -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' \\\n    \
         -H 'Mcp-Method: tools/call' -H 'Mcp-Name: {tool}' \\\n    \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{params}}}'"
    )
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
