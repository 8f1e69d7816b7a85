//! An API that trusts the issuer, behind the layers of `tower_warden`.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use tower_warden::{
    ConfigError, Principal,
    certificate::CertificateProof,
    dpop::Dpop,
    jwt::{Issuer, Jwt},
    layer::{AuthLayer, AuthorizeLayer},
    revocation::RevocationList,
    scope::scopes,
};
use tower_warden_issuer::TokenIssuer;

scopes! {
    /// Read orders.
    OrdersRead = "orders:read";
}

/// The path of the API, whose URL is the resource of its tokens.
pub(crate) const PATH: &str = "/orders";

/// `GET /orders` responds with the caller, whose token has the scope `orders:read`.
pub(crate) fn api(issuer: &TokenIssuer, revocations: impl RevocationList) -> Result<Router, ConfigError> {
    let resource = format!("{}{PATH}", issuer.name());
    let jwt = Jwt::new(Issuer::new(issuer.name(), &resource)?.strict(), issuer.keys());
    let auth = AuthLayer::new(jwt).dpop(Dpop::new(issuer.name())?).proof(CertificateProof).revocations(revocations);
    Ok(Router::new().route(PATH, get(caller)).layer(AuthorizeLayer::scoped::<OrdersRead>()).layer(auth))
}

async fn caller(caller: Principal) -> Json<Value> {
    Json(json!({ "bound": caller.confirmation().is_some(), "subject": caller.subject(), "tenant": caller.tenant() }))
}
