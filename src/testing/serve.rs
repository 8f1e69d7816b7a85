//! The HTTP endpoints of a test issuer.

use std::io;

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use serde_json::Value;
use tokio::net::TcpListener;

use super::issuer::TestIssuer;

impl TestIssuer {
    /// An issuer that listens on a free port of 127.0.0.1 until the runtime shuts down; its name is its URL.
    ///
    /// It serves its metadata at the paths of
    /// [RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3) and
    /// [OpenID Connect Discovery §4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig), and its JWK
    /// set at `/jwks`.
    ///
    /// # Errors
    ///
    /// If it cannot listen.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    pub async fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = Self::new(&format!("http://{}", listener.local_addr()?));
        let app = issuer.router();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(issuer)
    }

    /// The routes that it serves, for a custom server.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/jwks", get(jwk_set))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/.well-known/openid-configuration", get(metadata))
            .with_state(self.clone())
    }
}

async fn jwk_set(State(issuer): State<TestIssuer>) -> impl IntoResponse {
    issuer.state().fetches += 1;
    respond(&issuer, issuer.jwk_set())
}

async fn metadata(State(issuer): State<TestIssuer>) -> impl IntoResponse {
    respond(&issuer, issuer.metadata())
}

fn respond(issuer: &TestIssuer, document: Value) -> impl IntoResponse + use<> {
    let status = if issuer.state().is_down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, [(header::CACHE_CONTROL, "max-age=300")], Json(document))
}
