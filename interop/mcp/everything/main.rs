//! A server with the tools, prompts and resources that the conformance suite of MCP expects.
//!
//! With `GUARD=1` it is behind the layers, and prints `token: …`, which has the scope of everything.
#![expect(clippy::print_stdout, reason = "the output is for the script that runs it")]

use std::{env, error::Error, sync::Arc, time::Duration};

use axum::Router;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio::net::TcpListener;
use tower::Layer;
use tower_warden::{jwt::Jwt, mcp::McpServer, scope::scopes, testing::TestIssuer};

use self::server::Everything;

mod content;
mod rounds;
mod server;
mod skills;
mod tasks;

scopes! {
    /// Everything.
    pub McpTools = "mcp:tools";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let resource = format!("http://{}/mcp", listener.local_addr()?);
    let server = Everything::default();
    let sessions = Arc::new(LocalSessionManager::default());
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), sessions, StreamableHttpServerConfig::default());
    let app = match env::var_os("GUARD") {
        None => Router::new().route_service("/mcp", service),
        Some(_) => {
            let issuer = TestIssuer::new("https://issuer.example");
            let token = issuer.token("alice").audience(&resource).client_id("suite").scope("mcp:tools");
            println!("token: {}", token.expires_in(Duration::from_secs(3600)).sign());
            let mcp = declaration(&resource, issuer.name())?;
            let jwt = Jwt::new(mcp.issuer(issuer.name())?, issuer);
            Router::new().route_service("/mcp", mcp.protect(jwt).layer(service))
        }
    };
    println!("listening on {resource}");
    axum::serve(listener, app).await?;
    Ok(())
}

fn declaration(resource: &str, issuer: &str) -> Result<McpServer, Box<dyn Error>> {
    let mut mcp = McpServer::new(resource)?.authorization_server(issuer)?.require(McpTools::SCOPE);
    for tool in content::tool_names() {
        mcp = mcp.tool(tool, McpTools::SCOPE);
    }
    for prompt in content::PROMPTS {
        mcp = mcp.prompt(prompt, McpTools::SCOPE);
    }
    let mcp = mcp.method("skills/list", McpTools::SCOPE).resource("skill://{+rest}", McpTools::SCOPE)?;
    Ok(mcp.resource("test://{+rest}", McpTools::SCOPE)?)
}
