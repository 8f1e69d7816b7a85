use std::{fmt, sync::Arc, time::Duration};

use super::{
    issuer::{Issuer, Trusted},
    source::KeySource,
    verify::{Inner, Jwt},
};
use crate::{
    cache::{CredentialCache, Limits},
    error::{ConfigError, ConfigErrorKind},
};

/// Sets [`Jwt`] up.
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
    longest: usize,
    trusted: Vec<Trusted>,
}

impl JwtBuilder {
    pub(super) fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        let positive_ttl = Duration::from_secs(300);
        let limits =
            Limits { positive_capacity: 10_000, positive_ttl, negative_capacity: 0, negative_ttl: Duration::ZERO };
        Self { limits, longest: 16 * 1024, trusted: Vec::new() }.issuer(issuer, keys)
    }

    /// Accepts tokens of another issuer too, verified with its own keys and by no others.
    pub fn issuer(mut self, issuer: Issuer, keys: impl KeySource) -> Self {
        self.trusted.push(Trusted { issuer, keys: Arc::new(keys) });
        self
    }

    /// How many verified tokens are remembered: 10 000 by default, and besides up to 1024 for each thread.
    pub fn positive_capacity(mut self, tokens: u64) -> Self {
        self.limits.positive_capacity = tokens;
        self
    }

    /// For how long a verified token is remembered, in whole seconds: 300 by default, zero for not at all.
    ///
    /// A token that ends, is revoked, or whose key has left its set is refused all the same: that is looked at on each
    /// hit.
    pub fn positive_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// How long a token may be, in bytes: 16 384 by default, and never more.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Makes the authenticator.
    ///
    /// # Errors
    ///
    /// If an issuer was named twice.
    pub fn build(self) -> Result<Jwt, ConfigError> {
        let names: Vec<_> = self.trusted.iter().map(|trusted| trusted.issuer.name()).collect();
        if (1..names.len()).any(|index| names[..index].contains(&names[index])) {
            return Err(ConfigError::new(ConfigErrorKind::Issuer, "an issuer was named twice"));
        }
        let cache = (!self.limits.positive_ttl.is_zero()).then(|| CredentialCache::new(self.limits));
        Ok(Jwt(Arc::new(Inner { cache, longest: self.longest, trusted: self.trusted })))
    }
}

impl fmt::Debug for JwtBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.trusted.iter().map(|trusted| &trusted.issuer).collect();
        f.debug_struct("JwtBuilder").field("issuers", &issuers).finish_non_exhaustive()
    }
}
