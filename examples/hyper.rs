//! A server of hyper, without a framework, with API keys and scopes.
//!
//! ```text
//! cargo run --example hyper
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address to listen on | `127.0.0.1:3000` |
//! | `RUST_LOG` | log filter | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it prints instructions")]

use std::{convert::Infallible, env, error::Error, io};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_warden::{
    Principal,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    layer::{AuthLayer, AuthorizeLayer},
    request::Peer,
    scope::scopes,
};
use tracing_subscriber::EnvFilter;

scopes! {
    /// Read greetings.
    GreetingsRead = "greetings:read";
}

/// Greets the caller, whom the layer has authenticated.
async fn greet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Principal>().expect("the layer admits no other request");
    Ok(Response::new(Full::from(format!("hello {}\n", caller.subject()))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());

    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_demo")?);
    // Only from this machine, to show what the address of the peer is needed for.
    let key = NewKey::new("alice").scopes("greetings:read").networks(["127.0.0.0/8".parse()?]);
    let (_, secret) = keys.mint(key).await?;
    let layers = ServiceBuilder::new().layer(AuthLayer::new(keys)).layer(AuthorizeLayer::scoped::<GreetingsRead>());

    let listener = TcpListener::bind(&listen).await?;
    println!("curl -i http://{}/ -H 'X-API-Key: {}'", listener.local_addr()?, secret.expose());
    loop {
        let (stream, peer) = listener.accept().await?;
        let service = layers.service(service_fn(greet));
        // hyper does not add the address of the peer to its requests.
        let service = tower::util::MapRequestLayer::new(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer::new(peer));
            request
        })
        .layer(service);
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection failed");
            }
        });
    }
}
