//! TLS with client certificates for [`tower-warden`](tower_warden), on rustls: a listener for axum, and an acceptor for
//! hyper and other servers.
//!
//! Every request has the [`Peer`](tower_warden::request::Peer) and the
//! [`PeerCertificate`](tower_warden::certificate::PeerCertificate) of its connection in its extensions. The client has
//! proved in the TLS handshake that it holds the key of the certificate. The certificate is that of the connection: it does
//! not change while the connection is open, and a resumed session has the certificate of the session's first handshake.
//!
//! - [`TlsFiles`] configures the PEM files of the server and the client certificates that are accepted.
//! - [`TlsAcceptor`] performs handshakes and reloads the files.
//! - `TlsListener` and `with_connection` (feature `axum`) serve an axum application.
//! - [`ConnectionInfo`] is the address and the certificate of a client, and the layer that adds them to requests.
//!
//! # Quick start
//!
//! With axum:
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use tower_warden_tls::{TlsAcceptor, TlsFiles, TlsListener, with_connection};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let files = TlsFiles::new("server.pem", "server.key").client_authorities("clients.pem");
//! let listener = TlsListener::bind("0.0.0.0:443", TlsAcceptor::open(files).await?).await?;
//! let app: Router = Router::new().route("/", get(async || "hello"));
//! axum::serve(listener, with_connection(app)).await?;
//! # Ok(()) }
//! ```
//!
//! With hyper, or any other server of streams:
//!
//! ```no_run
//! use hyper_util::{rt::TokioIo, service::TowerToHyperService};
//! use tower::Layer;
//! # async fn app(_: http::Request<hyper::body::Incoming>) -> Result<http::Response<String>, std::convert::Infallible> {
//! #     Ok(http::Response::new(String::new()))
//! # }
//!
//! # async fn run(acceptor: tower_warden_tls::TlsAcceptor) -> Result<(), Box<dyn std::error::Error>> {
//! # let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let (socket, address) = tcp.accept().await?;
//! let stream = acceptor.accept(socket, address).await?;
//! let service = stream.connection_info().layer(tower::service_fn(app));
//! hyper::server::conn::http1::Builder::new()
//!     .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! # Authentication
//!
//! This crate does not authenticate requests: [`AuthLayer`](tower_warden::layer::AuthLayer) does, with the certificate in
//! one of two roles.
//!
//! **Bound credentials.** A token or API key may be bound to a certificate
//! ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)). Add
//! [`CertificateProof`](tower_warden::certificate::CertificateProof) to the layer: without it, credentials that are bound to
//! a certificate are refused, since nothing proves possession of the certificate.
//!
//! ```
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
//!     certificate::CertificateProof,
//!     layer::AuthLayer,
//! };
//!
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_live")?);
//! let auth = AuthLayer::new(keys).proof(CertificateProof);
//! # let _ = auth;
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! **Certificates as credentials.** [`ClientCertificates`](tower_warden::certificate::ClientCertificates) authenticates
//! requests by their certificate alone. It includes the proof, so that `AuthLayer::new(ClientCertificates::new(directory))`
//! needs no further setup, and neither does a tuple of authenticators that contains it.
//!
//! # Accepted certificates
//!
//! | configuration | client without a certificate | client with a certificate that the authorities did not issue |
//! |---|---|---|
//! | none | is served | is served, its certificate is not requested |
//! | [`client_authorities`](TlsFiles::client_authorities) | is served | is disconnected |
//! | `client_authorities` and [`require_client_certificate`](TlsFiles::require_client_certificate) | is disconnected | is disconnected |
//! | [`danger_any_client_certificate`](TlsFiles::danger_any_client_certificate) | is served | is served, [unverified](tower_warden::certificate::ChainStatus::Unverified) |
//! | `danger_any_client_certificate` and `require_client_certificate` | is disconnected | is served, unverified |
//!
//! A certificate that has expired, or that is not meant for clients, or of X.509 v1, is treated as one that the authorities
//! did not issue.
//! A client that does not hold the key of its certificate is disconnected in every configuration. With TLS 1.3, a client
//! learns that its certificate was refused only when it reads from the connection.
//!
//! # Reloading
//!
//! The files are checked for changes every ten seconds ([`reload_interval`](TlsFiles::reload_interval)), and when
//! [`TlsAcceptor::reload`] is called. New connections use the changed files; TLS sessions that began before the change are
//! not resumed; open connections are not closed. Files that are invalid or do not match each other, for example because
//! only one of them has been replaced yet, are logged as an error, and the previous configuration stays in use.
//!
//! # Features
//!
//! | feature | content | default |
//! |---|---|---|
//! | `axum` | `TlsListener` for `axum::serve` | yes |
//!
//! The cryptographic provider is aws-lc-rs, which needs a C compiler. [`TlsAcceptor::from_server_config`] accepts a
//! configuration with another provider.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
pub use self::listener::{MakeWithConnection, MakeWithConnectionFuture, TlsListener, with_connection};
pub use self::{
    acceptor::{ReloadStatus, TlsAcceptor},
    connection::{ConnectionInfo, WithConnection},
    error::{TlsError, TlsErrorKind},
    files::TlsFiles,
    stream::TlsStream,
};

mod acceptor;
mod connection;
mod error;
mod files;
#[cfg(feature = "axum")]
mod handshakes;
#[cfg(feature = "axum")]
mod listener;
mod stream;
mod verifier;

/// Compiles the README's code.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
