use axum::{Router, body::Body};

use super::document::ProtectedResourceMetadata;

/// The route at the well-known URL of the metadata, open to anybody.
///
/// Merge the application, inside of its [`AuthLayer`](crate::layer::AuthLayer), into it, at the top. Merged the other way
/// round, it is as open, but unknown paths are answered with 404 instead of the layer's 401: axum keeps the fallback of
/// the router that was merged in. See the [module docs](crate::metadata) for an example.
pub fn metadata_routes<S>(metadata: &ProtectedResourceMetadata) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let target = metadata.well_known_path();
    // Routes have no query; the endpoint looks at it.
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    // A path that begins with `:` or `*` is meant as it stands.
    Router::new().without_v07_checks().route_service(path, metadata.endpoint::<Body>())
}
