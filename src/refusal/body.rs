use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Makes the body of responses one that a refusal can have: [`RefusalBody`].
///
/// A layer that refuses makes a body of the type of the service inside. Layers such as `TraceLayer`, `CompressionLayer` and
/// `RequestBodyLimitLayer` have body types that nobody else can make. Place this layer between the two. axum's `Router::layer`
/// does not need it, if each layer is added on its own: it converts the body after each.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_http::{compression::CompressionLayer, trace::TraceLayer};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::{AuthLayer, RefusalBodyLayer},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(keys))
///     .layer(RefusalBodyLayer)
///     .layer(TraceLayer::new_for_http())
///     .layer(CompressionLayer::new())
///     .service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let refused = service.oneshot(Request::new(Full::default())).await?;
/// assert_eq!(refused.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Without it, this does not compile:
///
/// ```compile_fail
/// # use std::convert::Infallible;
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # use tower::{ServiceBuilder, ServiceExt};
/// # use tower_http::trace::TraceLayer;
/// # use tower_warden::{api_key::{ApiKeys, KeyFormat, MemoryKeyStore}, layer::AuthLayer};
/// # let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(keys))
///     .layer(TraceLayer::new_for_http())
///     .service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
/// let refused = service.oneshot(Request::new(Full::default()));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct RefusalBodyLayer;

impl<S> Layer<S> for RefusalBodyLayer {
    type Service = RefusalBodies<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RefusalBodies { inner }
    }
}

/// The service of [`RefusalBodyLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate), because it refuses nothing and changes the type of the body.
#[derive(Clone, Debug)]
pub struct RefusalBodies<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RefusalBodies<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<RefusalBody<ResBody>>;
    type Error = S::Error;
    type Future = RefusalBodyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        RefusalBodyFuture { future: self.inner.call(request) }
    }
}

pin_project! {
    /// The response future of [`RefusalBodies`].
    pub struct RefusalBodyFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, B, E> Future for RefusalBodyFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<RefusalBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().future.poll(cx))?;
        Poll::Ready(Ok(response.map(|body| RefusalBody { source: Source::Inner { body } })))
    }
}

impl<F> fmt::Debug for RefusalBodyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalBodyFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of a response behind a [`RefusalBodyLayer`]: that of the inner service, or that of a refusal.
    pub struct RefusalBody<B> {
        #[pin]
        source: Source<B>,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<B> {
        Inner {
            #[pin]
            body: B,
        },
        Refusal { data: Bytes },
    }
}

impl<B> From<Bytes> for RefusalBody<B> {
    fn from(data: Bytes) -> Self {
        Self { source: Source::Refusal { data } }
    }
}

/// An empty body.
impl<B> Default for RefusalBody<B> {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl<B: Body> Body for RefusalBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().source.project() {
            SourceProj::Inner { body } => {
                let frame = ready!(body.poll_frame(cx));
                // `Bytes` are moved, not copied.
                let into_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes))))
            }
            SourceProj::Refusal { data } if data.is_empty() => Poll::Ready(None),
            SourceProj::Refusal { data } => Poll::Ready(Some(Ok(Frame::data(mem::take(data))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner { body } => body.is_end_stream(),
            Source::Refusal { data } => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner { body } => body.size_hint(),
            Source::Refusal { data } => SizeHint::with_exact(data.len() as u64),
        }
    }
}

impl<B> fmt::Debug for RefusalBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.source {
            Source::Inner { .. } => "Inner(..)",
            Source::Refusal { .. } => "Refusal(..)",
        })
    }
}
