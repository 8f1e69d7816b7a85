//! The authenticator: returns the cached result of a token, or verifies the token.

use std::{fmt, sync::Arc};

use super::{
    builder::JwtBuilder,
    issuer::{Issuer, IssuerName},
    jws,
    source::KeySource,
    verify::{CacheSlot, Inner, RequestContext, invalid},
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    caller::Identity,
    error::ConfigError,
    metadata::ProtectedResourceMetadata,
    reason::Reason,
    refusal::Rejection,
    scheme::{Bearer, Credential, CredentialKind, MAX_CREDENTIAL_BYTES, Scheme},
};

/// Verifies JWT access tokens of the configured issuers.
///
/// Verified tokens are cached for five minutes by default. On every cache hit, the expiry and the key are checked again.
/// Clones share keys and cache. See the [module docs](super).
#[derive(Clone)]
pub struct Jwt(pub(super) Arc<Inner>);

impl Jwt {
    /// Creates an authenticator for tokens of one issuer, with the defaults of [`JwtBuilder`].
    #[must_use]
    pub fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        Self::builder(issuer, keys).build().expect("a single rule set is used")
    }

    /// Returns a builder for an authenticator of this issuer, to which more can be added.
    pub fn builder(issuer: Issuer, keys: impl KeySource) -> JwtBuilder {
        JwtBuilder::new(issuer, keys)
    }

    /// Returns whether the keys of every issuer are available, for a readiness probe. Tokens of an issuer without keys are refused
    /// with 503.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.issuers.trusted.iter().all(|trusted| trusted.keys.is_ready())
    }

    /// The protected resource metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)) of this configuration: the
    /// first audience is the resource, and the issuers are its authorization servers, except templates and trust domains.
    /// Scopes and other members are added with its setters.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{jwt::{Issuer, Jwt}, layer::AuthLayer, scope::Scopes, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new("https://auth.example.com");
    /// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com/v1")?, issuer.clone());
    /// let metadata = jwt.protected_resource()?.scopes(Scopes::parse("billing:read")?)?;
    /// assert_eq!(metadata.well_known_path(), "/.well-known/oauth-protected-resource/v1");
    /// assert!(metadata.to_json().contains(r#""authorization_servers":["https://auth.example.com"]"#));
    /// let layer = AuthLayer::new(jwt).challenge(metadata.challenge());
    ///
    /// let other = Jwt::new(Issuer::new(issuer.name(), "my-api")?, issuer);
    /// assert!(other.protected_resource().is_err(), "the audience is not a URL");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the first audience or an issuer is not an `https` URL; `http` is accepted for a loopback host.
    pub fn protected_resource(&self) -> Result<ProtectedResourceMetadata, ConfigError> {
        let trusted = &self.0.issuers.trusted;
        let resource = trusted.first().and_then(|trusted| trusted.issuer.audiences.as_deref()?.first());
        let resource = ProtectedResourceMetadata::new(resource.map_or("", |audience| audience))?;
        let mut names: Vec<&str> = Vec::new();
        for trusted in trusted {
            match &trusted.issuer.name {
                IssuerName::Exact(name) | IssuerName::Missing(name) if !names.contains(&&**name) => names.push(name),
                _ => {}
            }
        }
        names.into_iter().try_fold(resource, ProtectedResourceMetadata::authorization_server)
    }
}

impl Authenticator for Jwt {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn max_credential_bytes(&self) -> usize {
        self.0.max_token_bytes.max(MAX_CREDENTIAL_BYTES)
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == CredentialKind::AccessToken && jws::is_compact(credential.text())
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        if presented.credential.kind() != CredentialKind::AccessToken {
            return refuse(Reason::CREDENTIAL_KIND);
        }
        let token = presented.credential.text();
        if token.len() > self.0.max_token_bytes {
            return refuse(Reason::TOKEN_TOO_LONG);
        }
        let arrival = presented.arrival();
        let mut slot = None;
        if let Some(cache) = &self.0.cache {
            let digest = match presented.cached(cache, || Ok(())) {
                Ok(Ok(verified)) => {
                    #[cfg(feature = "audit")]
                    if verified.names_keys {
                        crate::trail::note(presented.head.extensions, crate::trail::Notes::observe_key);
                    }
                    return Eventual::Now(Ok(verified.identity));
                }
                Ok(Err(reason)) => return refuse(reason),
                Err(digest) => digest,
            };
            slot = Some(CacheSlot { digest, generation: cache.generation() });
        }
        #[cfg(feature = "audit")]
        crate::trail::note(presented.head.extensions, |notes| {
            if jws::has_keys(token) {
                notes.observe_key();
            }
        });
        match self.0.verify(token, RequestContext { arrival, slot }) {
            Ok(result) => result,
            Err(fault) => Eventual::Now(Err(fault.into_rejection())),
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.observed_by(observer);
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.0.issuers.trusted.iter().map(|trusted| &trusted.issuer).collect();
        f.debug_struct("Jwt").field("cache", &self.0.cache).field("issuers", &issuers).finish_non_exhaustive()
    }
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(invalid(reason)))
}
