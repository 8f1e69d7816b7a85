use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use http::Uri;
use zeroize::Zeroizing;

use super::{
    answer::Rules,
    endpoint::{Endpoint, SecretIn},
    verify::{Form, Inner, Introspection},
};
use crate::{
    cache::{CachedLookup, Limits},
    error::{ConfigError, ConfigErrorKind},
    fetch::{Fetch, HttpClient},
    jwt::Issuer,
    reason::Reason,
    url,
};

/// Sets [`Introspection`] up.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{introspection::Introspection, jwt::Issuer};
///
/// # if cfg!(feature = "aws-lc-rs") {
/// let issuer = Issuer::new("https://auth.example.com", "https://api.example.com")?;
/// let endpoint = "https://auth.example.com/introspect";
/// let introspection = Introspection::builder(issuer.clone(), endpoint, "api", "a secret")
///     .positive_ttl(Duration::from_secs(10))
///     .opaque_only()
///     .build();
/// assert!(introspection.is_ok());
///
/// let in_the_clear = "http://auth.example.com/introspect";
/// assert!(Introspection::new(issuer, in_the_clear, "api", "a secret").is_err());
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[must_use]
pub struct IntrospectionBuilder {
    client_id: Box<str>,
    endpoint: Box<str>,
    fetch: Option<Arc<dyn Fetch>>,
    form: Form,
    limits: Limits,
    look_ups: NonZeroUsize,
    place: SecretIn,
    rules: Rules,
    secret: Zeroizing<String>,
    timeout: Duration,
}

impl IntrospectionBuilder {
    pub(super) fn new(issuer: Issuer, endpoint: &str, client_id: &str, secret: &str) -> Self {
        let (positive_ttl, negative_ttl) = (Duration::from_secs(60), Duration::from_secs(10));
        Self {
            client_id: client_id.into(),
            endpoint: endpoint.into(),
            fetch: None,
            form: Form::Any,
            limits: Limits { positive_capacity: 10_000, positive_ttl, negative_capacity: 10_000, negative_ttl },
            look_ups: const { NonZeroUsize::new(64).expect("it is not zero") },
            place: SecretIn::Header,
            rules: Rules::new(issuer),
            secret: Zeroizing::new(secret.to_owned()),
            timeout: Duration::from_secs(3),
        }
    }

    /// How many active tokens are remembered, each with what the issuer said of it, 64 KiB at most: 10 000 by default,
    /// and besides up to 1024 for each thread that it met last.
    pub fn positive_capacity(mut self, tokens: u64) -> Self {
        self.limits.positive_capacity = tokens;
        self
    }

    /// For how long an active token is remembered, in whole seconds: 60 by default, and never past its `exp`. So long may
    /// a token be good that was revoked.
    pub fn positive_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// Accepts answers with this `token_type` too, compared in any case: `Bearer`, `DPoP`, `access_token` and none are
    /// accepted by default. Others are not said to be access tokens.
    pub fn accept_token_type(mut self, token_type: impl Into<Box<str>>) -> Self {
        self.rules.token_types.push(token_type.into());
        self
    }

    /// Sends id and secret in the body, for endpoints that do not take them in the header, `client_secret_basic`, which
    /// all should (RFC 6749 §2.3.1) and is the default.
    pub fn client_secret_post(mut self) -> Self {
        self.place = SecretIn::Body;
        self
    }

    /// Asks with this client: with an [`HttpClient`] by default.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// How many tokens that are not active are remembered: 10 000 by default.
    pub fn negative_capacity(mut self, tokens: u64) -> Self {
        self.limits.negative_capacity = tokens;
        self
    }

    /// For how long a token is remembered that is not active or whose answer is refused, in whole seconds: 10 by default.
    pub fn negative_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.negative_ttl = lifetime;
        self
    }

    /// How many tokens are asked about at once: 64 by default. Others wait for their turn, and for no longer than the
    /// [time-out](Self::timeout).
    pub fn max_lookups(mut self, at_once: NonZeroUsize) -> Self {
        self.look_ups = at_once;
        self
    }

    /// Accepts no token that has the form of a JWT: all of those are [`Jwt`](crate::jwt::Jwt)'s, in whatever order the
    /// two stand.
    pub fn opaque_only(mut self) -> Self {
        self.form = Form::Opaque;
        self
    }

    /// How long the endpoint may take: 3 seconds by default. Then the answer is 503.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the authenticator.
    ///
    /// # Errors
    ///
    /// If the endpoint is no `https` URL (`http` is accepted for a loopback host) or has a user name in it, if id or
    /// secret is empty, or as [`HttpClient::new`] if no other client was given.
    pub fn build(self) -> Result<Introspection, ConfigError> {
        let refused = |why| ConfigError::new(ConfigErrorKind::Introspection, why);
        if self.client_id.is_empty() || self.secret.is_empty() {
            return Err(refused("an introspection endpoint is asked with a client id and a secret"));
        }
        let uri = Some(&*self.endpoint).filter(|endpoint| url::is_secure(endpoint));
        let uri: Uri = uri.and_then(|uri| uri.parse().ok()).ok_or_else(|| refused("an endpoint is an https URL"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refused("a secret does not belong into the URL of an endpoint"));
        }
        let fetch =
            self.fetch.map_or_else(|| HttpClient::new().map(|client| Arc::new(client) as Arc<dyn Fetch>), Ok)?;
        Ok(Introspection(Arc::new(Inner {
            endpoint: Endpoint::new(fetch, uri, &self.client_id, &self.secret, self.place),
            form: self.form,
            lookup: CachedLookup::new(self.limits, self.look_ups, self.timeout, Reason::INTROSPECTION_TIMEOUT),
            rules: self.rules,
        })))
    }
}

impl fmt::Debug for IntrospectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionBuilder").field("issuer", &self.rules.issuer).finish_non_exhaustive()
    }
}
