use std::{collections::HashMap, fmt, net::IpAddr};

use reqwest::{Certificate, Client, redirect};

use super::{
    address::{AllowedAddresses, Others},
    client::{Endpoints, HttpClient},
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    request::Network,
};

/// Configures an [`HttpClient`].
///
/// # Examples
///
/// An issuer in a private network, whose certificate is signed by the organization's own authority:
///
/// ```no_run
/// use tower_warden::fetch::HttpClient;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = HttpClient::builder()
///     .allow_networks(["10.0.0.0/8".parse()?])
///     .root_certificates(&std::fs::read_to_string("/etc/ssl/internal-ca.pem")?)?
///     .build()?;
/// # #[cfg(feature = "jwks")]
/// let keys = tower_warden::jwt::RemoteKeys::discovery("https://auth.internal").fetch(client).connect().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct HttpClientBuilder {
    hosts: HashMap<Box<str>, Vec<IpAddr>>,
    networks: Vec<Network>,
    plain: Vec<Network>,
    roots: Vec<Certificate>,
}

impl HttpClientBuilder {
    /// Connects to addresses of these networks as well as to public ones.
    pub fn allow_networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks.extend(networks);
        self
    }

    /// Connects to these addresses when a URL names this host, instead of those that the DNS returns. They need to be allowed
    /// as any others.
    pub fn resolve(mut self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.hosts.entry(host.to_ascii_lowercase().into()).or_default().extend(addresses);
        self
    }

    /// Trusts these certificate authorities, in PEM, as well as those of the system: for servers whose certificates are
    /// signed by a private authority.
    ///
    /// # Errors
    ///
    /// If the text does not consist of certificates in PEM.
    pub fn root_certificates(mut self, pem: &str) -> Result<Self, ConfigError> {
        let refused = || ConfigError::new(ConfigErrorKind::HttpClient, "root certificates are certificates in PEM");
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| refused())?;
        if certificates.is_empty() {
            return Err(refused());
        }
        self.roots.extend(certificates);
        Ok(self)
    }

    /// Sends requests over plain `http` to addresses of these networks, and to no others. They may be named, as in
    /// `http://keycloak:8080`, if the name resolves to such an address.
    ///
    /// Nothing shows that a response comes from the server that is meant: anyone on the way can replace the keys of an issuer,
    /// and sign tokens of any content, or read the tokens and secrets that are sent.
    pub fn danger_plain_http(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.plain.extend(networks);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// See [`HttpClient::new`].
    pub fn build(self) -> Result<HttpClient, ConfigError> {
        // Without a provider, the builder of reqwest panics.
        if cfg!(not(feature = "aws-lc-rs")) && rustls::crypto::CryptoProvider::get_default().is_none() {
            let message = "the HTTP client needs the feature `aws-lc-rs`, or an installed default provider of rustls";
            return Err(ConfigError::new(ConfigErrorKind::HttpClient, message));
        }
        let plain = if self.plain.is_empty() {
            None
        } else {
            Some(self.endpoints(AllowedAddresses::new(self.plain.clone(), Others::Denied, self.hosts.clone()))?)
        };
        let networks = self.networks.iter().chain(&self.plain).copied().collect();
        let encrypted = self.endpoints(AllowedAddresses::new(networks, Others::Public, self.hosts.clone()))?;
        Ok(HttpClient { encrypted, plain })
    }

    fn endpoints(&self, allowed: AllowedAddresses) -> Result<Endpoints, ConfigError> {
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
            .tls_certs_merge(self.roots.iter().cloned())
            .user_agent(concat!("tower-warden/", env!("CARGO_PKG_VERSION")));
        let refused = |_| {
            let message = "the HTTP client needs a TLS provider, and root certificates that can be read";
            ConfigError::new(ConfigErrorKind::HttpClient, message)
        };
        Ok(Endpoints { allowed, client: builder.build().map_err(refused)? })
    }
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientBuilder")
            .field("networks", &self.networks)
            .field("plain", &self.plain)
            .finish_non_exhaustive()
    }
}
