//! How this crate asks authorization servers: for keys, for their metadata, about a token.
//!
//! Whoever needs a proxy, a client certificate or a root of his own hands in his own [`reqwest::Client`], which is a
//! [`Fetch`]; anything else that speaks HTTP may be one.
//!
//! ```
//! use std::sync::Arc;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use tower_warden::{Eventual, Unavailable, fetch::Fetch};
//!
//! /// Answers from memory: for a test.
//! struct Canned(&'static str);
//!
//! impl Fetch for Canned {
//!     fn fetch(&self, request: Request<Bytes>, most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
//!         let known = request.uri().path() == "/jwks.json" && self.0.len() <= most;
//!         Eventual::Now(if known { Ok(Response::new(self.0.into())) } else { Err(Unavailable::new("the test")) })
//!     }
//! }
//!
//! let fetch: Arc<dyn Fetch> = Arc::new(Canned(r#"{"keys":[]}"#));
//! let get = |url: &str| Request::get(url).body(Bytes::new());
//! let Eventual::Now(good) = fetch.fetch(get("https://auth.example/jwks.json")?, 256) else { unreachable!() };
//! let Eventual::Now(bad) = fetch.fetch(get("https://auth.example/jwks.json")?, 4) else { unreachable!() };
//! assert!(good.is_ok());
//! assert!(bad.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

use crate::{
    Eventual,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    request::Network,
    url,
};

/// How long an answer's body may be, in bytes.
pub(crate) const LONGEST_BODY: usize = 256 * 1024;

/// Asks a server.
///
/// Requests and answers may hold secrets: an implementation logs neither, and puts nothing of them into its errors.
/// Timeouts are the caller's: the future is dropped when time is up.
pub trait Fetch: Send + Sync + 'static {
    /// Sends the request, and reads the whole answer, whatever its status.
    ///
    /// An answer is read up to `most` bytes of body, and is a failure if it has more. Redirects are answers, and are not
    /// followed.
    ///
    /// # Errors
    ///
    /// If there was no answer, or one that is too long.
    fn fetch(&self, request: Request<Bytes>, most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>>;
}

impl<F: Fetch + ?Sized> Fetch for Arc<F> {
    fn fetch(&self, request: Request<Bytes>, most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        (**self).fetch(request, most)
    }
}

/// Your own client, with its proxies, certificates and roots.
///
/// Plain `http` is refused but for a loopback host, and so is an answer that came by a redirect. Give it
/// `redirect::Policy::none()`: otherwise, what it sends is repeated to wherever a redirect points before the answer is
/// refused. Which addresses it may reach is its own matter.
impl Fetch for Client {
    fn fetch(&self, request: Request<Bytes>, most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let client = self.clone();
        Eventual::later(async move { send(&client, request, most, |_| true).await })
    }
}

/// The client that is used if no other is handed in.
///
/// It follows no redirect, decodes no compression, knows no cookies, and passes over the proxies that the environment
/// names. It reaches no private, link-local, loopback, multicast or unspecified address, whether a name resolves to it
/// or a URL spells it, unless the host is `localhost`, `127.0.0.1` or `[::1]`; [`allowing_networks`](Self::allowing_networks) allows more.
///
/// ```
/// use tower_warden::fetch::HttpClient;
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let anywhere_public = HttpClient::new()?;
/// let in_house_too = HttpClient::allowing_networks(["10.0.0.0/8".parse()?])?;
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    client: Client,
    reach: Reach,
}

impl HttpClient {
    /// A client for public addresses.
    ///
    /// # Errors
    ///
    /// If no TLS library is at hand: with `rust-crypto` alone there is none, unless the process has installed a default
    /// provider of rustls; or if the system's root certificates cannot be read.
    pub fn new() -> Result<Self, ConfigError> {
        Self::allowing_networks([])
    }

    /// A client for public addresses and these networks.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn allowing_networks(networks: impl IntoIterator<Item = Network>) -> Result<Self, ConfigError> {
        // Without a provider, the builder would panic.
        if cfg!(not(feature = "aws-lc-rs")) && rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ConfigError::new(ConfigErrorKind::HttpClient, "no TLS provider is installed"));
        }
        let reach = Reach(networks.into_iter().collect());
        // Other crates of the build may have switched on any of reqwest's features.
        let builder = Client::builder()
            .dns_resolver(reach.clone())
            .no_brotli()
            .no_deflate()
            .no_gzip()
            .no_proxy()
            .no_zstd()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .user_agent(concat!("tower-warden/", env!("CARGO_PKG_VERSION")));
        let refused = |_| ConfigError::new(ConfigErrorKind::HttpClient, "TLS could not be set up");
        Ok(Self { client: builder.build().map_err(refused)?, reach })
    }
}

impl Fetch for HttpClient {
    fn fetch(&self, request: Request<Bytes>, most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let this = self.clone();
        // No resolver is asked for a host that is an address.
        Eventual::later(async move { send(&this.client, request, most, |host| this.reach.admits_host(host)).await })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// Asks, for so long at the most, whoever is asked.
#[cfg_attr(not(feature = "jwks"), expect(dead_code, reason = "introspection has limits of its own"))]
pub(crate) async fn ask(
    fetch: &dyn Fetch,
    request: Request<Bytes>,
    patience: Duration,
) -> Result<Response<Bytes>, Unavailable> {
    let answer = tokio::time::timeout(patience, fetch.fetch(request, LONGEST_BODY).wait()).await;
    let answer = answer.map_err(|_| failed("no answer in time"))??;
    if answer.body().len() > LONGEST_BODY { Err(failed("the answer is too long")) } else { Ok(answer) }
}

/// Whether a URL is of this machine, also where its host is written in other ways.
#[cfg(feature = "jwks")]
pub(crate) fn is_local(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']', '.']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

async fn send(
    client: &Client,
    request: Request<Bytes>,
    most: usize,
    admits: impl Fn(&str) -> bool,
) -> Result<Response<Bytes>, Unavailable> {
    if !url::is_secure(&request.uri().to_string()) {
        return Err(failed("not an https URL"));
    }
    let request = reqwest::Request::try_from(request).map_err(broken)?;
    let asked = request.url().clone();
    if !asked.host_str().is_some_and(admits) {
        return Err(failed("an address that must not be reached"));
    }
    let mut answer = client.execute(request).await.map_err(broken)?;
    if *answer.url() != asked {
        return Err(failed("a redirect was followed"));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if chunk.len() > most - body.len() {
            return Err(failed("the answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    let mut read = Response::new(body.freeze());
    *read.status_mut() = answer.status();
    *read.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(read)
}

fn failed(why: impl Into<Box<dyn Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("an authorization server").because(why)
}

/// A URL may hold a secret.
fn broken(error: reqwest::Error) -> Unavailable {
    failed(error.without_url())
}

/// Which addresses may be reached besides public ones; resolves names to no others.
#[derive(Clone, Debug)]
struct Reach(Arc<[Network]>);

impl Reach {
    fn admits(&self, is_local: bool, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address)
            || is_local && address.is_loopback()
            || self.0.iter().any(|network| network.contains(address))
    }

    /// Whether a host is a name, or an address that may be reached. URLs have it in normal form.
    fn admits_host(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse().map_or(true, |address| self.admits(url::is_loopback_host(host), address))
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let is_local = url::is_loopback_host(name.as_str());
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|address| this.admits(is_local, address.ip())).collect();
            if admitted.is_empty() {
                return Err("the host has no address that may be reached".into());
            }
            Ok::<Addrs, _>(Box::new(admitted.into_iter()))
        })
    }
}

/// Whether an address is of the internet, by IANA's registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // This network; benchmarks; shared by a provider's customers; protocols; reserved, and broadcast.
        [0 | 240.., ..] | [198, 18 | 19, ..] | [100, 64..=127, ..] | [192, 0, 0, _] => true,
        _ => address.is_private() || address.is_loopback() || address.is_link_local(),
    };
    !(is_special || address.is_documentation() || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // RFC 6052 §2.1, where IPv6 alone reaches IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        // Protocols, among them Teredo; documentation; 6to4, which leads to any IPv4.
        [0x2001, ..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, ..=0xfff, ..] => false,
        // Global unicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_networks_that_are_not_the_internet_are_not_public() {
        let special = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 \
            172.31.255.255 192.0.0.192 192.168.1.1 198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 \
            ::7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2001:: 2001:db8::1 \
            2002:a9fe:a9fe:: 3fff::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1";
        let public = "1.1.1.1 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 223.255.255.254 \
            64:ff9b::101:101 2001:4860:4860::8888 2606:4700::1111 ::ffff:1.1.1.1";
        let reach = Reach(Arc::new([]));
        let admits = |text: &str| reach.admits(false, text.parse().expect("an address"));
        for address in special.split_whitespace() {
            assert!(!admits(address), "{address}");
        }
        for address in public.split_whitespace() {
            assert!(admits(address), "{address}");
        }
    }

    #[test]
    fn loopback_is_reached_by_its_names_alone_and_networks_that_were_named_by_any() {
        let reach = Reach(["10.0.0.0/8".parse().expect("a network")].into());
        for host in ["127.0.0.1", "[::1]", "10.1.2.3", "auth.example", "localhost"] {
            assert!(reach.admits_host(host), "{host}");
        }
        for host in ["127.0.0.2", "169.254.169.254", "[fe80::1]", "[::ffff:a9fe:a9fe]", "192.168.0.1"] {
            assert!(!reach.admits_host(host), "{host}");
        }
    }
}
