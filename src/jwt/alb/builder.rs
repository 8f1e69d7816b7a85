use std::{fmt, sync::Arc, time::Duration};

use http::Uri;

use super::keys::AwsAlbKeys;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    fetch::{Fetch, PlainHttp},
    url,
};

/// Configures [`AwsAlbKeys`].
#[must_use]
pub struct AwsAlbKeysBuilder {
    base: Box<str>,
    fetch: Option<Arc<dyn Fetch>>,
    timeout: Duration,
}

impl AwsAlbKeysBuilder {
    pub(super) fn new(base: &str) -> Self {
        Self { base: base.into(), fetch: None, timeout: Duration::from_secs(5) }
    }

    /// Sets the client that fetches the keys: an [`HttpClient`](crate::fetch::HttpClient) for public addresses by default.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets the time-out of a fetch: 5 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the key source. Keys are fetched when they are first needed.
    ///
    /// # Errors
    ///
    /// If the URL is not an `https` URL without user information, query and fragment (`http` is accepted for a loopback
    /// host), if its host is an address that the client does not connect to, or if the default client cannot be
    /// created: see [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn build(self) -> Result<AwsAlbKeys, ConfigError> {
        let refused = || {
            let message = "keys of load balancers come from an https URL without user information, query and fragment";
            ConfigError::new(ConfigErrorKind::KeySet, message).value(url::redacted(&self.base))
        };
        if !url::is_secure(&self.base) || self.base.contains(['?', '#']) {
            return Err(refused());
        }
        let uri: Uri = self.base.parse().map_err(|_| refused())?;
        let fetch = PlainHttp::default().client(self.fetch)?;
        fetch.check(&uri)?;
        Ok(AwsAlbKeys::of(self.base.trim_end_matches('/'), fetch, self.timeout))
    }
}

impl fmt::Debug for AwsAlbKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAlbKeysBuilder").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
