//! A gRPC service of tonic with API keys and scopes: the standard health service, and a client that calls it.
//!
//! ```text
//! cargo run --example grpc
//! LISTEN=127.0.0.1:50051 cargo run --example grpc
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address to listen on; the server then runs until it is interrupted | none: a free port, and only the client |
//! | `RUST_LOG` | log filter | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it prints what the client gets")]

use std::{env, error::Error, io, net::SocketAddr};

use tokio::{net::TcpListener, signal};
use tonic::{
    Request,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower_warden::{
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    layer::{AuthLayer, AuthorizeLayer},
    refusal::GrpcStatus,
    scope::scopes,
};
use tracing_subscriber::EnvFilter;

scopes! {
    /// Read the health of services.
    HealthRead = "health:read";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let listen = env::var("LISTEN").ok();

    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_demo")?);
    let (_, reader) = keys.mint(NewKey::new("reader").scopes("health:read")).await?;
    let (_, other) = keys.mint(NewKey::new("other")).await?;

    // Each layer responds with a gRPC status: the body type of tonic is not made from bytes.
    let status = || GrpcStatus::default().domain("health.example.com");
    let auth = AuthLayer::new(keys).respond_with(status());
    let read = AuthorizeLayer::scoped::<HealthRead>().respond_with(status());
    let (_reporter, health) = tonic_health::server::health_reporter();

    let listener = TcpListener::bind(listen.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let address = listener.local_addr()?;
    let server = Server::builder().layer(auth).layer(read).add_service(health);
    let server = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    println!("a key with the scope health:read: {}", reader.expose());
    for (name, key) in
        [("with the scope", Some(reader.expose())), ("without it", Some(other.expose())), ("no key", None)]
    {
        println!("{name}: {}", call(address, key).await?);
    }
    if listen.is_some() {
        println!("listening on {address}");
        signal::ctrl_c().await?;
    }
    server.abort();
    Ok(())
}

/// Calls the service, and describes the result.
async fn call(address: SocketAddr, key: Option<&str>) -> Result<String, Box<dyn Error>> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse()?);
    }
    Ok(match HealthClient::new(channel).check(request).await {
        Ok(response) => format!("{:?}", response.into_inner().status()),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    })
}
