use std::{fmt, sync::Arc};

use http::Uri;

use super::{
    RemoteKeys,
    errand::{Errand, Source},
    keeper::Keeper,
};
use crate::{
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    fetch::{Fetch, HttpClient},
    jwt::{
        algorithm::{Algorithm, Family},
        source::MissingId,
    },
    time::{Clock, SystemClock},
    url,
};

/// Sets [`RemoteKeys`] up.
#[must_use]
pub struct RemoteKeysBuilder {
    clock: Arc<dyn Clock>,
    fetch: Option<Arc<dyn Fetch>>,
    missing_id: MissingId,
    place: Place,
    rsa: Algorithm,
}

/// Where keys come from, as it was told.
pub(super) enum Place {
    Issuer(Box<str>),
    Uri(Box<str>),
}

impl RemoteKeysBuilder {
    pub(super) fn new(place: Place) -> Self {
        let clock = Arc::new(SystemClock);
        Self { clock, fetch: None, missing_id: MissingId::Refuse, place, rsa: Algorithm::RS256 }
    }

    /// Lets a token without `kid` be verified by a key with a name, if there is exactly one for its algorithm.
    pub fn accept_missing_kid(mut self) -> Self {
        self.missing_id = MissingId::Accept;
        self
    }

    /// Sets the clock: that of the machine by default. The layer needs the same environment.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Asks by this client, such as your own `reqwest::Client`: by default by an [`HttpClient`], which reaches public
    /// addresses only.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// What RSA keys are used for that name no algorithm: RS256 by default.
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rsa = algorithm;
        self
    }

    /// Makes the key source, which begins to fetch at once, or as soon as it is used within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the URL is none of `https`, loopback hosts aside, or has a user in it; if the RSA algorithm is none; or if no
    /// client was handed in and ours cannot be made: see [`HttpClient::new`].
    pub fn build(self) -> Result<RemoteKeys, ConfigError> {
        if self.rsa.family() != Family::Rsa {
            return Err(refused("RSA keys are used with an algorithm of RSA"));
        }
        let source = self.place.source()?;
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => Arc::new(HttpClient::new()?),
        };
        let errand = Errand { fetch, missing_id: self.missing_id, rsa: self.rsa, source };
        let keeper = Keeper::new(errand, self.clock);
        keeper.attend();
        Ok(RemoteKeys(keeper))
    }

    /// Makes the key source, and waits for the outcome of its first fetch, which needs a tokio runtime.
    ///
    /// If nobody answers, that is no error: keys are fetched as soon as somebody does, and until then the source is [not
    /// ready](RemoteKeys::is_ready), and tokens are answered with 503.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and if the metadata is of another issuer (RFC 8414 §3.3).
    pub async fn connect(self) -> Result<RemoteKeys, ConfigError> {
        let keys = self.build()?;
        keys.0.settle().await;
        if keys.0.is_of_other_issuer() {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "the metadata is of another issuer"));
        }
        Ok(keys)
    }
}

impl Place {
    fn source(self) -> Result<Source, ConfigError> {
        let (Self::Issuer(text) | Self::Uri(text)) = &self;
        let uri: Uri = text.parse().map_err(|_| refused("not a URL"))?;
        if !url::is_secure(text) || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refused("not an https URL, or one with a user"));
        }
        match self {
            // RFC 8414 §2.
            Self::Issuer(issuer) if issuer.contains(['?', '#']) => Err(refused("an issuer has no query or fragment")),
            Self::Issuer(issuer) => Ok(Source::Issuer(issuer)),
            Self::Uri(_) => Ok(Source::Uri(uri)),
        }
    }
}

impl fmt::Debug for RemoteKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeysBuilder").field("rsa", &self.rsa).finish_non_exhaustive()
    }
}

fn refused(why: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::KeySet, why)
}
