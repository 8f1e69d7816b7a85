//! The server that third-party clients use: an issuer, an API that trusts it, and routes by which the scripts register
//! clients. It listens twice, without and with TLS. Usage: `interop-issuer <folder>`, into which it writes certificates.
//!
//! `ALGORITHM` is that of access tokens: `ES256` by default.
//!
//! Prints `mtls <url>` and then `issuer <url>`.
#![expect(clippy::print_stdout, reason = "the output is for the script that runs it")]

use std::{
    collections::HashSet,
    env,
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::Router;
use tokio::net::TcpListener;
use tower_warden::{
    dpop::{Dpop, Nonces, PathRewrite},
    jwt::Algorithm,
    revocation::MemoryRevocationList,
};
use tower_warden_issuer::{
    AutoConsent, ClaimsError, ClaimsRequest, ExtraClaims, MemoryClientStore, MemoryRefreshStore, RefreshTokens,
    SigningKeys, TokenExchange, TokenIssuer, issuer_routes,
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

    let (clients, list, suspended) =
        (MemoryClientStore::default(), MemoryRevocationList::default(), Suspended::default());
    // Proofs need a nonce of the issuer.
    let dpop = Dpop::new(&url)?.path_rewrite(PathRewrite::Unchanged)?.nonces(Nonces::random()?);
    let issuer = TokenIssuer::builder(&url, clients.clone(), SigningKeys::generate(algorithm)?)?
        .auto_consent(AutoConsent::new("alice")?)
        .claims(claims(Arc::clone(&suspended)))
        .dpop(dpop)
        .refresh_tokens(RefreshTokens::new(MemoryRefreshStore::default(), list.clone()))
        .token_exchange(TokenExchange::default())
        .build()?;
    let control = Control { clients, issuer: issuer.clone(), suspended };
    let app: Router = issuer_routes(&issuer).merge(api(&issuer, list)?).merge(control.routes());

    certificates::create(&folder)?;
    let files = TlsFiles::new(folder.join("server.pem"), folder.join("server.key"));
    let files = files.client_authorities(folder.join("ca.pem"));
    let tls = TlsListener::bind("127.0.0.1:0", TlsAcceptor::open(files).await?).await?;
    println!("mtls https://localhost:{}", tls.local_addr()?.port());
    println!("issuer {url}");
    let tls = axum::serve(tls, with_connection(app.clone()));
    let plain = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    tokio::try_join!(tls.into_future(), plain.into_future())?;
    Ok(())
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
