use std::{
    net::IpAddr,
    task::{Context, Poll},
};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{head::Head, proxies::TrustedProxies};

/// The resolved address of the client, in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(Option<IpAddr>);

impl ClientAddress {
    /// The address; `None` if the peer is unknown, or if a trusted proxy forwards something that is not an address.
    #[must_use]
    pub const fn get(&self) -> Option<IpAddr> {
        self.0
    }
}

/// Resolves the address of the client once, for all inner layers: those that limit by address, and those that check the
/// networks of a credential.
///
/// Without it, the address of the client is that of the peer.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{Head, layer::ClientAddressLayer, request::{Peer, TrustedProxies}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?]);
/// let service = ServiceBuilder::new().layer(ClientAddressLayer::new(proxies)).service_fn(
///     async |request: Request<()>| {
///         let address = Head::from(&request).client_address().expect("the peer is known").to_string();
///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(address)))
///     },
/// );
/// let from = |peer: &str| {
///     let request = Request::builder().header("x-forwarded-for", "198.51.100.7");
///     request.extension(Peer::new(peer.parse().expect("an address"))).body(()).expect("a request")
/// };
///
/// let proxied = service.clone().oneshot(from("10.0.0.2:4711")).await?;
/// assert_eq!(proxied.into_body().collect().await?.to_bytes(), "198.51.100.7");
/// // From a client that connects directly, the field is ignored.
/// let direct = service.oneshot(from("203.0.113.9:4711")).await?;
/// assert_eq!(direct.into_body().collect().await?.to_bytes(), "203.0.113.9");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientAddressLayer(TrustedProxies);

impl ClientAddressLayer {
    /// Creates a layer that trusts the `X-Forwarded-For` or `Forwarded` of these proxies.
    #[must_use]
    pub const fn new(proxies: TrustedProxies) -> Self {
        Self(proxies)
    }
}

impl<S> Layer<S> for ClientAddressLayer {
    type Service = ResolveClientAddress<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResolveClientAddress { inner, proxies: self.0.clone() }
    }
}

/// The service of [`ClientAddressLayer`].
///
/// It is not a [`Gate`](crate::gate::Gate): it refuses nothing.
#[derive(Clone, Debug)]
pub struct ResolveClientAddress<S> {
    inner: S,
    proxies: TrustedProxies,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ResolveClientAddress<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let address = ClientAddress(self.proxies.client(&Head::from(&request)));
        request.extensions_mut().insert(address);
        self.inner.call(request)
    }
}
