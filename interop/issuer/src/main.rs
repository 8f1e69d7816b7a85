//! The server that third-party clients use: an issuer, an API that trusts it, and routes by which the scripts register
//! clients. It listens without TLS, with TLS for client certificates of its authority, and with TLS for any client certificate.
//! Usage: `interop-issuer <folder>`, into which it writes certificates and keys.
//!
//! `ALGORITHM` is that of access tokens: `ES256` by default.
//!
//! Prints `mtls <url>`, `any <url>` and then `issuer <url>`.
#![expect(clippy::print_stdout, reason = "the output is for the script that runs it")]

use std::{
    collections::HashSet,
    env,
    error::Error,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::Router;
use tokio::net::TcpListener;
use tower_warden::{
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
    dpop::{Dpop, Nonces, PathRewrite},
    jwt::{Algorithm, StaticKeys, VerifyingKey},
    revocation::MemoryRevocationList,
};
use tower_warden_issuer::{
    AutoConsent, ClaimsError, ClaimsRequest, ClientProfile, ExtraClaims, JwtBearer, KeyOwners, MemoryClientStore,
    MemoryRefreshStore, RefreshTokens, SigningKeys, Subjects, TokenExchange, TokenIssuer, issuer_routes,
};
use tower_warden_tls::{TlsAcceptor, TlsFiles, TlsListener, with_connection};

use self::{api::api, control::Control};

mod api;
mod certificates;
mod control;

/// The subjects that get no more tokens.
type Suspended = Arc<Mutex<HashSet<String>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("the argument is a folder")?);
    let algorithm = env::var("ALGORITHM").unwrap_or_else(|_| "ES256".to_owned());
    let algorithm = Algorithm::from_name(&algorithm).ok_or("ALGORITHM is ES256, EdDSA or RS256")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);

    certificates::create(&folder)?;
    let (clients, list, suspended) =
        (MemoryClientStore::default(), MemoryRevocationList::default(), Suspended::default());
    let orders = format!("{url}{}", api::PATH);
    let api_keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_interop")?);
    let registration = ClientProfile::new(&orders)?.scopes("orders:read orders:write")?;
    let workloads = workload_keys(&folder)?;
    // Proofs need a nonce of the issuer.
    let dpop = Dpop::new(&url)?.path_rewrite(PathRewrite::Unchanged)?.nonces(Nonces::random()?);
    let issuer = TokenIssuer::builder(&url, clients.clone(), SigningKeys::generate(algorithm)?)?
        .api_keys(KeyOwners::new(api_keys.clone(), &orders)?)
        .auto_consent(AutoConsent::new("alice")?.registration(registration))
        .claims(claims(Arc::clone(&suspended)))
        .dpop(dpop)
        .jwt_bearer(JwtBearer::default().trust(WORKLOADS, workloads, Subjects::prefixed("workload:"))?)
        .mutual_tls()
        .refresh_tokens(RefreshTokens::new(MemoryRefreshStore::default(), list.clone()))
        .token_exchange(TokenExchange::default())
        .build()?;
    let control = Control { api_keys, clients, issuer: issuer.clone(), suspended };
    let app: Router = issuer_routes(&issuer).merge(api(&issuer, list)?).merge(control.routes());

    let files = || TlsFiles::new(folder.join("server.pem"), folder.join("server.key"));
    let issued = serve_tls("mtls", files().client_authorities(folder.join("ca.pem")), app.clone()).await?;
    let any = serve_tls("any", files().danger_any_client_certificate(), app.clone()).await?;
    println!("issuer {url}");
    let plain = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    tokio::try_join!(issued, any, plain.into_future())?;
    Ok(())
}

/// Listens with TLS, and prints the URL.
async fn serve_tls(
    name: &str,
    files: TlsFiles,
    app: Router,
) -> Result<impl Future<Output = io::Result<()>>, Box<dyn Error>> {
    let listener = TlsListener::bind("127.0.0.1:0", TlsAcceptor::open(files).await?).await?;
    println!("{name} https://localhost:{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, with_connection(app)).into_future())
}

/// The issuer of assertions whose key is `workload.key`.
const WORKLOADS: &str = "https://workloads.example.com";

/// Creates the key of this issuer.
fn workload_keys(folder: &Path) -> Result<StaticKeys, Box<dyn Error>> {
    let key = rcgen::KeyPair::generate()?;
    fs::write(folder.join("workload.key"), key.serialize_pem())?;
    Ok(StaticKeys::new([VerifyingKey::from_pem(Algorithm::ES256, &key.public_key_pem())?])?)
}

/// The tenant of each subject, unless it is suspended.
fn claims(suspended: Suspended) -> impl Fn(&ClaimsRequest<'_>) -> Result<ExtraClaims, ClaimsError> {
    move |request| {
        if suspended.lock().unwrap_or_else(PoisonError::into_inner).contains(request.subject) {
            return Err(ClaimsError::Refused);
        }
        ExtraClaims::default().with("tenant", "acme").map_err(|_| ClaimsError::Refused)
    }
}
