//! An API for callers that sign their requests (RFC 9421), and a client of it.
//!
//! ```text
//! cargo run --example signed
//! LISTEN=127.0.0.1:8080 cargo run --example signed
//! ```
//!
//! | route | who may call it |
//! |---|---|
//! | `GET`, `POST /signed` | the agent, with its own key, and the holder of the shared secret: `keyid="shared"`, `hmac-sha256` |
//! | `POST /hmac`, `POST /webhooks/standard` | the holder of the shared secret, by signatures of webhooks |
//! | `POST /transfer` | the holder of an API key and its secret: the key alone is refused |
//! | `GET /crawl` | the agent, by the directory that `Signature-Agent` names (Web Bot Auth) |
//! | `GET /.well-known/http-message-signatures-directory` | everybody: the directory of the agent |
//!
//! Without `LISTEN`, a client sends requests as it should, and as an attacker would who has seen them; then the process exits.
//! With it, the process prints commands that sign with `openssl`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on; then only the server runs | `127.0.0.1:0` |
//! | `ORIGIN` | the origin by which clients call the server: an `https` one, unless the host is this machine | that of the address, or of this machine if the server listens on all addresses |
#![expect(clippy::print_stdout, reason = "it talks to who runs it")]

use std::{
    env,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, body::Body, routing::get};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response, request};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_warden::{
    AuthMethod, Clock, Digest, Identity, Principal, SystemClock, Unavailable,
    jwt::{Algorithm, VerifyingKey},
    layer::{AuthLayer, BodyCheckLayer},
    signature::{
        AgentDirectory, ContentDigestCheck, HmacKey, MessageKey, MessageSigner, SignatureAgents, SignatureAlgorithm,
        SignatureKeyMap, SignaturePolicy, Signatures,
    },
    testing::SigningKey,
};

#[path = "signed/webhooks.rs"]
mod webhooks;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = env::var("LISTEN");
    let listener = TcpListener::bind(listen.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let url = url_of(listener.local_addr()?);
    let origin = env::var("ORIGIN").unwrap_or_else(|_| url.clone());
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(random().as_bytes()));
    let agent = Agent::new();
    let (transfer, instructions) = webhooks::transfer(&url, &secret, random().as_bytes()).await?;
    let app = app(&origin, secret.as_bytes(), &agent)?.merge(webhooks::routes(&secret)?).merge(transfer);
    println!("listening on {url}");
    println!("shared secret: {secret}");
    if listen.is_ok() {
        println!("{instructions}");
        axum::serve(listener, app).await?;
        return Ok(());
    }
    tokio::spawn(async move { axum::serve(listener, app).await });
    call(&url, secret.as_bytes(), agent).await
}

/// The URL by which this machine reaches an address on which a server listens.
fn url_of(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}")
}

/// 32 random bytes.
fn random() -> Digest {
    Digest::of(SigningKey::generate(Algorithm::HS256).jwk().to_string().as_bytes())
}

/// The routes, each with the signatures that it accepts.
fn app(origin: &str, secret: &[u8], agent: &Agent) -> Result<Router, Box<dyn Error>> {
    let known = |name: &str| Identity::new(name, AuthMethod::Signature);
    let keys = SignatureKeyMap::default().with(agent.key_id(), agent.0.key.verifying_key(), known("agent")).with(
        "shared",
        VerifyingKey::hmac(Algorithm::HS256, secret)?,
        known("holder of the secret"),
    );
    let signatures = Signatures::new(SignaturePolicy::new(origin)?, keys);
    let hello = async |caller: Principal| format!("hello, {}\n", caller.subject());
    let signed = Router::new().route("/signed", get(hello).post(hello)).layer(
        ServiceBuilder::new()
            .layer(BodyCheckLayer::new(ContentDigestCheck::default()))
            .layer(AuthLayer::new(signatures)),
    );

    let agents = SignatureAgents::builder().agent(origin, known("crawler")).build()?;
    let crawlers = Signatures::new(SignaturePolicy::web_bot_auth(origin)?, agents);
    let crawl = Router::new().route("/crawl", get(hello)).layer(
        ServiceBuilder::new().layer(BodyCheckLayer::new(ContentDigestCheck::default())).layer(AuthLayer::new(crawlers)),
    );
    let directory = AgentDirectory::new(origin)?.key(&agent.0.key.jwk().to_string(), agent.clone())?;
    Ok(Router::from(directory).merge(signed).merge(crawl))
}

/// A key whose id is its thumbprint, as agents have it. In production, it may be in a key management service.
#[derive(Clone, Debug)]
struct Agent(Arc<AgentKey>);

#[derive(Debug)]
struct AgentKey {
    id: String,
    key: SigningKey,
}

impl Agent {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::EdDSA);
        let id = key.verifying_key().thumbprint().expect("it is a public key").to_base64url();
        Self(Arc::new(AgentKey { id, key }))
    }
}

impl MessageKey for Agent {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }

    fn key_id(&self) -> &str {
        &self.0.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Ok(self.0.key.sign(message))
    }
}

/// Sends the requests of a client and of an attacker.
async fn call(url: &str, secret: &[u8], agent: Agent) -> Result<(), Box<dyn Error>> {
    let client = HyperClient::builder(TokioExecutor::new()).build_http();
    let now = || SystemClock::default().now();
    let request = |path: &str| Ok::<_, http::Error>(Request::post(format!("{url}{path}")).body(())?.into_parts().0);
    let signer = MessageSigner::new(agent.clone());

    let mut signed = request("/signed")?;
    signer.sign_request(&mut signed, b"12 EUR", now())?;
    show("another body under the same signature", &send(&client, &signed, "99 EUR").await?, 401);
    show("a request that the agent has signed", &send(&client, &signed, "12 EUR").await?, 200);
    show("the same request again", &send(&client, &signed, "12 EUR").await?, 401);

    let mut signed = request("/signed")?;
    MessageSigner::new(HmacKey::new("shared", secret)?).sign_request(&mut signed, b"", now())?;
    show("a request that is signed with the shared secret", &send(&client, &signed, "").await?, 200);
    show("a request without a signature", &send(&client, &request("/signed")?, "").await?, 401);

    let mut signed = Request::get(format!("{url}/crawl")).body(())?.into_parts().0;
    signed.headers.insert("signature-agent", format!("sig1=\"{url}{}\"", AgentDirectory::path()).parse()?);
    let crawler = MessageSigner::new(agent).tag("web-bot-auth")?.expires_after(std::time::Duration::from_secs(60));
    let crawler = crawler.components(["@authority", "\"signature-agent\";key=\"sig1\""])?;
    crawler.sign_request(&mut signed, b"", now())?;
    show("a crawler that is found by its directory", &send(&client, &signed, "").await?, 200);
    Ok(())
}

async fn send(
    client: &HyperClient<HttpConnector, Body>,
    parts: &request::Parts,
    body: &'static str,
) -> Result<Response<Incoming>, Box<dyn Error>> {
    Ok(client.request(Request::from_parts(parts.clone(), Body::from(Bytes::from(body)))).await?)
}

fn show(what: &str, response: &Response<Incoming>, expected: u16) {
    println!("{what}: {}", response.status());
    if let Some(accepted) = response.headers().get("accept-signature") {
        println!("    accept-signature: {}", String::from_utf8_lossy(accepted.as_bytes()));
    }
    assert_eq!(response.status(), expected);
}
