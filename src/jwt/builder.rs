use std::{fmt, sync::Arc, time::Duration};

use super::{
    issuer::{Issuer, TrustedIssuer},
    source::KeySource,
    verify::{Inner, Jwt},
};
use crate::{
    cache::{CredentialCache, Limits},
    error::{ConfigError, ConfigErrorKind},
    url,
};

/// Configures a [`Jwt`].
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
/// let twice = Jwt::builder(issuer("https://a.example")?, secret(b"a secret of thirty-two bytes ...")?)
///     .issuer(issuer("https://a.example")?, secret(b"another one of thirty-two bytes .")?);
/// assert!(twice.build().is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[must_use]
pub struct JwtBuilder {
    limits: Limits,
    issuers: Vec<TrustedIssuer>,
    max_token_bytes: usize,
}

impl JwtBuilder {
    pub(super) fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        let positive_ttl = Duration::from_secs(300);
        let limits =
            Limits { positive_capacity: 10_000, positive_ttl, negative_capacity: 0, negative_ttl: Duration::ZERO };
        Self { limits, issuers: Vec::new(), max_token_bytes: 16 * 1024 }.issuer(issuer, keys)
    }

    /// Accepts tokens of another issuer, which are verified with its own keys only.
    pub fn issuer(mut self, issuer: Issuer, keys: impl KeySource) -> Self {
        self.issuers.push(TrustedIssuer { issuer, keys: Arc::new(keys) });
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

    /// Sets the maximum length of a token in bytes: 16 384 by default, which is also the limit of the layer.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// Builds the authenticator.
    ///
    /// # Errors
    ///
    /// If two issuers have the same name.
    pub fn build(self) -> Result<Jwt, ConfigError> {
        let names: Vec<_> = self.issuers.iter().map(|trusted| trusted.issuer.name()).collect();
        if let Some(index) = (1..names.len()).find(|index| names[..*index].contains(&names[*index])) {
            let error =
                ConfigError::new(ConfigErrorKind::Issuer, "the issuers of an authenticator have different names");
            return Err(error.value(url::redacted(names[index])));
        }
        let cache = (!self.limits.positive_ttl.is_zero()).then(|| CredentialCache::new(self.limits));
        Ok(Jwt(Arc::new(Inner { cache, issuers: self.issuers, max_token_bytes: self.max_token_bytes })))
    }
}

impl fmt::Debug for JwtBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.issuers.iter().map(|trusted| &trusted.issuer).collect();
        f.debug_struct("JwtBuilder").field("issuers", &issuers).finish_non_exhaustive()
    }
}
