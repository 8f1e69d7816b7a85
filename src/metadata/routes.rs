use std::collections::BTreeSet;

use axum::{Router, body::Body};

use super::protected_resource::ProtectedResourceMetadata;

/// Creates the public routes at the well-known URL of the metadata.
///
/// Merge the application, wrapped in its [`AuthLayer`](crate::layer::AuthLayer), into this router. Merged the other way
/// round, the document is public as well, but unknown paths get 404 instead of the layer's 401, because axum keeps the
/// fallback of the router that is merged in. See the [module docs](crate::metadata) for an example.
pub fn metadata_routes<S>(metadata: &ProtectedResourceMetadata) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    // Routes do not match queries; the endpoint checks the query.
    let path = |target: &'_ str| target.split('?').next().unwrap_or_default().to_owned();
    let paths: BTreeSet<_> = metadata.paths().map(path).collect();
    // A segment that begins with `:` or `*` is literal.
    let router = Router::new().without_v07_checks();
    paths.iter().fold(router, |router, path| router.route_service(path, metadata.endpoint::<Body>()))
}
