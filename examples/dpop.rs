//! An API whose tokens are of use to nobody but the holder of a key (RFC 9449), and a client of it.
//!
//! ```text
//! cargo run --example dpop
//! ISSUER=https://auth.example.com AUDIENCE=https://api.example.com cargo run --example dpop
//! ```
//!
//! The server listens on loopback. The client makes a key, has a token bound to it by an issuer in the process, and asks
//! for a balance: as it should, and then as a thief would who has seen what it sent.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ISSUER` | the issuer of tokens, whose keys are found by discovery; then only the server runs | an issuer in this process |
//! | `AUDIENCE` | the audience of tokens | `https://api.example` |
//! | `NETWORKS` | private networks in which the issuer may be, such as `10.0.0.0/8,192.168.0.0/16` | none |
//! | `ROOT_CERTIFICATES` | a PEM file of private authorities that sign certificates of the issuer | none |
//! | `LISTEN` | the address to listen on | `127.0.0.1:0` |
#![expect(clippy::print_stdout, reason = "it talks to who runs it")]

use std::{env, error::Error, fs};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower_warden::{
    Clock, Principal, SystemClock,
    dpop::{Dpop, Nonces},
    fetch::HttpClient,
    jwt::{Algorithm, Issuer, Jwt, RemoteKeys},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer},
};

const AUDIENCE: &str = "https://api.example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    if let Ok(issuer) = env::var("ISSUER") {
        let audience = env::var("AUDIENCE").unwrap_or_else(|_| AUDIENCE.to_owned());
        let jwt = Jwt::new(Issuer::new(&issuer, &audience)?, remote_keys(&issuer).await?);
        println!("{url}/balance, with tokens of {issuer} for {audience}");
        axum::serve(listener, app(&url, jwt)?).await?;
        return Ok(());
    }
    let issuer = TestIssuer::new("https://issuer.example");
    let app = app(&url, Jwt::new(Issuer::new(issuer.name(), AUDIENCE)?, issuer.clone()))?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    let key = SigningKey::generate(Algorithm::ES256);
    let token = issuer.token("alice").audience(AUDIENCE).confirmation(&key.confirmation()).sign();
    let mut client = Client::new(key, token, format!("{url}/balance"));

    let first = client.get(Some(client.proof())).await?;
    show("a proof without a nonce, which the server wants", &first, 401);
    show("a proof with the nonce of the answer", &client.get(Some(client.proof())).await?, 200);
    let proof = client.proof();
    show("another proof with the same nonce", &client.get(Some(proof.clone())).await?, 200);
    show("the same proof again", &client.get(Some(proof)).await?, 401);
    show("no proof", &client.get(None).await?, 401);
    client.scheme = "Bearer";
    show("the token as a bearer", &client.get(None).await?, 401);

    client.scheme = "DPoP";
    client.key = SigningKey::generate(Algorithm::ES256);
    show("a proof with the key of a thief", &client.get(Some(client.proof())).await?, 401);
    Ok(())
}

/// The keys of an issuer, which may be in a private network.
async fn remote_keys(issuer: &str) -> Result<RemoteKeys, Box<dyn Error>> {
    let networks = env::var("NETWORKS").unwrap_or_default();
    let networks = networks.split(',').filter(|network| !network.is_empty()).map(str::parse);
    let mut client = HttpClient::builder().allow_networks(networks.collect::<Result<Vec<_>, _>>()?);
    if let Ok(file) = env::var("ROOT_CERTIFICATES") {
        client = client.root_certificates(&fs::read_to_string(file)?)?;
    }
    Ok(RemoteKeys::discovery(issuer).fetch(client.build()?).connect().await?)
}

fn app(url: &str, jwt: Jwt) -> Result<Router, Box<dyn Error>> {
    // The URL that clients see; behind a proxy, it is the proxy's.
    let dpop = Dpop::new(url)?.nonces(Nonces::random()?);
    let balance = async |caller: Principal| format!("the balance of {}", caller.subject());
    Ok(Router::new().route("/balance", get(balance)).layer(AuthLayer::new(jwt).dpop(dpop)))
}

/// Sends requests with a token, and with proofs if they are requested.
struct Client {
    http: HyperClient<HttpConnector, Body>,
    key: SigningKey,
    nonce: Option<String>,
    scheme: &'static str,
    token: String,
    url: String,
}

impl Client {
    fn new(key: SigningKey, token: String, url: String) -> Self {
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Self { http, key, nonce: None, scheme: "DPoP", token, url }
    }

    /// A proof for the next request, with the newest nonce.
    fn proof(&self) -> String {
        let proof = self.key.proof("GET", &self.url, &self.token, SystemClock::default().now());
        match &self.nonce {
            Some(nonce) => proof.claim("nonce", nonce.as_str()).sign(),
            None => proof.sign(),
        }
    }

    async fn get(&mut self, proof: Option<String>) -> Result<Response<Incoming>, Box<dyn Error>> {
        let authorization = format!("{} {}", self.scheme, self.token);
        let mut request = Request::get(&self.url).header("authorization", authorization);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        let response = self.http.request(request.body(Body::empty())?).await?;
        if let Some(nonce) = response.headers().get("dpop-nonce") {
            self.nonce = Some(nonce.to_str()?.to_owned());
        }
        Ok(response)
    }
}

fn show(what: &str, response: &Response<Incoming>, expected: u16) {
    println!("{what}: {}", response.status());
    for challenge in response.headers().get_all("www-authenticate") {
        println!("    {}", String::from_utf8_lossy(challenge.as_bytes()));
    }
    assert_eq!(response.status(), expected);
}
