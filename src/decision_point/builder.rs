use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use super::{
    policy::{DecisionPoint, Describe, Endpoint, Inner},
    response::Protocol,
};
use crate::{
    cache::{CachedLookup, Limits},
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    fetch::{Fetch, PlainHttp},
    reason::Reason,
    request::Network,
    scheme::is_token68,
    url,
};

/// Configures a [`DecisionPoint`].
#[must_use]
pub struct DecisionPointBuilder {
    bearer: Option<Zeroizing<String>>,
    describe: Describe,
    environment: Environment,
    fetch: Option<Arc<dyn Fetch>>,
    limits: Limits,
    max_lookups: NonZeroUsize,
    plain: PlainHttp,
    protocol: Protocol,
    rule: Box<str>,
    timeout: Duration,
    url: Box<str>,
}

impl DecisionPointBuilder {
    pub(super) fn new(protocol: Protocol, url: &str, rule: &str, describe: Describe) -> Self {
        Self {
            bearer: None,
            describe,
            environment: Environment::default(),
            fetch: None,
            limits: Limits {
                positive_capacity: 0,
                positive_ttl: Duration::ZERO,
                negative_capacity: 0,
                negative_ttl: Duration::ZERO,
            },
            max_lookups: const { NonZeroUsize::new(64).expect("64 is not zero") },
            plain: PlainHttp::default(),
            protocol,
            rule: rule.into(),
            timeout: Duration::from_secs(3),
            url: url.into(),
        }
    }

    /// Sends this token as `Authorization: Bearer`: none by default.
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = Some(Zeroizing::new(token.to_owned()));
        self
    }

    /// Caches this many decisions for this time, in whole seconds: none by default. Each thread caches up to 1024 more.
    /// Concurrent requests of one issuer and tenant about which the same is sent then share one query, also if it began
    /// before some of them arrived.
    ///
    /// A changed policy takes effect after that time. Decisions that depend on the time must not be cached for long.
    pub const fn cache(mut self, capacity: u64, lifetime: Duration) -> Self {
        (self.limits.positive_capacity, self.limits.positive_ttl) = (capacity, lifetime);
        self
    }

    /// Sets the clock of the cache, and the receiver of notices of outages.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// Sets the client that sends the requests: an [`HttpClient`](crate::fetch::HttpClient) for public addresses by
    /// default. Its [builder](crate::fetch::HttpClient::builder) has options for private networks and private
    /// certificate authorities.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets the maximum number of concurrent requests to the server: 64 by default. Further ones wait, up to the
    /// [time-out](Self::timeout).
    pub const fn max_lookups(mut self, lookups: NonZeroUsize) -> Self {
        self.max_lookups = lookups;
        self
    }

    /// Sets the time-out of a decision: 3 seconds by default. After it, the request is refused with 503.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends requests over plain `http` to a server in these networks, such as that of a cluster.
    ///
    /// Anyone on the way can read what is sent about callers, and admit any request. A custom [`Fetch`] must permit it
    /// as well.
    pub fn danger_plain_http(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.plain.extend(networks);
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    ///
    /// If the URL is not an `https` URL without query and user information (`http` is accepted for a loopback host, and
    /// in networks of [`danger_plain_http`](Self::danger_plain_http)), if its host is an address that the client does
    /// not connect to, if the rule of OPA is not segments of ASCII letters, digits, `_` and `-` that are separated by
    /// slashes, if the token of [`bearer`](Self::bearer) is empty or not `b64token` of RFC 6750, or if the default client cannot
    /// be created: see [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn build(self) -> Result<DecisionPoint, ConfigError> {
        let (uri, authorization) = (self.uri()?, self.authorization()?);
        let fetch = self.plain.client(self.fetch)?;
        fetch.check(&uri)?;
        let lookup = CachedLookup::new(
            "decision point",
            self.limits,
            self.max_lookups,
            self.timeout,
            Reason::DECISION_POINT_TIMEOUT,
        );
        #[cfg(feature = "audit")]
        if let Some(observer) = self.environment.observer() {
            lookup.observed_by(&observer);
        }
        let Limits { positive_capacity, positive_ttl, .. } = self.limits;
        Ok(DecisionPoint(Arc::new(Inner {
            clock: self.environment.clock(),
            describe: self.describe,
            endpoint: Arc::new(Endpoint { authorization, fetch, protocol: self.protocol, uri }),
            is_cached: positive_capacity > 0 && positive_ttl.as_secs() > 0,
            lookup,
            rule: self.rule,
        })))
    }

    /// The URL of queries.
    fn uri(&self) -> Result<Uri, ConfigError> {
        let path = match self.protocol {
            Protocol::AuthZen => "/access/v1/evaluation".to_owned(),
            Protocol::Opa if self.rule.split('/').all(is_segment) => format!("/v1/data/{}", self.rule),
            Protocol::Opa => {
                let message = "a rule of OPA is segments of letters, digits, '_' and '-', such as gateway/allow";
                return Err(refused(message).value(&self.rule));
            }
        };
        let uri = format!("{}{path}", self.url.trim_end_matches('/'));
        let is_base = !self.url.contains(['?', '#']) && self.plain.accepts(&uri);
        is_base.then(|| uri.parse().ok()).flatten().ok_or_else(|| {
            let message = "a decision point is an https URL without query and user information; http is for a loopback \
                host, or for networks declared with `DecisionPointBuilder::danger_plain_http`";
            refused(message).value(url::redacted(&self.url))
        })
    }

    /// The value of `Authorization`, if there is a token.
    fn authorization(&self) -> Result<Option<HeaderValue>, ConfigError> {
        let Some(token) = &self.bearer else { return Ok(None) };
        // RFC 6750 §2.1: `b64token`.
        if !is_token68(token) {
            return Err(refused(
                "a token for a decision point is letters, digits and '-._~+/', with '=' at its end only",
            ));
        }
        // Its buffer is wiped when dropped.
        let value = HeaderValue::from_maybe_shared(Bytes::from_owner(Zeroizing::new(format!("Bearer {}", **token))));
        let mut value = value.map_err(|_| refused("a token for a decision point is visible ASCII"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn refused(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::DecisionPoint, message)
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

impl fmt::Debug for DecisionPointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionPointBuilder").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
