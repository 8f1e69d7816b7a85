//! A token endpoint with two clients, which are created at its start and lost at its end.
//!
//! ```text
//! cargo run --example issuer
//! ISSUER=http://127.0.0.1:3001 cargo run --example jwt     # an API that trusts it
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on | `127.0.0.1:3001` |
//! | `ISSUER` | the identifier, an `https` URL unless the host is loopback | the URL of the address |
//! | `RESOURCE` | the API that tokens are for: their `aud` | `http://127.0.0.1:3000`, as the example `jwt` has it |
//! | `ALGORITHM` | `ES256`, `EdDSA` or `RS256` | `ES256` |
//!
//! It prints the secret of each client once, and lines for curl.
#![expect(clippy::print_stdout, reason = "its output is for the person that runs it")]

use std::{env, error::Error, io, net::SocketAddr, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_warden::{
    api_key::{ApiKeys, KeyFormat, KeySecret, MemoryKeyStore, NewKey},
    audit::{AuditLog, TracingSink},
    jwt::Algorithm,
    layer::{AuditLayer, FailureLimitLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    revocation::MemoryRevocationList,
};
use tower_warden_issuer::{
    Client, ClientAuthentication, ClientSecrets, GrantType, KeyOwners, MemoryClientStore, MemoryRefreshStore,
    RefreshTokenRequest, RefreshTokens, SigningKeys, TokenExchange, TokenIssuer, issuer_routes,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let listener = TcpListener::bind(variable("LISTEN", "127.0.0.1:3001")).await?;
    let address = listener.local_addr()?;
    let name = variable("ISSUER", &format!("http://{address}"));
    let resource = variable("RESOURCE", "http://127.0.0.1:3000");
    let algorithm = variable("ALGORITHM", "ES256");
    let algorithm = Algorithm::from_name(&algorithm).ok_or("ALGORITHM is ES256, EdDSA or RS256")?;

    let clients = MemoryClientStore::default();
    let keys = SigningKeys::generate(algorithm)?.rotate_every(Duration::from_secs(24 * 3600))?;
    let refresh = RefreshTokens::new(MemoryRefreshStore::default(), MemoryRevocationList::default());
    let api_keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
    let issuer = TokenIssuer::builder(&name, clients.clone(), keys)?
        .refresh_tokens(refresh)
        .token_exchange(TokenExchange::default())
        .api_keys(KeyOwners::new(api_keys.clone(), &resource)?)
        .agent_api()
        .build()?;

    println!("listening on http://{address}");
    println!("issuer {name}, tokens for {resource}");
    let reader = register(&issuer, &clients, "reader", &resource, "billing:read")?;
    let agent = register(&issuer, &clients, "agent", &resource, "billing:read billing:write")?;
    let first = issuer.issue_refresh_token(&RefreshTokenRequest::new("reader", "alice")).await?;
    let (secret, token) = (reader.expose(), first.expose());
    println!();
    let endpoint = format!("curl -u reader:{secret} {name}/oauth");
    println!("{endpoint}/token -d grant_type=client_credentials -d scope=billing:read");
    println!("{endpoint}/token -d grant_type=refresh_token -d refresh_token={token}");
    println!(
        "{endpoint}/token -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange -d subject_token=TOKEN \
         -d subject_token_type=urn:ietf:params:oauth:token-type:access_token"
    );
    let (_, key) = api_keys.mint(NewKey::new("owner").scopes("billing:read")).await?;
    println!("curl -u owner:{} {name}/oauth/token -d grant_type=client_credentials", key.expose());
    let login = format!(r#"{{"agent_id":"agent","agent_secret":"{}"}}"#, agent.expose());
    println!("curl {name}/auth/token -H content-type:application/json -d '{login}'");
    println!("{endpoint}/introspect -d token=TOKEN");
    println!("{endpoint}/revoke -d token=TOKEN");

    // The endpoint is public: each peer has 120 requests a minute, and 10 wrong secrets. Each request is an event in the log,
    // with the client, the grant and the id of the token.
    let (limiter, failures) = (LocalRateLimiter::default(), Quota::per_minute(10).named("failures"));
    let limits = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(TracingSink::default())))
        .layer(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_minute(120)))
        .layer(FailureLimitLayer::new("failures", limiter, LimitBy::peer(), failures));
    let app: Router = issuer_routes(&issuer).layer(limits);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// Registers a client with a new secret, and prints it.
fn register(
    issuer: &TokenIssuer,
    clients: &MemoryClientStore,
    id: &str,
    resource: &str,
    scopes: &str,
) -> Result<KeySecret, Box<dyn Error>> {
    let (secret, digest) = issuer.generate_secret()?;
    let secrets = ClientSecrets::new(digest);
    let client = Client::new(id, resource)?
        .authentication(ClientAuthentication::SecretBasic(secrets.clone()))
        .authentication(ClientAuthentication::SecretPost(secrets.clone()))
        .authentication(ClientAuthentication::AgentSecret(secrets))
        .grants([GrantType::ClientCredentials, GrantType::RefreshToken, GrantType::TokenExchange])
        .scopes(scopes)?;
    clients.insert(client);
    println!("client {id} secret {}, scopes {scopes}", secret.expose());
    Ok(secret)
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}
