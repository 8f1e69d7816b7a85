use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use http::Uri;
use zeroize::Zeroizing;

use super::{
    endpoint::{ClientAuth, Endpoint},
    response::ResponseRules,
    signed::{self, SignedResponses},
    verify::{AcceptedTokens, Inner, Introspection},
};
use crate::{
    cache::{CachedLookup, Limits},
    error::{ConfigError, ConfigErrorKind},
    fetch::{Fetch, PlainHttp},
    jwt::{Issuer, KeySource},
    reason::Reason,
    request::Network,
    url,
};

/// Configures [`Introspection`].
///
/// # Examples
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
/// let unencrypted = "http://auth.example.com/introspect";
/// assert!(Introspection::new(issuer, unencrypted, "api", "a secret").is_err());
/// # }
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[must_use]
pub struct IntrospectionBuilder {
    accepted: AcceptedTokens,
    client_auth: ClientAuth,
    client_id: Box<str>,
    endpoint: Box<str>,
    fetch: Option<Arc<dyn Fetch>>,
    limits: Limits,
    max_lookups: NonZeroUsize,
    max_token_bytes: usize,
    plain: PlainHttp,
    rules: ResponseRules,
    secret: Zeroizing<String>,
    signed: Option<Arc<dyn KeySource>>,
    timeout: Duration,
}

/// The client credentials that this server sends to the endpoint.
#[derive(Clone, Copy)]
pub(super) enum ClientCredentials<'a> {
    None,
    Secret { client_id: &'a str, secret: &'a str },
}

impl IntrospectionBuilder {
    pub(super) fn new(issuer: Issuer, endpoint: &str, credentials: ClientCredentials<'_>) -> Self {
        let (client_id, secret, client_auth) = match credentials {
            ClientCredentials::None => ("", "", ClientAuth::None),
            ClientCredentials::Secret { client_id, secret } => (client_id, secret, ClientAuth::Basic),
        };
        let (positive_ttl, negative_ttl) = (Duration::from_secs(60), Duration::from_secs(10));
        Self {
            accepted: AcceptedTokens::All,
            client_auth,
            client_id: client_id.into(),
            endpoint: endpoint.into(),
            fetch: None,
            limits: Limits { positive_capacity: 10_000, positive_ttl, negative_capacity: 10_000, negative_ttl },
            max_lookups: const { NonZeroUsize::new(64).expect("64 is not zero") },
            max_token_bytes: 16 * 1024,
            plain: PlainHttp::default(),
            rules: ResponseRules::new(issuer),
            secret: Zeroizing::new(secret.to_owned()),
            signed: None,
            timeout: Duration::from_secs(3),
        }
    }

    /// Sets how many active tokens are cached, each with its response of up to 64 KiB: 10 000 by default. Each thread caches
    /// up to 1024 more.
    pub fn positive_capacity(mut self, tokens: u64) -> Self {
        self.limits.positive_capacity = tokens;
        self
    }

    /// Sets the lifetime of active tokens in the cache, in whole seconds: 60 by default. A revoked token may be
    /// accepted for that long. At `exp`, the issuer is queried again; if it still reports the token as active, the response is
    /// cached for up to the tolerated clock skew past `exp`.
    pub fn positive_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// Accepts responses with this `token_type`, compared in any case. By default, `Bearer`, `DPoP`, `access_token` and
    /// responses without one are accepted; other types may not be access tokens.
    pub fn accept_token_type(mut self, token_type: impl Into<Box<str>>) -> Self {
        self.rules.token_types.push(token_type.into());
        self
    }

    /// Treats an `exp` of zero as none: some servers write it for tokens that do not expire. By default such a token has
    /// expired.
    pub fn accept_zero_expiry(mut self) -> Self {
        self.rules.issuer = self.rules.issuer.with_zero_as_no_expiry();
        self
    }

    /// Sends client id and secret in the body, for endpoints that do not support the `Authorization` header
    /// (`client_secret_basic`), which is the default and which all servers must support
    /// ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    pub fn client_secret_post(mut self) -> Self {
        if !matches!(self.client_auth, ClientAuth::None) {
            self.client_auth = ClientAuth::Post;
        }
        self
    }

    /// Sets the client that sends the requests: an [`HttpClient`](crate::fetch::HttpClient) for public addresses by default. Its
    /// [builder](crate::fetch::HttpClient::builder) has options for private networks and private certificate authorities.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets how many refused tokens are cached: 10 000 by default.
    pub fn negative_capacity(mut self, tokens: u64) -> Self {
        self.limits.negative_capacity = tokens;
        self
    }

    /// Sets the lifetime of refused tokens in the cache, in whole seconds: 10 by default. A token is refused if it is not
    /// active, or its response does not meet the requirements.
    pub fn negative_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.negative_ttl = lifetime;
        self
    }

    /// Sets the maximum number of concurrent requests to the endpoint: 64 by default. Further look-ups wait, up to the
    /// [time-out](Self::timeout).
    pub fn max_lookups(mut self, lookups: NonZeroUsize) -> Self {
        self.max_lookups = lookups;
        self
    }

    /// Does not accept tokens in the form of a JWT, so that [`Jwt`](crate::jwt::Jwt) verifies them, whatever the order of the
    /// two authenticators.
    pub fn opaque_only(mut self) -> Self {
        self.accepted = AcceptedTokens::OpaqueOnly;
        self
    }

    /// Sets the maximum length of a token in bytes, without the name of the scheme: 16 384 by default. See
    /// [`Authenticator::max_credential_bytes`](crate::Authenticator::max_credential_bytes) for the limits of servers.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// Requests responses that are JWTs signed with these keys of the issuer, and accepts no others
    /// ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)).
    ///
    /// `iss` of a response is the name of the issuer, `aud` contains the client id of this server, and `iat` is not more than
    /// five minutes and the [tolerated clock skew](Issuer::skew) ago. It is signed with one of the issuer's
    /// [algorithms](Issuer::algorithms).
    pub fn signed_responses(mut self, keys: impl KeySource) -> Self {
        self.signed = Some(Arc::new(keys));
        self
    }

    /// Sets the time-out of a look-up: 3 seconds by default. After it, the request is refused with 503.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends tokens over plain `http` to an endpoint in these networks, such as that of a cluster.
    ///
    /// Anyone on the way can read the tokens and the client secret, and can report any token as active. A client set with
    /// [`fetch`](Self::fetch) resolves names by its own rules: an [`HttpClient`](crate::fetch::HttpClient) must permit it as
    /// well (see [`HttpClientBuilder::danger_plain_http`](crate::fetch::HttpClientBuilder::danger_plain_http)), and of a custom
    /// [`Fetch`], the addresses to which a name resolves are not checked.
    pub fn danger_plain_http(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.plain.extend(networks);
        self
    }

    /// Builds the authenticator.
    ///
    /// # Errors
    ///
    /// If the endpoint is not an `https` URL without user information (`http` is accepted for a loopback host, and in networks
    /// of [`danger_plain_http`](Self::danger_plain_http)), if its host is an address that the client does not connect to, if
    /// client id or secret is empty, if [signed responses](Self::signed_responses) are those of a
    /// [template](Issuer::template), which names no single issuer, or if the default client cannot be created: see
    /// [`HttpClient::new`](crate::fetch::HttpClient::new).
    pub fn build(self) -> Result<Introspection, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::Introspection, message);
        let has_credentials = !self.client_id.is_empty() && !self.secret.is_empty();
        if !has_credentials && !matches!(self.client_auth, ClientAuth::None) {
            return Err(refused(
                "introspection needs a client id and a secret that are not empty; an endpoint without them is an option, \
                 `Introspection::danger_without_credentials`",
            ));
        }
        let refused_url = || {
            let message = "an endpoint is an https URL without user information; http is for a loopback host, or for \
                networks declared with `IntrospectionBuilder::danger_plain_http`";
            refused(message).value(url::redacted(&self.endpoint))
        };
        let uri = Some(&*self.endpoint).filter(|endpoint| self.plain.accepts(endpoint));
        let uri: Uri = uri.and_then(|uri| uri.parse().ok()).ok_or_else(refused_url)?;
        let fetch = self.plain.client(self.fetch)?;
        fetch.check(&uri)?;
        if self.signed.is_some() && self.client_id.is_empty() {
            return Err(refused("signed responses are for the client id of this server, and there is none"));
        }
        if self.signed.is_some() && self.rules.issuer.is_template() {
            let message = "signed responses name one issuer, and a template stands for several: use `Issuer::new`";
            return Err(refused(message).value(url::redacted(self.rules.issuer.name())));
        }
        let mut endpoint = Endpoint::new(fetch, uri, &self.client_id, &self.secret, self.client_auth);
        if self.signed.is_some() {
            endpoint = endpoint.accepting(signed::MEDIA_TYPE);
        }
        Ok(Introspection(Arc::new(Inner {
            accepted: self.accepted,
            endpoint,
            lookup: CachedLookup::new(
                "introspection",
                self.limits,
                self.max_lookups,
                self.timeout,
                Reason::INTROSPECTION_TIMEOUT,
            ),
            max_token_bytes: self.max_token_bytes,
            rules: self.rules,
            signed: self.signed.map(|keys| SignedResponses { audience: self.client_id, keys }),
        })))
    }
}

impl fmt::Debug for IntrospectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionBuilder").field("issuer", &self.rules.issuer).finish_non_exhaustive()
    }
}
