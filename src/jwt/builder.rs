use std::{fmt, sync::Arc, time::Duration};

use super::{
    audience::Verifiers,
    authenticator::Jwt,
    issuer::{Issuer, TrustedIssuer},
    resolver::{IssuerResolver, Resolver},
    select::Issuers,
    source::KeySource,
    verify::Inner,
};
use crate::{
    cache::{CredentialCache, Limits},
    error::{ConfigError, ConfigErrorKind},
    url,
    warnings::Warnings,
};

/// Configures [`Jwt`], for several issuers or other caches.
///
/// # Several rule sets
///
/// One issuer can have several rule sets, each with its keys, such as one for access tokens and one for ID tokens, or one for
/// tokens that are signed with a secret and one for a key set. The first whose algorithms, kind, audience and required claims
/// fit the token decides alone; a token is never tried with the keys of another one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey};
///
/// let secret = |text: &[u8]| StaticKeys::new([VerifyingKey::hmac(Algorithm::HS256, text)?]);
/// let issuer = |name| Issuer::new(name, "https://api.example.com")?.algorithms([Algorithm::HS256]);
///
/// let builder = Jwt::builder(issuer("https://a.example")?, secret(b"a secret of thirty-two bytes ...")?)
///     .issuer(issuer("https://b.example")?.tenant("b"), secret(b"another one of thirty-two bytes .")?)
///     .positive_ttl(Duration::from_secs(60));
/// assert!(builder.build().is_ok());
///
/// let never_used = Jwt::builder(issuer("https://a.example")?, secret(b"a secret of thirty-two bytes ...")?)
///     .issuer(issuer("https://a.example")?, secret(b"another one of thirty-two bytes .")?);
/// assert!(never_used.build().is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[must_use]
pub struct JwtBuilder {
    limits: Limits,
    issuers: Vec<TrustedIssuer>,
    max_token_bytes: usize,
    resolver: Option<Arc<dyn IssuerResolver>>,
}

impl JwtBuilder {
    pub(super) fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        let positive_ttl = Duration::from_secs(300);
        let limits =
            Limits { positive_capacity: 10_000, positive_ttl, negative_capacity: 0, negative_ttl: Duration::ZERO };
        Self { limits, issuers: Vec::new(), max_token_bytes: 16 * 1024, resolver: None }.issuer(issuer, keys)
    }

    /// Accepts tokens of another issuer, which are verified with its own keys only, or adds a rule set for an issuer that was
    /// added before.
    pub fn issuer(mut self, issuer: Issuer, keys: impl KeySource) -> Self {
        self.issuers.push(TrustedIssuer::new(issuer, keys));
        self
    }

    /// Sets how many verified tokens are cached: 10 000 by default. Each thread caches up to 1024 more.
    pub fn positive_capacity(mut self, tokens: u64) -> Self {
        self.limits.positive_capacity = tokens;
        self
    }

    /// Sets the lifetime of verified tokens in the cache, in whole seconds: 300 by default. Zero disables the cache.
    ///
    /// On every cache hit, a token that has expired, was revoked, or whose key has left its set is refused.
    pub fn positive_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// Sets the maximum length of a token in bytes, without the name of the scheme: 16 384 by default.
    ///
    /// The layer reads tokens of this length, and always those of up to 16 384 bytes. See
    /// [`Authenticator::max_credential_bytes`](crate::Authenticator::max_credential_bytes) for the limits of servers.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// Resolves issuers that are not configured.
    pub fn resolver(mut self, resolver: impl IssuerResolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Builds the authenticator.
    ///
    /// # Errors
    ///
    /// If a rule set is never used, because one of the same issuer that was added before takes all of its tokens.
    pub fn build(self) -> Result<Jwt, ConfigError> {
        check_rule_sets(&self.issuers)?;
        let trusted = self.issuers.into_iter().map(Arc::new).collect();
        let verifiers = Arc::new(Verifiers::default());
        Ok(Jwt(verifiers.add(Inner {
            cache: (!self.limits.positive_ttl.is_zero()).then(|| CredentialCache::new("tokens", self.limits)),
            issuers: Issuers { trusted, warnings: Warnings::default() },
            limits: self.limits,
            max_token_bytes: self.max_token_bytes,
            resolver: self.resolver.map(|resolver| Resolver::new(resolver, None)),
            verifiers: Arc::clone(&verifiers),
        })))
    }
}

impl fmt::Debug for JwtBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.issuers.iter().map(|trusted| &trusted.issuer).collect();
        f.debug_struct("JwtBuilder").field("issuers", &issuers).finish_non_exhaustive()
    }
}

/// Checks that each rule set is used for some tokens.
pub(super) fn check_rule_sets(issuers: &[TrustedIssuer]) -> Result<(), ConfigError> {
    for (index, trusted) in issuers.iter().enumerate() {
        if issuers[..index].iter().any(|earlier| earlier.issuer.includes(&trusted.issuer)) {
            let message = "two rule sets of one issuer differ in algorithms, audience, kind or required claims";
            let error = ConfigError::new(ConfigErrorKind::Issuer, message);
            return Err(error.value(url::redacted(trusted.issuer.name())));
        }
    }
    Ok(())
}
