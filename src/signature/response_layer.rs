//! A [`Service`] of its own, and not a check of the gate, because it changes the type of the response's body. It adds nothing to
//! the request, and its readiness is that of the inner service.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{message::RequestHead, origin::Origin, signer::MessageSigner};
use crate::{
    body::{BodyLimits, Content, InspectedBody, Reader},
    environment::Environment,
    error::ConfigError,
    log::{self, Causes},
    request::Head,
    time::Clock,
};

/// Signs responses, so that clients can verify who sent them, and to which request: a signature covers the first one of the
/// request, or else its `Content-Digest`. A response to a request without both belongs to any request with the same method and
/// target.
///
/// A response that has signatures, such as that of a proxied server, keeps them, and gets one with another label. Those that are
/// malformed, or too many, are removed.
///
/// The content is read completely, within limits, before the response is sent: it is not for streams. A response that cannot
/// be read or signed is replaced by 500 without content, and an error is logged. Make it one of the outermost layers, so that
/// refusals are signed as well. A server that has several origins needs a layer for each of them: a client verifies that the
/// response is from the one that it calls.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_warden::signature::{HmacKey, MessageSigner, SignResponseLayer};
///
/// let signer = MessageSigner::new(HmacKey::new("server-2026", b"a secret of thirty-two bytes ...")?);
/// let app: Router = Router::new()
///     .route("/balance", get(async || "12 EUR"))
///     .layer(SignResponseLayer::new("https://api.example.com", signer.clone())?);
///
/// assert!(SignResponseLayer::new("http://api.example.com", signer).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SignResponseLayer(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    clock: Arc<dyn Clock>,
    limits: BodyLimits,
    origin: Origin,
    signer: MessageSigner,
}

impl SignResponseLayer {
    /// Signs responses to requests to this origin, such as `https://api.example.com`, as clients address it.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or has a path, a query, a fragment or a user name; `http` is accepted for a loopback
    /// host.
    pub fn new(origin: &str, signer: MessageSigner) -> Result<Self, ConfigError> {
        let (clock, limits) = (Environment::default().clock(), BodyLimits::default());
        Ok(Self(Arc::new(Settings { clock, limits, origin: Origin::parse(origin)?, signer })))
    }

    /// Takes the clock of an environment: the system clock by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        Arc::make_mut(&mut self.0).clock = environment.clock();
        self
    }

    /// Sets the prefix of all paths that a proxy removes, such as `/api`: clients verify that the response is to the path that they
    /// call. A prefix that axum's `nest` removes is restored without it.
    ///
    /// # Errors
    ///
    /// If it does not begin with a slash, or ends with one.
    pub fn removed_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        let settings = Arc::make_mut(&mut self.0);
        settings.origin = settings.origin.clone().with_removed_prefix(prefix)?;
        Ok(self)
    }

    /// Sets the limits within which content is read: 1 MiB and 10 seconds by default.
    #[must_use]
    pub fn limits(mut self, limits: BodyLimits) -> Self {
        Arc::make_mut(&mut self.0).limits = limits;
        self
    }
}

impl<S> Layer<S> for SignResponseLayer {
    type Service = SignResponse<S>;

    fn layer(&self, inner: S) -> SignResponse<S> {
        SignResponse { inner, settings: Arc::clone(&self.0) }
    }
}

impl fmt::Debug for SignResponseLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignResponseLayer").field("signer", &self.0.signer).finish_non_exhaustive()
    }
}

/// The service of [`SignResponseLayer`].
#[derive(Clone)]
pub struct SignResponse<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B, ResBody> Service<Request<B>> for SignResponse<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
{
    type Response = Response<InspectedBody<ResBody>>;
    type Error = S::Error;
    type Future = SignResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let uri = Head::from(&request).original_uri().clone();
        let context = Exchange {
            headers: request.headers().clone(),
            method: request.method().clone(),
            settings: Arc::clone(&self.settings),
            uri,
        };
        SignResponseFuture { state: State::Calling { future: self.inner.call(request) }, context }
    }
}

impl<S: fmt::Debug> fmt::Debug for SignResponse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignResponse").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The request that a response belongs to, and what signs it.
struct Exchange {
    headers: HeaderMap,
    method: Method,
    settings: Arc<Settings>,
    uri: Uri,
}

impl Exchange {
    fn sign<B>(&self, mut parts: response::Parts, content: Content) -> Response<InspectedBody<B>> {
        let Settings { clock, origin, signer, .. } = &*self.settings;
        let prefix = origin.removed_prefix();
        let request = RequestHead { headers: &self.headers, method: &self.method, prefix, uri: &self.uri };
        match signer.with_free_label(&mut parts.headers).sign_response_to(
            request,
            origin,
            &mut parts,
            &content.data,
            clock.now(),
        ) {
            Ok(()) => Response::from_parts(parts, InspectedBody::buffered(content)),
            Err(error) => {
                log::error!(error = %Causes(&error), "a response could not be signed");
                failed()
            }
        }
    }
}

/// A response that cannot be signed is not sent.
fn failed<B>() -> Response<InspectedBody<B>> {
    let mut response = Response::new(InspectedBody::buffered(Content::default()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

pin_project! {
    /// The response future of [`SignResponse`].
    pub struct SignResponseFuture<F, ResBody> {
        #[pin]
        state: State<F, ResBody>,
        context: Exchange,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, ResBody> {
        Calling {
            #[pin]
            future: F,
        },
        Reading {
            #[pin]
            reader: Reader<ResBody>,
            parts: Option<response::Parts>,
        },
    }
}

impl<F, ResBody, E> Future for SignResponseFuture<F, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body,
{
    type Output = Result<Response<InspectedBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    let (parts, body) = ready!(future.poll(cx))?.into_parts();
                    if body.is_end_stream() {
                        return Poll::Ready(Ok(this.context.sign(parts, Content::default())));
                    }
                    match Reader::new(body, this.context.settings.limits) {
                        Ok(reader) => State::Reading { reader, parts: Some(parts) },
                        Err(_) => {
                            log::error!("the content of a response is too large to be signed");
                            return Poll::Ready(Ok(failed()));
                        }
                    }
                }
                StateProj::Reading { reader, parts } => {
                    let content = ready!(reader.poll(cx));
                    let parts = parts.take().expect("polled after completion");
                    return Poll::Ready(Ok(match content {
                        Ok(content) => this.context.sign(parts, content),
                        Err(_) => {
                            log::error!("the content of a response could not be read, and is not signed");
                            failed()
                        }
                    }));
                }
            };
            this.state.set(next);
        }
    }
}

impl<F, ResBody> fmt::Debug for SignResponseFuture<F, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignResponseFuture").finish_non_exhaustive()
    }
}
