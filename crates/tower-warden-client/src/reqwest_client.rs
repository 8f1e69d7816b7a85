//! The client of reqwest as a service for the layers of this crate.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;
use tower_warden::ConfigError;

use crate::origin::is_separate;

/// A [`reqwest::Client`] that follows no redirect, as a `Service<http::Request<B>>` below a
/// [`TokenLayer`](crate::TokenLayer).
///
/// A client that follows redirects may send the field of an API key or a proof to any host, and whether a client does
/// so cannot be read from it. So this one is built from a [`reqwest::ClientBuilder`], whose policy of redirects is
/// replaced; a redirect is a response to the caller. For the same reason, no header field that is set on the builder
/// may contain a credential: the layer does not see it.
///
/// Errors are those of reqwest, without the URL of the request, which may contain a secret. A URL whose path does not
/// begin with `/`, such as `*`, is an error: reqwest would take it for a part of the host.
///
/// # Deployment caveat
///
/// reqwest takes proxies from the variables `HTTP_PROXY` and `HTTPS_PROXY`. One for plain `http` receives requests for
/// a loopback host with their tokens, unless `NO_PROXY` names that host or the builder has `no_proxy`.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt};
/// use tower_warden_client::{ReqwestClient, TokenLayer, grant::StaticKey};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let client = ReqwestClient::new(reqwest::Client::builder().timeout(Duration::from_secs(10)))?;
/// let key = StaticKey::bearer(&std::env::var("BILLING_API_KEY")?)?;
/// let client = TokenLayer::new(key, "https://billing.example.com")?.layer(client);
///
/// let request = Request::get("https://billing.example.com/invoices").body(Full::<Bytes>::default())?;
/// let response = client.oneshot(request).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestClient(reqwest::Client);

impl ReqwestClient {
    /// Builds a client with these settings, except for the policy of redirects.
    ///
    /// # Errors
    ///
    /// If reqwest refuses the settings.
    pub fn new(builder: reqwest::ClientBuilder) -> Result<Self, ConfigError> {
        let client = builder.redirect(reqwest::redirect::Policy::none()).build();
        client.map(Self).map_err(|_| ConfigError::custom("reqwest accepts the settings of the client"))
    }
}

impl<B> Service<Request<B>> for ReqwestClient
where
    B: Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, reqwest::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let client = self.0.clone();
        if !is_separate(request.uri()) {
            // A URL without a host, which reqwest refuses.
            *request.uri_mut() = Uri::default();
        }
        let request = reqwest::Request::try_from(request.map(|body| reqwest::Body::wrap(Exclusive::new(body))));
        Box::pin(async move {
            let response = match request {
                Ok(request) => client.execute(request).await,
                Err(error) => Err(error),
            };
            response.map(Response::from).map_err(reqwest::Error::without_url)
        })
    }
}

/// A body that is `Sync`, which reqwest requires: nothing polls it through a shared reference.
struct Exclusive<B>(Mutex<Pin<Box<B>>>);

impl<B> Exclusive<B> {
    fn new(body: B) -> Self {
        Self(Mutex::new(Box::pin(body)))
    }
}

impl<B: Body> Body for Exclusive<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

impl<B> fmt::Debug for Exclusive<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exclusive(..)")
    }
}
