//! The networks within which URLs of plain `http` are accepted.

use std::sync::Arc;

use http::Uri;

use super::{Fetch, HttpClient};
use crate::{error::ConfigError, request::Network, url};

/// Networks within which plain `http` is accepted; none by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlainHttp(Vec<Network>);

impl PlainHttp {
    pub(crate) fn extend(&mut self, networks: impl IntoIterator<Item = Network>) {
        self.0.extend(networks);
    }

    /// Returns whether a URL is secure, or one of plain `http` whose host is a name or an address of these networks. Names
    /// are resolved, and checked again, by [`HttpClient`].
    pub(crate) fn accepts(&self, text: &str) -> bool {
        url::is_secure(text) || !self.0.is_empty() && url::is_http(text) && self.contains_host(text)
    }

    /// The configured client, or a default one that may connect to these networks.
    pub(crate) fn client(&self, configured: Option<Arc<dyn Fetch>>) -> Result<Arc<dyn Fetch>, ConfigError> {
        match configured {
            Some(client) => Ok(client),
            None => Ok(Arc::new(HttpClient::builder().danger_plain_http(self.0.iter().copied()).build()?)),
        }
    }

    fn contains_host(&self, text: &str) -> bool {
        let uri = text.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
        host.parse().map_or(true, |address| self.0.iter().any(|network| network.contains(address)))
    }
}
