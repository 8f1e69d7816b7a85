use std::fmt;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::refusal::{Rejection, RejectionKind};

/// Asserts that each route refuses a request without a credential. A route that does not is outside of the layer that
/// authenticates.
///
/// A parameter in a path, such as that of `/accounts/{id}`, is replaced by `x`.
///
/// # Panics
///
/// If a route is not refused with 401, with the list of these routes and their responses.
///
/// # Examples
///
/// ```
/// use axum::{Router, http::Method, routing::{delete, get}};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::AuthLayer,
///     testing::assert_protected,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let app: Router = Router::new()
///     .route("/accounts/{id}", get(async || "an account").delete(async || "deleted"))
///     .layer(AuthLayer::new(keys));
/// let routes = [(Method::GET, "/accounts/{id}"), (Method::DELETE, "/accounts/{id}")];
/// assert_protected(&app, routes).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn assert_protected<S, B>(service: &S, routes: impl IntoIterator<Item = (Method, &str)>)
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: fmt::Debug,
{
    let mut open = Vec::new();
    for (method, template) in routes {
        let path = filled(template);
        let request = Request::builder().method(method.clone()).uri(&path).body(Body::empty());
        let request = request.unwrap_or_else(|error| panic!("{template} is no path: {error}"));
        match call(service.clone(), request).await {
            Ok(response) if is_refused(&response) => {}
            Ok(response) => open.push(format!("{method} {template}: {}", response.status())),
            Err(error) => open.push(format!("{method} {template}: {error:?}")),
        }
    }
    assert!(open.is_empty(), "routes that answer requests without a credential:\n{}", open.join("\n"));
}

async fn call<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

fn is_refused<B>(response: &Response<B>) -> bool {
    let rejection = response.extensions().get::<Rejection>();
    rejection.map_or_else(|| response.status() == StatusCode::UNAUTHORIZED, |it| it.kind() == RejectionKind::Missing)
}

/// The template with `x` in the place of each parameter.
fn filled(template: &str) -> String {
    let segments = template.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}
