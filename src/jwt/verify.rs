//! The authenticator: verifies a token, and caches the result.

use std::{fmt, sync::Arc};

use super::{
    builder::JwtBuilder,
    claims::Claims,
    fault::Fault,
    issuer::{Issuer, IssuerName, TrustedIssuer},
    jws,
    key::VerifyingKey,
    resolver::Resolver,
    select::{Issuers, check_algorithm},
    source::KeySource,
    unverified::UnverifiedToken,
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{CredentialCache, Limits, Tagged},
    caller::{Identity, Recheck},
    digest::Digest,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    json::Object,
    log::{self, Causes},
    metadata::ProtectedResourceMetadata,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Bearer, Credential, CredentialKind, MAX_CREDENTIAL_BYTES, Scheme},
    time::{Arrival, UnixTime},
    warnings::Warnings,
};

/// Verifies JWT access tokens of the configured issuers.
///
/// Verified tokens are cached for five minutes by default. On every cache hit, the expiry and the key are checked again.
/// Clones share keys and cache. See the [module docs](super).
#[derive(Clone)]
pub struct Jwt(pub(super) Arc<Inner>);

pub(super) struct Inner {
    /// `None` if caching is disabled.
    pub(super) cache: Option<Arc<CredentialCache<VerifiedToken>>>,
    pub(super) issuers: Issuers,
    /// Those of the cache.
    pub(super) limits: Limits,
    pub(super) max_token_bytes: usize,
    pub(super) resolver: Option<Arc<Resolver>>,
}

/// The identity of a verified token, and the key that verified it.
#[derive(Clone)]
pub(super) struct VerifiedToken {
    pub(super) identity: Arc<Identity>,
    pub(super) key: Arc<VerifyingKey>,
}

/// The time of a request, and where its verified token is cached.
#[derive(Clone, Copy)]
struct RequestContext {
    arrival: Arrival,
    slot: Option<CacheSlot>,
}

/// A place in the cache. The generation is read before the verification begins: an entry that is older than a revocation
/// is not used, so a revocation during the verification is not lost.
#[derive(Clone, Copy)]
struct CacheSlot {
    digest: Digest,
    generation: u64,
}

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

    /// Returns a verifier of the same issuers and keys for another audience, such as that of a group of routes. It has a cache
    /// of its own; key sets are fetched once for both.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{jwt::{Issuer, Jwt}, layer::AuthLayer, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new("https://auth.example.com");
    /// let billing = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com/billing")?, issuer);
    /// let reports = AuthLayer::new(billing.for_audience("https://api.example.com/reports")?);
    /// let billing = AuthLayer::new(billing);
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the audience is empty.
    pub fn for_audience(&self, audience: &str) -> Result<Self, ConfigError> {
        if audience.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Audience, "an audience is a text that is not empty"));
        }
        let for_audience = |trusted: &Arc<TrustedIssuer>| {
            let mut trusted = TrustedIssuer::clone(trusted);
            trusted.issuer.audiences = Some(vec![audience.into()]);
            Arc::new(trusted)
        };
        let trusted = self.0.issuers.trusted.iter().map(for_audience).collect();
        Ok(Self(Arc::new(Inner {
            cache: self.0.cache.as_ref().map(|_| CredentialCache::new(self.0.limits)),
            issuers: Issuers { trusted, warnings: Warnings::default() },
            limits: self.0.limits,
            max_token_bytes: self.0.max_token_bytes,
            resolver: self.0.resolver.as_ref().map(|resolver| resolver.for_audience(audience)),
        })))
    }

    /// Forgets the cached tokens of an issuer, and what its [resolver](JwtBuilder::resolver) returned for it: the next token is
    /// verified by the resolver's present rules.
    pub fn forget_issuer(&self, name: &str) {
        // First, so that a token which is verified meanwhile by the old rules is not cached.
        if let Some(resolver) = &self.0.resolver {
            resolver.forget(name);
        }
        if let Some(cache) = &self.0.cache {
            cache.invalidate(name);
        }
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
            let digest = Digest::of(token.as_bytes());
            if let Some(Ok(verified)) = cache.get(&digest, arrival) {
                return Eventual::Now(Ok(verified.identity));
            }
            slot = Some(CacheSlot { digest, generation: cache.generation() });
        }
        match self.0.verify(token, RequestContext { arrival, slot }) {
            Ok(result) => result,
            Err(fault) => Eventual::Now(Err(fault.into_rejection())),
        }
    }
}

impl Inner {
    fn verify(
        self: &Arc<Self>,
        token: &str,
        context: RequestContext,
    ) -> Result<Eventual<Result<Arc<Identity>, Rejection>>, Fault> {
        let unverified = UnverifiedToken::parse(token)?;
        let claims = unverified.claims()?;
        if let Some(trusted) = self.issuers.select(&unverified, &claims, context.arrival.now)? {
            return Ok(self.find_key(trusted, token, &unverified, &claims, context));
        }
        let name = Claims::new(&claims).text("iss")?.ok_or(Reason::ISSUER_MISSING)?;
        let Some(resolver) = &self.resolver else { return Err(self.issuers.unknown(name, context.arrival.now)) };
        match resolver.resolve(name, context.arrival) {
            Eventual::Now(Ok(trusted)) => {
                check_resolved(&trusted, &unverified, &claims)?;
                Ok(self.find_key(&trusted, token, &unverified, &claims, context))
            }
            Eventual::Now(Err(rejection)) => Ok(Eventual::Now(Err(rejection))),
            Eventual::Later(trusted) => {
                let (this, token) = (Arc::clone(self), token.to_owned());
                // Waits for the resolver.
                Ok(Eventual::later(async move {
                    let trusted = trusted.await?;
                    this.verify_resolved(&trusted, &token, context).wait().await
                }))
            }
        }
    }

    /// Parses the token again when its issuer is resolved, because the first parse borrows from the request.
    fn verify_resolved(
        self: &Arc<Self>,
        trusted: &Arc<TrustedIssuer>,
        token: &str,
        context: RequestContext,
    ) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let verified = || {
            let unverified = UnverifiedToken::parse(token)?;
            let claims = unverified.claims()?;
            check_resolved(trusted, &unverified, &claims)?;
            Ok(self.find_key(trusted, token, &unverified, &claims, context))
        };
        verified().unwrap_or_else(|fault: Fault| Eventual::Now(Err(fault.into_rejection())))
    }

    fn find_key(
        self: &Arc<Self>,
        trusted: &Arc<TrustedIssuer>,
        token: &str,
        unverified: &UnverifiedToken<'_>,
        claims: &Object<'_>,
        context: RequestContext,
    ) -> Eventual<Result<Arc<Identity>, Rejection>> {
        match trusted.keys.find(&unverified.key_request(context.arrival.now)) {
            Eventual::Now(found) => Eventual::Now(self.verify_with(found, trusted, unverified, claims, context)),
            Eventual::Later(found) => {
                let (this, trusted, token) = (Arc::clone(self), Arc::clone(trusted), token.to_owned());
                // Waits for the key set.
                Eventual::later(async move { this.verify_later(&trusted, &token, found.await, context) })
            }
        }
    }

    /// Parses the token again when its key is available, because the first parse borrows from the request.
    fn verify_later(
        &self,
        trusted: &TrustedIssuer,
        token: &str,
        found: FoundKey,
        context: RequestContext,
    ) -> Result<Arc<Identity>, Rejection> {
        let unverified = UnverifiedToken::parse(token).map_err(invalid)?;
        let claims = unverified.claims().map_err(invalid)?;
        self.verify_with(found, trusted, &unverified, &claims, context)
    }

    fn verify_with(
        &self,
        found: FoundKey,
        trusted: &TrustedIssuer,
        token: &UnverifiedToken<'_>,
        claims: &Object<'_>,
        context: RequestContext,
    ) -> Result<Arc<Identity>, Rejection> {
        let key = found.map_err(|error| trusted.unavailable(&error))?;
        trusted.outage.end("issuer keys");
        let key = key.ok_or_else(|| invalid(Reason::KEY_UNKNOWN))?;
        let mut identity = token.verify(&trusted.issuer, claims, &key, context.arrival.now).map_err(|fault| {
            fault.warn(&self.issuers.warnings, trusted.issuer.name(), context.arrival.now);
            fault.into_rejection()
        })?;
        identity.recheck = Some(Arc::<VerifyingKey>::clone(&key));
        let identity = Arc::new(identity);
        if let (Some(cache), Some(slot)) = (&self.cache, context.slot) {
            let verified = VerifiedToken { identity: Arc::clone(&identity), key };
            cache.insert(slot.digest, verified, slot.generation, context.arrival);
        }
        Ok(identity)
    }
}

/// Checks that a resolver returned the issuer that the token names.
fn check_resolved(trusted: &TrustedIssuer, token: &UnverifiedToken<'_>, claims: &Object<'_>) -> Result<(), Fault> {
    if trusted.issuer.name.of_token(claims).is_none() {
        let explanation = format_args!("iss: the resolver returned \"{}\" for another name", trusted.issuer.name());
        return Err(Fault::new(Reason::ISSUER_UNKNOWN, explanation));
    }
    check_algorithm(trusted, token)
}

/// A token is not trusted any more when its key has left the key set, or when the set has become too old.
impl Recheck for VerifyingKey {
    fn recheck(&self, now: UnixTime) -> Eventual<Result<Option<Arc<Identity>>, Rejection>> {
        Eventual::Now(if self.is_usable(now) {
            Ok(None)
        } else if self.is_retired() {
            Err(invalid(Reason::KEY_RETIRED))
        } else {
            Err(Rejection::new(RejectionKind::Unavailable, Reason::KEYS_UNAVAILABLE))
        })
    }
}

type FoundKey = Result<Option<Arc<VerifyingKey>>, Unavailable>;

impl Tagged for VerifiedToken {
    fn tag(&self) -> &str {
        self.identity.issuer.as_deref().unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.identity.size_in_memory()
    }

    /// A key that has left its set is not usable, so the tokens that it verified leave the cache with it.
    fn is_current(&self, now: UnixTime) -> bool {
        self.key.is_usable(now)
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

fn invalid(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Invalid, reason)
}

impl TrustedIssuer {
    pub(super) fn unavailable(&self, error: &Unavailable) -> Rejection {
        self.outage.begin(|| {
            log::warning!(
                issuer = %self.issuer.name(),
                error = %Causes(error),
                "keys of an issuer are unavailable; tokens that need them are refused with 503"
            );
        });
        Rejection::new(RejectionKind::Unavailable, Reason::KEYS_UNAVAILABLE)
    }
}
