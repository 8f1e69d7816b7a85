//! HTTP clients based on reqwest: the built-in one, and the application's own.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use reqwest::Client;

use super::{
    Fetch,
    address::{self, AllowedAddresses, ForbiddenAddress},
    builder::HttpClientBuilder,
    failed,
};
use crate::{
    Eventual,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    request::Network,
    url,
};

/// The default client.
///
/// It follows no redirects, does not decompress, stores no cookies, and ignores the proxies named in environment variables.
/// It does not connect to private, link-local, loopback, multicast or unspecified addresses, whether a name resolves to one
/// or the URL contains it in any form. Exceptions are the hosts `localhost`, `127.0.0.1` and `[::1]`, which lead to loopback
/// addresses only, and the networks of [`allowing_networks`](Self::allowing_networks). Private certificate authorities and plain `http` in declared networks are
/// options of its [builder](Self::builder).
///
/// # Examples
///
/// ```
/// use tower_warden::fetch::HttpClient;
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let public_only = HttpClient::new()?;
/// let internal_too = HttpClient::allowing_networks(["10.0.0.0/8".parse()?])?;
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    pub(super) encrypted: Endpoints,
    /// The client for plain `http`, except to a loopback host; `None` if it is not allowed.
    pub(super) plain: Option<Endpoints>,
}

/// A client, and the addresses that it may connect to.
#[derive(Clone)]
pub(super) struct Endpoints {
    pub(super) allowed: AllowedAddresses,
    pub(super) client: Client,
}

impl HttpClient {
    /// Creates a client for public addresses.
    ///
    /// # Errors
    ///
    /// If no TLS provider is available: the feature `rust-crypto` alone brings none, so the process must install a default
    /// provider of rustls then; or if the system's root certificates cannot be read.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Creates a client for public addresses and these networks.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn allowing_networks(networks: impl IntoIterator<Item = Network>) -> Result<Self, ConfigError> {
        Self::builder().allow_networks(networks).build()
    }

    /// Returns a builder for a client with other settings.
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder::default()
    }
}

impl HttpClient {
    /// The client for a URL; `None` if it is one of plain `http`, which is not allowed.
    fn endpoints(&self, uri: &Uri) -> Option<&Endpoints> {
        if url::is_protected(uri) { Some(&self.encrypted) } else { self.plain.as_ref() }
    }
}

impl Fetch for HttpClient {
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let Some(endpoints) = self.endpoints(request.uri()).cloned() else { return Eventual::Now(Err(unencrypted())) };
        // The resolver is not called for a host that is an address, so the host is checked as well.
        Eventual::later(async move { send(&endpoints.client, request, max_bytes, Some(&endpoints.allowed)).await })
    }

    fn check(&self, uri: &Uri) -> Result<(), ConfigError> {
        let refused = |message| {
            let value = url::redacted(&uri.to_string());
            Err(ConfigError::new(ConfigErrorKind::HttpClient, message).value(value))
        };
        let Some(endpoints) = self.endpoints(uri) else {
            return refused("a client sends requests over https; see `HttpClientBuilder::danger_plain_http`");
        };
        let normal = reqwest::Url::parse(&uri.to_string()).ok();
        match normal.as_ref().and_then(reqwest::Url::host_str) {
            Some(host) if endpoints.allowed.contains_host(uri, host) => Ok(()),
            _ => refused(address::ALLOW),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.plain.as_ref().map(|endpoints| &endpoints.allowed);
        f.debug_struct("HttpClient")
            .field("allowed", &self.encrypted.allowed)
            .field("plain", &plain)
            .finish_non_exhaustive()
    }
}

/// Sends requests with the application's own client: its proxies, client certificates and root certificates.
///
/// Requests over plain `http` are refused, except to a loopback host, and so are responses that came by a redirect.
/// Configure `redirect::Policy::none()`: otherwise the client repeats the request, which may contain a secret, to wherever a
/// redirect points before the response is refused. Addresses are not restricted.
impl Fetch for Client {
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        if !url::is_protected(request.uri()) {
            return Eventual::Now(Err(unencrypted()));
        }
        let client = self.clone();
        Eventual::later(async move { send(&client, request, max_bytes, None).await })
    }

    fn check(&self, uri: &Uri) -> Result<(), ConfigError> {
        if url::is_protected(uri) {
            return Ok(());
        }
        let message =
            "a reqwest::Client sends requests over https; for plain http, see `HttpClientBuilder::danger_plain_http`";
        Err(ConfigError::new(ConfigErrorKind::HttpClient, message).value(url::redacted(&uri.to_string())))
    }
}

async fn send(
    client: &Client,
    request: Request<Bytes>,
    max_bytes: usize,
    allowed: Option<&AllowedAddresses>,
) -> Result<Response<Bytes>, Unavailable> {
    let uri = request.uri().clone();
    if url::parse(&uri.to_string()).is_none() {
        return Err(unencrypted());
    }
    let request = reqwest::Request::try_from(request).map_err(without_url)?;
    let requested = request.url().clone();
    let is_allowed = |host: &str| allowed.is_none_or(|allowed| allowed.contains_host(&uri, host));
    if !requested.host_str().is_some_and(is_allowed) {
        return Err(failed(ForbiddenAddress::new()));
    }
    let mut response = client.execute(request).await.map_err(without_url)?;
    if *response.url() != requested {
        return Err(failed("a redirect was followed"));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        if chunk.len() > max_bytes - body.len() {
            return Err(failed("the response is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    let mut read = Response::new(body.freeze());
    *read.status_mut() = response.status();
    *read.headers_mut() = std::mem::take(response.headers_mut());
    Ok(read)
}

fn unencrypted() -> Unavailable {
    failed("not an https URL")
}

/// Removes the URL, which may contain a secret, from the error.
fn without_url(error: reqwest::Error) -> Unavailable {
    failed(error.without_url())
}
