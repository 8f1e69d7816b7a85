//! An authorization server for the development of interactive clients, such as those of MCP servers. It grants each request
//! without asking anyone, to clients that it has created, that register themselves, or that have a metadata document.
//!
//! ```text
//! cargo run --package tower-warden-issuer --example development --features client-documents
//! ISSUER=http://127.0.0.1:3001 cargo run --example mcp     # an MCP server that trusts it
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on, which is loopback | `127.0.0.1:3001` |
//! | `RESOURCE` | the API that tokens are for: their `aud` | `http://127.0.0.1:3000/mcp`, as the example `mcp` has it |
//! | `SCOPES` | the scopes that clients may request | `mcp:tools admin`, as the example `mcp` has them |
//! | `SUBJECT` | the subject of the tokens | `alice` |
//!
//! It prints the id of a public client, the secret of another one, which is created at each start, and lines for curl.
#![expect(clippy::print_stdout, reason = "its output is for the person that runs it")]

use std::{env, error::Error, io, net::SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tower_warden::{fetch::HttpClient, jwt::Algorithm, revocation::MemoryRevocationList};
use tower_warden_issuer::{
    AutoConsent, Client, ClientAuthentication, ClientDocuments, ClientProfile, ClientSecrets, GrantType,
    MemoryClientStore, MemoryRefreshStore, RefreshTokens, SigningKeys, TokenIssuer, issuer_routes,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let listener = TcpListener::bind(variable("LISTEN", "127.0.0.1:3001")).await?;
    let name = format!("http://{}", listener.local_addr()?);
    let (resource, scopes) = (variable("RESOURCE", "http://127.0.0.1:3000/mcp"), variable("SCOPES", "mcp:tools admin"));

    let profile = ClientProfile::new(&resource)?.scopes(&*scopes)?;
    let documents = ClientDocuments::new(profile.clone(), HttpClient::new()?);
    let consent = AutoConsent::new(&variable("SUBJECT", "alice"))?.registration(profile).client_documents(documents);
    let refresh = RefreshTokens::new(MemoryRefreshStore::default(), MemoryRevocationList::default());
    let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
    let issuer = TokenIssuer::builder(&name, clients.clone(), keys)?;
    let issuer = issuer.refresh_tokens(refresh).auto_consent(consent).build()?;

    let interactive = |id| {
        let client = Client::new(id, &resource)?.scopes(&*scopes)?.redirect_uri(CALLBACK)?;
        Ok::<_, Box<dyn Error>>(client.grants([GrantType::AuthorizationCode, GrantType::RefreshToken]))
    };
    clients.insert(interactive("desktop")?.public());
    let (secret, digest) = issuer.generate_secret()?;
    let secrets = ClientSecrets::new(digest);
    let web = interactive("web")?.authentication(ClientAuthentication::SecretBasic(secrets.clone()));
    clients.insert(web.authentication(ClientAuthentication::SecretPost(secrets)));

    println!("listening on {name}");
    println!("tokens for {resource}");
    println!("client desktop public, scopes {scopes}, redirect URI {CALLBACK}");
    println!("client web secret {}, scopes {scopes}, redirect URI {CALLBACK}", secret.expose());
    println!();
    // RFC 7636 appendix B.
    let challenge = "code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let query = format!("response_type=code&client_id=desktop&redirect_uri={CALLBACK}&{challenge}");
    println!("curl -si '{name}/oauth/authorize?{query}' | grep -i location");
    println!(
        "curl {name}/oauth/token -d grant_type=authorization_code -d client_id=desktop -d redirect_uri={CALLBACK} \\\n  \
         -d code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk -d code=CODE"
    );
    // It accepts requests of this machine only, so it needs the addresses of clients.
    let app: Router = issuer_routes(&issuer);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// Any port of this machine.
const CALLBACK: &str = "http://127.0.0.1/callback";
