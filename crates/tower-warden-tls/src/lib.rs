//! TLS with client certificates: a listener for axum, and an acceptor for hyper.
//!
//! Each request gets the [`Peer`](crate::request::Peer) and the
//! [`PeerCertificate`](crate::certificate::PeerCertificate) of its connection, which has proved to hold the
//! certificate's key. A certificate belongs to the connection: it does not change while that is open, and a resumed
//! session keeps the one that it began with.
//!
//! With the feature `axum`:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_warden::tls::{TlsAcceptor, TlsFiles, TlsListener, with_connection};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let files = TlsFiles::new("server.pem", "server.key").client_authorities("clients.pem");
//! let listener = TlsListener::bind("0.0.0.0:443", TlsAcceptor::open(files).await?).await?;
//! let app: Router = Router::new().route("/", get(async || "hello"));
//! axum::serve(listener, with_connection(app)).await?;
//! # Ok(()) }
//! ```
//!
//! and with hyper, or whatever else serves a stream:
//!
//! ```no_run
//! use hyper_util::{rt::TokioIo, service::TowerToHyperService};
//! use tower::Layer;
//! # async fn app(_: http::Request<hyper::body::Incoming>) -> Result<http::Response<String>, std::convert::Infallible> {
//! #     Ok(http::Response::new(String::new()))
//! # }
//!
//! # async fn run(acceptor: tower_warden::tls::TlsAcceptor) -> Result<(), Box<dyn std::error::Error>> {
//! # let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let (socket, address) = tcp.accept().await?;
//! let stream = acceptor.accept(socket, address).await?;
//! let service = stream.connection().layer(tower::service_fn(app));
//! hyper::server::conn::http1::Builder::new()
//!     .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! # Which certificates
//!
//! | set up with | a client without a certificate | a client whose certificate the authorities did not issue |
//! |---|---|---|
//! | nothing | is served | is not asked for it |
//! | [`client_authorities`](TlsFiles::client_authorities) | is served, without one | is disconnected |
//! | and [`require_client_certificate`](TlsFiles::require_client_certificate) | is disconnected | is disconnected |
//! | [`danger_any_client_certificate`](TlsFiles::danger_any_client_certificate) | as above | is served, [unverified](crate::certificate::ChainStatus::Unverified) |
//!
//! # Files that change
//!
//! The files are looked at every ten seconds, and when [`reload`](TlsAcceptor::reload) is called. New connections get
//! what is in them then; sessions from before are not resumed, and connections that are open stay so. Files that do not
//! fit together, half of them replaced for example, are an error in the log, and what was good before stays.

#[cfg(feature = "axum")]
pub use self::listener::{MakeWithConnection, TlsListener, with_connection};
pub use self::{
    acceptor::{Reloaded, TlsAcceptor},
    connection::{Connected, Connection},
    error::{TlsError, TlsErrorKind},
    files::TlsFiles,
    stream::TlsStream,
};

mod acceptor;
mod connection;
mod error;
mod files;
#[cfg(feature = "axum")]
mod listener;
mod stream;
mod verifier;
