//! The authenticator: verifies a token, and caches the result.

use std::{fmt, sync::Arc};

use super::{
    builder::JwtBuilder,
    claims::Claims,
    issuer::{Issuer, TrustedIssuer},
    jws::{self, Header, Segments},
    key::VerifyingKey,
    source::{KeyRequest, KeySource},
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{CredentialCache, Tagged},
    caller::{AuthMethod, Identity},
    digest::Digest,
    error::{ConfigError, Unavailable},
    json::Object,
    log::{self, Causes},
    metadata::ProtectedResourceMetadata,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Bearer, Credential, CredentialKind, Scheme},
    time::{Arrival, UnixTime},
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
    pub(super) issuers: Vec<TrustedIssuer>,
    pub(super) max_token_bytes: usize,
}

/// The identity of a verified token, and the key that verified it.
#[derive(Clone)]
pub(super) struct VerifiedToken {
    identity: Arc<Identity>,
    key: Arc<VerifyingKey>,
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

/// A parsed token of which nothing is verified.
pub(super) struct UnverifiedToken<'a> {
    header: Header,
    segments: Segments<'a>,
}

impl Jwt {
    /// Creates an authenticator for tokens of one issuer, with the defaults of [`JwtBuilder`].
    #[must_use]
    pub fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        Self::builder(issuer, keys).build().expect("a single issuer has a unique name")
    }

    /// Returns a builder for an authenticator of this issuer, to which more can be added.
    pub fn builder(issuer: Issuer, keys: impl KeySource) -> JwtBuilder {
        JwtBuilder::new(issuer, keys)
    }

    /// Returns whether the keys of every issuer are available, for a readiness probe. Tokens of an issuer without keys are refused
    /// with 503.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.issuers.iter().all(|trusted| trusted.keys.is_ready())
    }

    /// The protected resource metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)) of this configuration: the
    /// first audience is the resource, and the issuers are its authorization servers. Scopes and other members are added with
    /// its setters.
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
        let resource = self.0.issuers.first().and_then(|trusted| trusted.issuer.audiences.as_deref()?.first());
        let resource = ProtectedResourceMetadata::new(resource.map_or("", |audience| audience))?;
        let mut issuers = self.0.issuers.iter().map(|trusted| trusted.issuer.name());
        issuers.try_fold(resource, ProtectedResourceMetadata::authorization_server)
    }
}

impl Authenticator for Jwt {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
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
            Err(reason) => refuse(reason),
        }
    }
}

impl Inner {
    fn verify(
        self: &Arc<Self>,
        token: &str,
        context: RequestContext,
    ) -> Result<Eventual<Result<Arc<Identity>, Rejection>>, Reason> {
        let unverified = UnverifiedToken::parse(token)?;
        let claims = unverified.claims()?;
        let issuer = self.issuer(&unverified, &claims)?;
        Ok(match issuer.keys.find(&unverified.key_request(context.arrival.now)) {
            Eventual::Now(found) => Eventual::Now(self.verify_with(found, issuer, &unverified, &claims, context)),
            Eventual::Later(found) => {
                let (this, token) = (Arc::clone(self), token.to_owned());
                // Waits for the key set.
                Eventual::later(async move { this.verify_later(&token, found.await, context) })
            }
        })
    }

    /// Parses the token again when its key is available, because the first parse borrows from the request.
    fn verify_later(&self, token: &str, found: FoundKey, context: RequestContext) -> Result<Arc<Identity>, Rejection> {
        let unverified = UnverifiedToken::parse(token).map_err(invalid)?;
        let claims = unverified.claims().map_err(invalid)?;
        let issuer = self.issuer(&unverified, &claims).map_err(invalid)?;
        self.verify_with(found, issuer, &unverified, &claims, context)
    }

    /// The issuer that the token names. It determines the keys (RFC 8725 §3.8).
    fn issuer(&self, token: &UnverifiedToken<'_>, claims: &Object<'_>) -> Result<&TrustedIssuer, Reason> {
        let name = Claims::new(claims).text("iss")?.ok_or(Reason::ISSUER_MISSING)?;
        let trusted =
            self.issuers.iter().find(|trusted| trusted.issuer.name() == name).ok_or(Reason::ISSUER_UNKNOWN)?;
        if trusted.issuer.algorithms.contains(&token.header.algorithm) {
            Ok(trusted)
        } else {
            Err(Reason::ALGORITHM_NOT_ALLOWED)
        }
    }

    fn verify_with(
        &self,
        found: FoundKey,
        trusted: &TrustedIssuer,
        token: &UnverifiedToken<'_>,
        claims: &Object<'_>,
        context: RequestContext,
    ) -> Result<Arc<Identity>, Rejection> {
        let key = found.map_err(unavailable)?.ok_or_else(|| invalid(Reason::KEY_UNKNOWN))?;
        let identity = token.verify(&trusted.issuer, claims, &key, context.arrival.now).map_err(invalid)?;
        let identity = Arc::new(identity);
        if let (Some(cache), Some(slot)) = (&self.cache, context.slot) {
            let verified = VerifiedToken { identity: Arc::clone(&identity), key };
            cache.insert(slot.digest, verified, slot.generation, context.arrival);
        }
        Ok(identity)
    }
}

type FoundKey = Result<Option<Arc<VerifyingKey>>, Unavailable>;

impl<'a> UnverifiedToken<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Reason> {
        let segments = Segments::split(token)?;
        Ok(Self { header: Header::read(&segments.header)?, segments })
    }

    /// The request for the key that the header names.
    pub(super) fn key_request(&self, now: UnixTime) -> KeyRequest<'_> {
        KeyRequest::new(self.header.kid.as_deref(), self.header.algorithm, now)
    }

    fn claims(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.segments.payload).map_err(|_| Reason::CLAIMS_SYNTAX)
    }

    /// Verifies the signature with the key and its only algorithm.
    pub(super) fn check_signature(&self, key: &VerifyingKey, now: UnixTime) -> Result<(), Reason> {
        // RFC 8725 §3.1: each key is used with exactly one algorithm, whatever the token names.
        if key.algorithm() != self.header.algorithm {
            return Err(Reason::KEY_ALGORITHM);
        }
        if !key.is_usable(now) {
            return Err(Reason::KEY_RETIRED);
        }
        if key.verifies(self.segments.signed, &self.segments.signature) { Ok(()) } else { Err(Reason::SIGNATURE) }
    }

    /// Verifies the signature first, then kind, times, audience and the other claims.
    fn verify(
        &self,
        issuer: &Issuer,
        claims: &Object<'_>,
        key: &VerifyingKey,
        now: UnixTime,
    ) -> Result<Identity, Reason> {
        self.check_signature(key, now)?;
        let claims = Claims::new(claims);
        claims.check_profile(issuer, self.header.kind)?;
        let mut identity = claims.identity(issuer, AuthMethod::Jwt, now)?;
        identity.claims = std::str::from_utf8(&self.segments.payload).ok().map(Into::into);
        Ok(identity)
    }
}

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
        let issuers: Vec<_> = self.0.issuers.iter().map(|trusted| &trusted.issuer).collect();
        f.debug_struct("Jwt").field("cache", &self.0.cache).field("issuers", &issuers).finish_non_exhaustive()
    }
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(invalid(reason)))
}

fn invalid(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Invalid, reason)
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn unavailable(error: Unavailable) -> Rejection {
    log::warning!(error = %Causes(&error), "a token could not be verified; responding with 503");
    Rejection::new(RejectionKind::Unavailable, Reason::KEYS_UNAVAILABLE)
}
