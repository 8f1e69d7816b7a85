//! An API that accepts JWT access tokens of any OAuth 2 or OpenID Connect authorization server, and opaque tokens
//! with `INTROSPECTION_URI`.
//!
//! ```text
//! cargo run --example jwt
//! ISSUER=https://auth.example.com AUDIENCE=https://api.example.com cargo run --example jwt
//! ```
//!
//! | variable | what it does | default |
//! |---|---|---|
//! | `ISSUER` | the `iss` of tokens, whose keys are found by discovery | a small issuer in this process, on another port |
//! | `AUDIENCE` | what must be in the `aud` of tokens | the URL of this API |
//! | `JWKS_URI` | where the issuer's keys are, instead of discovery | |
//! | `INTROSPECTION_URI` | the introspection endpoint | none: opaque tokens are refused |
//! | `CLIENT_ID`, `CLIENT_SECRET` | credentials for the introspection endpoint | |
//! | `NETWORKS` | networks in which an issuer may be that is not in public, as `10.0.0.0/8,192.168.0.0/16` | none |
//! | `ROOT_CERTIFICATES` | a PEM file of the private authorities that sign certificates of the issuer | none |
//! | `LISTEN` | where to listen | `127.0.0.1:3000` |
//! | `RUST_LOG` | what to log | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it talks to who runs it")]

use std::{env, error::Error, fs, io, net::SocketAddr, sync::Arc};

use axum::{Json, Router, http::StatusCode, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{
    Authenticator, Principal,
    axum::Scoped,
    fetch::HttpClient,
    introspection::Introspection,
    jwt::{Issuer, Jwt, RemoteKeys},
    layer::AuthLayer,
    metadata::ProtectedResourceMetadata,
    metadata::metadata_routes,
    scope::{Scopes, scopes},
    testing::TestIssuer,
};
use tracing_subscriber::EnvFilter;

scopes! {
    /// Read balances.
    pub BillingRead = "billing:read";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let listener = TcpListener::bind(variable("LISTEN").as_deref().unwrap_or("127.0.0.1:3000")).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");

    let audience = variable("AUDIENCE").unwrap_or_else(|| format!("http://{address}"));
    let issuer = match variable("ISSUER") {
        Some(issuer) => issuer,
        None => greet(&TestIssuer::listen().await?, &audience, address),
    };
    let issuer = Issuer::new(&issuer, &audience)?;
    let jwt = Jwt::new(issuer.clone(), keys(&issuer).await?);
    let resource = ProtectedResourceMetadata::new(&format!("http://{address}"))?
        .authorization_server(issuer.name())?
        .scopes(Scopes::parse("billing:read")?)?;
    let authenticator: Arc<dyn Authenticator> = match variable("INTROSPECTION_URI") {
        Some(uri) => Arc::new((jwt.clone(), introspection(issuer, &uri)?)),
        None => Arc::new(jwt.clone()),
    };

    let api = Router::new()
        .route("/whoami", get(whoami))
        .route("/billing/balance", get(balance))
        .layer(AuthLayer::new(authenticator).challenge(resource.challenge()));
    let ready = move || async move { if jwt.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE } };
    // Outside of the layer: clients read it to find out where to get a token.
    let app = Router::new().nest("/v1", api).route("/ready", get(ready)).merge(metadata_routes(&resource));
    axum::serve(listener, app).await?;
    Ok(())
}

/// The keys of the issuer, by discovery or from `JWKS_URI`.
async fn keys(issuer: &Issuer) -> Result<RemoteKeys, Box<dyn Error>> {
    let keys = match variable("JWKS_URI") {
        Some(uri) => RemoteKeys::builder(&uri),
        None => RemoteKeys::discovery(issuer.name()),
    };
    Ok(keys.fetch(client()?).connect().await?)
}

fn introspection(issuer: Issuer, uri: &str) -> Result<Introspection, Box<dyn Error>> {
    let id = variable("CLIENT_ID").ok_or("INTROSPECTION_URI wants a CLIENT_ID")?;
    let secret = variable("CLIENT_SECRET").ok_or("INTROSPECTION_URI wants a CLIENT_SECRET")?;
    Ok(Introspection::builder(issuer, uri, &id, &secret).fetch(client()?).build()?)
}

fn client() -> Result<HttpClient, Box<dyn Error>> {
    let networks = variable("NETWORKS").unwrap_or_default();
    let networks = networks.split(',').filter(|network| !network.is_empty()).map(str::parse);
    let client = HttpClient::builder().allow_networks(networks.collect::<Result<Vec<_>, _>>()?);
    match variable("ROOT_CERTIFICATES") {
        Some(file) => Ok(client.root_certificates(&fs::read_to_string(file)?)?.build()?),
        None => Ok(client.build()?),
    }
}

async fn whoami(caller: Principal) -> Json<Value> {
    let scopes: Vec<_> = caller.scopes().iter().map(|scope| scope.as_str()).collect();
    let actors: Vec<_> = caller.actors().iter().map(|actor| &*actor.subject).collect();
    Json(json!({
        "subject": caller.subject(),
        "issuer": caller.issuer(),
        "client": caller.client_id(),
        "tenant": caller.tenant(),
        "scopes": scopes,
        "actors": actors,
        "method": caller.method().as_str(),
        "expires_at": caller.expires_at().map(|time| time.as_secs()),
    }))
}

async fn balance(caller: Scoped<BillingRead>) -> Json<Value> {
    Json(json!({ "owner": caller.subject(), "balance": "12.30 EUR" }))
}

/// Shows the name of the issuer in this process, and tokens of it.
fn greet(issuer: &TestIssuer, audience: &str, address: SocketAddr) -> String {
    let token = |subject| issuer.token(subject).audience(audience).client_id("example").scope("billing:read");
    let (alice, agent) = (token("alice").sign(), token("alice").actor("agent-7").scope("billing:write").sign());
    let other = token("alice").audience("https://other.example.com").sign();
    let issuer = issuer.name();
    println!(
        r#"
the issuer is {issuer}, for as long as this process runs
token of alice, good for five minutes: {alice}
token of agent-7 for alice, without billing:read: {agent}
token for another API: {other}

curl -i http://{address}/v1/whoami -H 'Authorization: Bearer {alice}'
curl -i http://{address}/v1/billing/balance -H 'Authorization: Bearer {alice}'
curl -i http://{address}/v1/whoami -H 'Authorization: Bearer {agent}'
curl -i http://{address}/v1/billing/balance -H 'Authorization: Bearer {agent}'  # 403: billing:read is needed
curl -i http://{address}/v1/whoami -H 'Authorization: Bearer {other}'           # 401
curl -i http://{address}/v1/whoami                                              # 401, and where to get a token
curl -i http://{address}/.well-known/oauth-protected-resource
curl -i http://{address}/ready
"#
    );
    issuer.to_owned()
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
