use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, Request};
use tower_layer::Layer;
use tower_service::Service;

/// Marks the header fields that may carry credentials as sensitive, for log layers that print header fields.
///
/// [`AuthLayer`](crate::layer::AuthLayer) marks the credential of an admitted request, for layers *inside* of it. A log layer is
/// usually outside, and also sees requests that are refused: make this layer the outermost one. It marks the fields of all
/// schemes that the layer is configured with, and `Authorization`, `Proxy-Authorization` and `Cookie`. The `Debug` text of a
/// sensitive value is `Sensitive`.
///
/// Made by [`AuthLayer::conceal_layer`](crate::layer::AuthLayer::conceal_layer).
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::AuthLayer,
///     scheme::{ApiKeyHeader, Location},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let auth = AuthLayer::new(keys).scheme(ApiKeyHeader::from(Location::header("x-billing-key")));
/// let service = ServiceBuilder::new()
///     .layer(auth.conceal_layer())
///     .map_request(|request: Request<()>| {
///         let logged = format!("{:?}", request.headers());
///         assert!(!logged.contains("sk_agent_guess"), "{logged}");
///         request
///     })
///     .layer(auth)
///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let request = Request::builder().header("x-billing-key", "sk_agent_guess").body(())?;
/// assert_eq!(service.oneshot(request).await?.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveat
///
/// A client may send a credential where none is expected, such as in the query. An access log without secrets prints
/// the path of a request and not its query: with `TraceLayer`, use `make_span_with`, because its default span prints the whole
/// URI.
#[derive(Clone)]
pub struct ConcealLayer {
    fields: Arc<[HeaderName]>,
}

impl ConcealLayer {
    pub(super) fn new(fields: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { fields: fields.into_iter().collect() }
    }
}

impl<S> Layer<S> for ConcealLayer {
    type Service = Conceal<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Conceal { inner, fields: Arc::clone(&self.fields) }
    }
}

impl fmt::Debug for ConcealLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcealLayer").field("fields", &self.fields).finish()
    }
}

/// The service of [`ConcealLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate), because it refuses nothing.
#[derive(Clone)]
pub struct Conceal<S> {
    inner: S,
    fields: Arc<[HeaderName]>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Conceal<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let values = request.headers_mut().iter_mut();
        values.filter(|(name, _)| self.fields.contains(name)).for_each(|(_, value)| value.set_sensitive(true));
        self.inner.call(request)
    }
}

impl<S: fmt::Debug> fmt::Debug for Conceal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conceal").field("inner", &self.inner).field("fields", &self.fields).finish()
    }
}
