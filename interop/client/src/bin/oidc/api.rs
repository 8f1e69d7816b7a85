//! The API, behind the layers of `tower_warden`.

use std::{
    mem,
    num::NonZeroU32,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Request as ApiRequest, State},
    middleware::{self, Next},
    response::Response as ApiResponse,
    routing::get,
};
use http::StatusCode;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::net::TcpListener;
use tower::Layer;
use tower_warden::{
    Principal,
    caller::SenderConstraint,
    certificate::CertificateProof,
    dpop::{Dpop, Nonces},
    introspection::Introspection,
    jwt::{Issuer as JwtIssuer, Jwt, RemoteKeys},
    layer::{AuthLayer, AuthorizeLayer},
    scope::scopes,
};
use tower_warden_client::{TokenLayer, TokenSource};
use tower_warden_interop::BoxError;
use tower_warden_tls::{TlsAcceptor, TlsFiles, TlsListener, with_connection};

use crate::{api_client::ApiClient, certificates::ClientCertificate, issuer::Issuer};

scopes! {
    /// Change orders.
    OrdersWrite = "orders:write";
}

/// An API on two ports: one with TLS, which asks for a certificate, and one without.
pub(crate) struct Api {
    statuses: Statuses,
    tls_url: String,
    pub(crate) url: String,
}

/// The statuses of all responses.
type Statuses = Arc<Mutex<Vec<StatusCode>>>;

impl Api {
    pub(crate) async fn start(issuer: &Issuer, folder: &Path) -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let statuses = Statuses::default();

        let keys = RemoteKeys::discovery(&issuer.url).connect().await?;
        let jwt = Jwt::new(JwtIssuer::new(&issuer.url, &format!("{url}/jwt"))?, keys);
        let dpop = Dpop::new(&url)?.nonces(Nonces::random()?);
        let plain = Router::new()
            .route("/orders", get(subject))
            .route("/bound", get(subject).route_layer(AuthorizeLayer::sender_constrained(SenderConstraint::Key)))
            .route("/write", get(subject).route_layer(AuthorizeLayer::scoped::<OrdersWrite>()))
            .layer(AuthLayer::new(jwt.clone()).dpop(dpop))
            .merge(opaque(issuer, &url).await?)
            .layer(middleware::from_fn_with_state(Arc::clone(&statuses), record));
        tokio::spawn(async move { axum::serve(listener, plain).await });

        let files = TlsFiles::new(folder.join("server.pem"), folder.join("server.key"));
        let files = files.client_authorities(folder.join("ca.pem"));
        let listener = TlsListener::bind("127.0.0.1:0", TlsAcceptor::open(files).await?).await?;
        let tls_url = format!("https://localhost:{}", listener.local_addr()?.port());
        let bound = AuthorizeLayer::sender_constrained(SenderConstraint::Certificate);
        let tls = Router::new()
            .route("/orders", get(subject).route_layer(bound))
            .layer(AuthLayer::new(jwt).proof(CertificateProof));
        tokio::spawn(async move { axum::serve(listener, with_connection(tls)).await });
        Ok(Self { statuses, tls_url, url })
    }

    /// The resource of JWTs.
    pub(crate) fn resource(&self) -> String {
        format!("{}/jwt", self.url)
    }

    /// The resource of opaque tokens.
    pub(crate) fn opaque_resource(&self) -> String {
        format!("{}/opaque", self.url)
    }

    /// A client of hyper-util whose requests carry tokens.
    pub(crate) fn client(&self, source: impl TokenSource) -> Result<ApiClient, BoxError> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(ApiClient::new(TokenLayer::new(source, &self.url)?.layer(client), &self.url))
    }

    /// A client that also requests more scopes where they are needed.
    pub(crate) fn step_up_client(&self, source: impl TokenSource) -> Result<ApiClient, BoxError> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let layer = TokenLayer::new(source, &self.url)?.step_up(NonZeroU32::MIN);
        Ok(ApiClient::new(layer.layer(client), &self.url))
    }

    /// A client of the port with TLS, which presents this certificate.
    pub(crate) fn tls_client(
        &self,
        source: impl TokenSource,
        certificate: &ClientCertificate,
        authority: &str,
    ) -> Result<ApiClient, BoxError> {
        let tls = certificate.tls(authority)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(ApiClient::new(TokenLayer::new(source, &self.tls_url)?.layer(client), &self.tls_url))
    }

    /// The statuses of responses since the last call, such as `2 401, 2 200`, in the order of their first occurrence.
    pub(crate) fn take_statuses(&self) -> String {
        let statuses = mem::take(&mut *self.statuses.lock().unwrap_or_else(PoisonError::into_inner));
        let mut counts: Vec<(StatusCode, usize)> = Vec::new();
        for status in statuses {
            match counts.iter_mut().find(|(known, _)| *known == status) {
                Some((_, count)) => *count += 1,
                None => counts.push((status, 1)),
            }
        }
        counts.iter().map(|(status, count)| format!("{count} {}", status.as_str())).collect::<Vec<_>>().join(", ")
    }
}

async fn subject(caller: Principal) -> String {
    caller.subject().to_owned()
}

async fn record(State(statuses): State<Statuses>, request: ApiRequest, next: Next) -> ApiResponse {
    let response = next.run(request).await;
    statuses.lock().unwrap_or_else(PoisonError::into_inner).push(response.status());
    response
}

/// A route whose tokens are introspected.
async fn opaque(issuer: &Issuer, url: &str) -> Result<Router, BoxError> {
    let api = issuer.register("api", json!({ "token_endpoint_auth_method": "client_secret_basic" })).await?;
    // It states no subject of tokens that belong to a client.
    let audience = JwtIssuer::new(&issuer.url, &format!("{url}/opaque"))?.client_as_subject();
    let endpoint = format!("{}/token/introspection", issuer.url);
    let introspection = Introspection::new(audience, &endpoint, &api.id, &api.secret)?;
    Ok(Router::new().route("/opaque", get(subject)).layer(AuthLayer::new(introspection)))
}
