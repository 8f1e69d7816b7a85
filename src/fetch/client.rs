//! HTTP clients based on reqwest: the built-in one, and the application's own.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::{Client, redirect};

use super::{Fetch, address::AllowedAddresses, failed};
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
/// or the URL contains it. Exceptions are the hosts `localhost`, `127.0.0.1` and `[::1]`, and the networks of
/// [`allowing_networks`](Self::allowing_networks).
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
    client: Client,
    allowed: AllowedAddresses,
}

impl HttpClient {
    /// Creates a client for public addresses.
    ///
    /// # Errors
    ///
    /// If no TLS provider is available: the feature `rust-crypto` alone brings none, so the process must install a default
    /// provider of rustls then; or if the system's root certificates cannot be read.
    pub fn new() -> Result<Self, ConfigError> {
        Self::allowing_networks([])
    }

    /// Creates a client for public addresses and these networks.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn allowing_networks(networks: impl IntoIterator<Item = Network>) -> Result<Self, ConfigError> {
        // Without a provider, the builder of reqwest panics.
        if cfg!(not(feature = "aws-lc-rs")) && rustls::crypto::CryptoProvider::get_default().is_none() {
            let message = "the HTTP client needs the feature `aws-lc-rs`, or an installed default provider of rustls";
            return Err(ConfigError::new(ConfigErrorKind::HttpClient, message));
        }
        let allowed = AllowedAddresses::new(networks);
        // Other crates of the build may have enabled any of reqwest's features.
        let builder = Client::builder()
            .dns_resolver(allowed.clone())
            .no_brotli()
            .no_deflate()
            .no_gzip()
            .no_proxy()
            .no_zstd()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .user_agent(concat!("tower-warden/", env!("CARGO_PKG_VERSION")));
        let refused = |_| {
            let message = "the HTTP client needs a TLS provider and the system's root certificates";
            ConfigError::new(ConfigErrorKind::HttpClient, message)
        };
        Ok(Self { client: builder.build().map_err(refused)?, allowed })
    }
}

impl Fetch for HttpClient {
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let this = self.clone();
        // The resolver is not called for a host that is an address, so the host is checked as well.
        Eventual::later(
            async move { send(&this.client, request, max_bytes, |host| this.allowed.contains_host(host)).await },
        )
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// Sends requests with the application's own client: its proxies, client certificates and root certificates.
///
/// Requests over plain `http` are refused, except to a loopback host, and so are responses that came by a redirect.
/// Configure `redirect::Policy::none()`: otherwise the client repeats the request, which may contain a secret, to wherever a
/// redirect points before the response is refused. Addresses are not restricted.
impl Fetch for Client {
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let client = self.clone();
        Eventual::later(async move { send(&client, request, max_bytes, |_| true).await })
    }
}

async fn send(
    client: &Client,
    request: Request<Bytes>,
    max_bytes: usize,
    is_allowed: impl Fn(&str) -> bool,
) -> Result<Response<Bytes>, Unavailable> {
    if !url::is_secure(&request.uri().to_string()) {
        return Err(failed("not an https URL"));
    }
    let request = reqwest::Request::try_from(request).map_err(without_url)?;
    let requested = request.url().clone();
    if !requested.host_str().is_some_and(is_allowed) {
        return Err(failed("the address is not allowed"));
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

/// Removes the URL, which may contain a secret, from the error.
fn without_url(error: reqwest::Error) -> Unavailable {
    failed(error.without_url())
}
