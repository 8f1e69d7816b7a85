//! The service at the well-known URL.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tower_service::Service;

/// Responds to `GET`, `HEAD` and `OPTIONS` at the well-known URL of a resource; other requests get 404 or 405.
///
/// It is not a [`Gate`](crate::gate::Gate), because it has no inner service. It is always ready, and reads only the method
/// and the target of a request. See [`ProtectedResourceMetadata::endpoint`](super::ProtectedResourceMetadata::endpoint).
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use tower::ServiceExt;
/// use tower_warden::metadata::{MetadataEndpoint, ProtectedResourceMetadata};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let metadata = ProtectedResourceMetadata::new("https://api.example.com/mcp")?;
/// let endpoint: MetadataEndpoint<Full<Bytes>> = metadata.endpoint();
///
/// let found = endpoint.clone().oneshot(Request::get(metadata.well_known_path()).body(())?).await?;
/// assert_eq!((found.status().as_u16(), &found.headers()["content-type"]), (200, &"application/json".parse()?));
///
/// let other = endpoint.oneshot(Request::get("/.well-known/oauth-protected-resource").body(())?).await?;
/// assert_eq!(other.status(), 404);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MetadataEndpoint<B> {
    paths: Arc<[Box<str>]>,
    document: Bytes,
    body: PhantomData<fn() -> B>,
}

impl<B> MetadataEndpoint<B> {
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a str>, document: String) -> Self {
        Self { paths: paths.map(Into::into).collect(), document: document.into(), body: PhantomData }
    }
}

impl<B: From<Bytes>> MetadataEndpoint<B> {
    fn respond_to(&self, method: &Method, target: &Uri) -> Response<B> {
        // The whole target is compared: another path or query belongs to another resource.
        if target.path_and_query().is_none_or(|target| self.paths.iter().all(|path| target.as_str() != &**path)) {
            return respond(StatusCode::NOT_FOUND, [], Bytes::new());
        }
        match *method {
            Method::GET => self.document(self.document.clone()),
            Method::HEAD => self.document(Bytes::new()),
            Method::OPTIONS => respond(
                StatusCode::NO_CONTENT,
                [
                    (header::ACCESS_CONTROL_ALLOW_HEADERS, ANY),
                    (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                    (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600")),
                    (header::ALLOW, METHODS),
                ],
                Bytes::new(),
            ),
            _ => respond(StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, METHODS)], Bytes::new()),
        }
    }

    fn document(&self, body: Bytes) -> Response<B> {
        let fields = [
            (header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600")),
            // Explicit, so that `HEAD` has the same field (RFC 9110 §9.3.2).
            (header::CONTENT_LENGTH, self.document.len().into()),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        respond(StatusCode::OK, fields, body)
    }
}

impl<B: From<Bytes>, ReqBody> Service<Request<ReqBody>> for MetadataEndpoint<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // It is public: no layer decides about its callers.
        #[cfg(feature = "audit")]
        crate::trail::note(request.extensions(), |notes| notes.is_decided = true);
        ready(Ok(self.respond_to(request.method(), request.uri())))
    }
}

impl<B> Clone for MetadataEndpoint<B> {
    fn clone(&self) -> Self {
        Self { paths: Arc::clone(&self.paths), document: self.document.clone(), body: PhantomData }
    }
}

impl<B> fmt::Debug for MetadataEndpoint<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataEndpoint").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// Every response is readable from any origin, whatever its status: clients in browsers try several URLs.
fn respond<B: From<Bytes>>(
    status: StatusCode,
    fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    body: Bytes,
) -> Response<B> {
    let mut response = Response::new(B::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response.headers_mut().extend(fields);
    response
}

const ANY: HeaderValue = HeaderValue::from_static("*");

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
