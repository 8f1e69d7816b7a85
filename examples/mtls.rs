//! An API whose tokens are bound to client certificates (RFC 8705).
//!
//! ```text
//! cargo run --example mtls
//! ISSUER=https://auth.example.com AUDIENCE=https://api.example.com cargo run --example mtls
//! ```
//!
//! The first run creates an authority, a certificate for the server, and client certificates for alice, batch and mallory.
//! An in-process issuer signs a token that is bound to alice's certificate. The program prints curl commands, and which of
//! them are refused. With `ISSUER`, tokens of that issuer are accepted instead. Certificates that are replaced in the directory apply to new connections within ten seconds.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ISSUER` | the issuer of tokens, whose keys are found by discovery | an issuer in this process |
//! | `AUDIENCE` | the audience of tokens | `https://localhost:3443` |
//! | `NETWORKS` | private networks in which the issuer may be, such as `10.0.0.0/8,192.168.0.0/16` | none |
//! | `ROOT_CERTIFICATES` | a PEM file of private authorities that sign certificates of the issuer | none |
//! | `DIRECTORY` | the directory of certificates and keys | `mtls-demo` |
//! | `LISTEN` | the address to listen on | `127.0.0.1:3443` |
//! | `RUST_LOG` | the log filter | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it prints commands for the user")]

use std::{
    env,
    error::Error,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    Json, Router,
    routing::{delete, get},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tower_warden::{
    AuthMethod, Digest, Identity, Principal,
    caller::{Confirmation, SenderConstraint},
    certificate::{CertificateMap, CertificateName, ClientCertificates},
    fetch::HttpClient,
    jwt::{Issuer, Jwt, RemoteKeys},
    layer::{AuthLayer, AuthorizeLayer},
    testing::TestIssuer,
};
use tower_warden_tls::{TlsAcceptor, TlsFiles, TlsListener, with_connection};
use tracing_subscriber::EnvFilter;

const AUDIENCE: &str = "https://localhost:3443";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tower_warden=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let directory = PathBuf::from(env::var("DIRECTORY").unwrap_or_else(|_| "mtls-demo".to_owned()));
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3443".to_owned());
    if !directory.join("ca.pem").exists() {
        create_certificates(&directory)?;
    }

    let path = |name: &str| directory.join(name);
    let files = TlsFiles::new(path("server.pem"), path("server.key")).client_authorities(path("ca.pem"));
    let listener = TlsListener::bind(listen, TlsAcceptor::open(files).await?).await?;
    let jwt = match env::var("ISSUER") {
        Ok(issuer) => {
            println!("listening on https://{}", listener.local_addr()?);
            let audience = env::var("AUDIENCE").unwrap_or_else(|_| AUDIENCE.to_owned());
            Jwt::new(Issuer::new(&issuer, &audience)?, remote_keys(&issuer).await?)
        }
        Err(_) => {
            let issuer = TestIssuer::new("https://issuer.example");
            print_commands(&directory, listener.local_addr()?, &issuer)?;
            Jwt::new(Issuer::new(issuer.name(), AUDIENCE)?, issuer)
        }
    };
    axum::serve(listener, with_connection(app(jwt))).await?;
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

fn app(jwt: Jwt) -> Router {
    // Requests without a token are authenticated by their certificate. `ClientCertificates` includes the proof that
    // bound tokens need; with `jwt` alone, add `.proof(CertificateProof)` to the layer.
    let batch = Identity::new("batch", AuthMethod::ClientCertificate);
    let machines = CertificateMap::default().with([CertificateName::subject("CN=batch")], batch);
    Router::new()
        .route("/users/{id}", delete(async || "deleted"))
        .route_layer(AuthorizeLayer::sender_constrained(SenderConstraint::Certificate))
        .route("/whoami", get(whoami))
        .layer(AuthLayer::new((jwt, ClientCertificates::new(machines))))
}

async fn whoami(caller: Principal) -> Json<Value> {
    Json(json!({
        "subject": caller.subject(),
        "method": caller.method().as_str(),
        "bound": caller.confirmation().is_some(),
    }))
}

/// Creates an authority and the certificates that it issues.
fn create_certificates(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut params = named("tower-warden demo");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut server = named("localhost");
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    server.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress(address)];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let clients = ["alice", "batch", "mallory"].map(|name| {
        let mut client = named(name);
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (name, client)
    });
    for (name, params) in [("server", server)].into_iter().chain(clients) {
        let key = KeyPair::generate()?;
        fs::write(directory.join(format!("{name}.pem")), params.signed_by(&key, &authority)?.pem())?;
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem())?;
    }
    // Written last: its presence means that all other files are complete.
    fs::write(directory.join("ca.pem"), authority.as_ref().pem())?;
    Ok(())
}

/// Issues tokens, one of them bound to alice's certificate, and prints commands that use them.
fn print_commands(directory: &Path, address: SocketAddr, issuer: &TestIssuer) -> Result<(), Box<dyn Error>> {
    let certificate = CertificateDer::from_pem_file(directory.join("alice.pem"))?;
    let bound = Confirmation::certificate(Digest::of(&certificate));
    let token = || issuer.token("alice").audience(AUDIENCE).expires_in(Duration::from_secs(3600));
    let (bound, unbound) = (token().confirmation(&bound).sign(), token().sign());
    let directory = directory.display();
    let curl = format!("curl -i --cacert {directory}/ca.pem https://localhost:{}", address.port());
    let with = |name: &str| format!("--cert {directory}/{name}.pem --key {directory}/{name}.key");
    let (alice, batch, mallory) = (with("alice"), with("batch"), with("mallory"));
    println!(
        r"
listening on https://{address}
token, bound to alice's certificate: {bound}
token, not bound: {unbound}

{curl}/whoami {alice} -H 'Authorization: Bearer {bound}'
{curl}/whoami {mallory} -H 'Authorization: Bearer {bound}'     # 401: another certificate
{curl}/whoami -H 'Authorization: Bearer {bound}'     # 401: no certificate
{curl}/whoami {batch}     # the certificate suffices
{curl}/whoami {mallory}     # 401: unknown certificate
{curl}/users/7 -X DELETE {alice} -H 'Authorization: Bearer {bound}'
{curl}/users/7 -X DELETE {alice} -H 'Authorization: Bearer {unbound}'     # 401: not bound
"
    );
    Ok(())
}
