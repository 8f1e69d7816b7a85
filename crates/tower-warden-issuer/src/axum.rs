use std::collections::BTreeSet;

use axum::{Router, body::Body};

use crate::{TokenIssuer, endpoint::Development, issuer::paths};

/// Creates the routes of an issuer: the endpoints for tokens, revocation and introspection, the key set and the metadata;
/// and an authorization endpoint, which refuses all requests unless the issuer has [`AutoConsent`](crate::AutoConsent).
///
/// They are at the path of the issuer's identifier, and the metadata at the well-known path
/// ([RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)): merge them into the outermost router. They need no
/// [`AuthLayer`](tower_warden::layer::AuthLayer), because clients authenticate to the token endpoint itself.
///
/// # Examples
///
/// ```
/// use axum::body::Body;
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_issuer::{MemoryClientStore, SigningKeys, TokenIssuer, issuer_routes};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
/// let issuer = TokenIssuer::builder("https://example.com/auth", clients, keys)?.build()?;
/// let app = issuer_routes(&issuer);
///
/// let path = "/.well-known/oauth-authorization-server/auth";
/// assert_eq!(app.clone().oneshot(Request::get(path).body(Body::empty())?).await?.status(), 200);
/// assert_eq!(app.oneshot(Request::get("/oauth/jwks").body(Body::empty())?).await?.status(), 404);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn issuer_routes<S>(issuer: &TokenIssuer) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let base = issuer.0.base_path();
    let metadata = format!("{}{base}", paths::METADATA);
    let own = [paths::AUTHORIZE, paths::INTROSPECT, paths::JWK_SET, paths::REVOKE, paths::TOKEN];
    // Only if they exist: the application may have routes with these paths.
    let agents = [paths::AGENT_REFRESH, paths::AGENT_TOKEN].into_iter().filter(|_| issuer.0.has_agent_api);
    let development = issuer.0.development.iter().flat_map(Development::paths);
    // The authorization endpoint is own and that for development.
    let paths = own.into_iter().chain(agents).chain(development);
    let paths: BTreeSet<_> = paths.map(|path| format!("{base}{path}")).collect();
    // A segment that begins with `:` or `*` is literal.
    let router = Router::new().without_v07_checks();
    paths.iter().chain([&metadata]).fold(router, |router, path| router.route_service(path, issuer.service::<Body>()))
}
