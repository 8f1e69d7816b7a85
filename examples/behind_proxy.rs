//! An API behind a proxy that terminates TLS and forwards client certificates.
//!
//! ```text
//! PROXY=nginx cargo run --example behind_proxy
//! ```
//!
//! Configure the proxy as the documentation of `tower_warden::certificate` shows. `interop/proxies` does so for all four
//! proxies, and sends them valid, foreign, missing and forged certificates.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on, or `unix:` and the path of a socket | `127.0.0.1:3000` |
//! | `PROXY` | `apache`, `caddy`, `haproxy` or `nginx` | `nginx` |
//! | `RUST_LOG` | the log filter | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it prints its address")]

use std::{env, error::Error, io, net::SocketAddr};

use axum::{Json, Router, extract::Request, routing::get};
use http::HeaderName;
use serde_json::{Value, json};
use tower_warden::{
    AuthMethod, Head, Identity, Principal,
    certificate::{CertificateHeader, CertificateMap, CertificateName, ChainStatus, ClientCertificates, ProxyMatcher},
    layer::{AuthLayer, ClientAddressLayer, ForwardedCertificateLayer, PeerLayer},
    request::TrustedProxies,
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let proxy = env::var("PROXY").unwrap_or_else(|_| "nginx".to_owned());
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    match listen.strip_prefix("unix:") {
        Some(path) => serve_unix(path, &proxy).await,
        None => serve_tcp(&listen, &proxy).await,
    }
}

async fn serve_tcp(address: &str, proxy: &str) -> Result<(), Box<dyn Error>> {
    // Only the address of the proxy: every peer that is trusted can forge certificates.
    let app = app(proxy, TrustedProxies::new(["127.0.0.1".parse()?]))?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

#[cfg(unix)]
async fn serve_unix(path: &str, proxy: &str) -> Result<(), Box<dyn Error>> {
    // The permissions of the socket decide who can connect.
    let app = app(proxy, TrustedProxies::default().trust_unix_sockets())?.layer(PeerLayer::unix_socket());
    let listener = tokio::net::UnixListener::bind(path)?;
    println!("listening on unix:{path}");
    axum::serve(listener, app).await?;
    Ok(())
}

#[cfg(not(unix))]
async fn serve_unix(_: &str, _: &str) -> Result<(), Box<dyn Error>> {
    Err("this system has no Unix sockets".into())
}

fn app(proxy: &str, proxies: TrustedProxies) -> Result<Router, Box<dyn Error>> {
    let name = HeaderName::from_static("ssl-client-cert");
    let header = match proxy {
        "apache" | "nginx" => CertificateHeader::escaped_pem(name, ChainStatus::Verified),
        "caddy" | "haproxy" => CertificateHeader::base64_der(name, ChainStatus::Verified),
        other => return Err(format!("PROXY={other}: expected apache, caddy, haproxy or nginx").into()),
    };
    let mut callers = CertificateMap::default();
    for name in ["alice", "bob"] {
        let identity = Identity::new(name, AuthMethod::ClientCertificate);
        callers = callers.with([CertificateName::subject(format!("CN={name}"))], identity);
    }
    // The last layer is the outermost.
    let app = Router::new()
        .route("/whoami", get(whoami))
        .layer(AuthLayer::new(ClientCertificates::new(callers)))
        .layer(ForwardedCertificateLayer::new(header, ProxyMatcher::networks(proxies.clone())))
        .layer(ClientAddressLayer::new(proxies));
    Ok(app)
}

async fn whoami(caller: Principal, request: Request) -> Json<Value> {
    let address = Head::from(&request).client_address();
    Json(json!({ "subject": caller.subject(), "address": address }))
}
