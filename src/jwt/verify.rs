//! From a token to an identity.

use std::{fmt, sync::Arc};

use super::{
    builder::JwtBuilder,
    claims::Claims,
    issuer::{Issuer, Trusted},
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
    time::UnixTime,
};

/// Verifies JWT access tokens of the issuers that it was told of.
///
/// A token that was verified within five minutes is not verified again, but looked at all the same: whether it has ended,
/// and whether its key is still in the set. Clones share everything. See the [module docs](super).
#[derive(Clone)]
pub struct Jwt(pub(super) Arc<Inner>);

pub(super) struct Inner {
    /// None if nothing is to be remembered.
    pub(super) cache: Option<Arc<CredentialCache<Verified>>>,
    pub(super) longest: usize,
    pub(super) trusted: Vec<Trusted>,
}

/// A token that was verified, and by what.
#[derive(Clone)]
pub(super) struct Verified {
    identity: Arc<Identity>,
    key: Arc<VerifyingKey>,
}

/// When a token came, and where it is to be remembered: under which digest, and as of which generation.
#[derive(Clone, Copy)]
struct Attempt {
    now: UnixTime,
    place: Option<(Digest, u64)>,
}

/// A token as it came, nothing of it verified.
pub(super) struct Draft<'a> {
    header: Header,
    segments: Segments<'a>,
}

impl Jwt {
    /// Tokens of one issuer, with the defaults of [`JwtBuilder`].
    #[must_use]
    pub fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        Self::builder(issuer, keys).build().expect("one issuer is not named twice")
    }

    /// Tokens of an issuer, and maybe of others.
    pub fn builder(issuer: Issuer, keys: impl KeySource) -> JwtBuilder {
        JwtBuilder::new(issuer, keys)
    }

    /// Whether there are keys of every issuer: for a readiness probe. Until there are, tokens of those without are
    /// answered with 503.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.trusted.iter().all(|trusted| trusted.keys.is_ready())
    }

    /// What RFC 9728 tells clients of this declaration: the first audience is the resource, and the issuers are its
    /// authorization servers. Scopes and all else are added by its setters.
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
    /// assert!(other.protected_resource().is_err(), "no URL");
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the first audience is no https URL, or an issuer is none (`http` on a loopback host).
    pub fn protected_resource(&self) -> Result<ProtectedResourceMetadata, ConfigError> {
        let resource = self.0.trusted.first().and_then(|trusted| trusted.issuer.audiences.as_deref()?.first());
        let resource = ProtectedResourceMetadata::new(resource.map_or("", |audience| audience))?;
        let mut issuers = self.0.trusted.iter().map(|trusted| trusted.issuer.name());
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
        if token.len() > self.0.longest {
            return refuse(Reason::TOKEN_TOO_LONG);
        }
        let now = presented.now;
        let mut place = None;
        if let Some(cache) = &self.0.cache {
            let digest = Digest::of(token.as_bytes());
            if let Some(Ok(verified)) = cache.get(&digest, now) {
                return Eventual::Now(Ok(verified.identity));
            }
            place = Some((digest, cache.generation()));
        }
        let attempt = Attempt { now, place };
        match self.0.begin(token, attempt) {
            Ok(verdict) => verdict,
            Err(reason) => refuse(reason),
        }
    }
}

impl Inner {
    fn begin(
        self: &Arc<Self>,
        token: &str,
        attempt: Attempt,
    ) -> Result<Eventual<Result<Arc<Identity>, Rejection>>, Reason> {
        let draft = Draft::read(token)?;
        let claims = draft.claims()?;
        let trusted = self.trusted(&draft, &claims)?;
        Ok(match trusted.keys.find(&draft.request(attempt.now)) {
            Eventual::Now(found) => Eventual::Now(self.settle(trusted, &draft, &claims, found, attempt)),
            Eventual::Later(found) => {
                let (this, token) = (Arc::clone(self), token.to_owned());
                // The key set.
                Eventual::later(async move { this.resume(&token, found.await, attempt) })
            }
        })
    }

    /// Reads the token once more when its key has come: what was read before borrowed from the request.
    fn resume(&self, token: &str, found: Found, attempt: Attempt) -> Result<Arc<Identity>, Rejection> {
        let draft = Draft::read(token).map_err(invalid)?;
        let claims = draft.claims().map_err(invalid)?;
        let trusted = self.trusted(&draft, &claims).map_err(invalid)?;
        self.settle(trusted, &draft, &claims, found, attempt)
    }

    /// The issuer that the token names; it fixes the keys (RFC 8725 §3.8).
    fn trusted(&self, draft: &Draft<'_>, claims: &Object<'_>) -> Result<&Trusted, Reason> {
        let name = Claims::new(claims).text("iss")?.ok_or(Reason::ISSUER_MISSING)?;
        let trusted =
            self.trusted.iter().find(|trusted| trusted.issuer.name() == name).ok_or(Reason::ISSUER_UNKNOWN)?;
        if trusted.issuer.algorithms.contains(&draft.header.algorithm) {
            Ok(trusted)
        } else {
            Err(Reason::ALGORITHM_NOT_ALLOWED)
        }
    }

    fn settle(
        &self,
        trusted: &Trusted,
        draft: &Draft<'_>,
        claims: &Object<'_>,
        found: Found,
        attempt: Attempt,
    ) -> Result<Arc<Identity>, Rejection> {
        let key = found.map_err(unavailable)?.ok_or_else(|| invalid(Reason::KEY_UNKNOWN))?;
        let identity = draft.verify(&trusted.issuer, claims, &key, attempt.now).map_err(invalid)?;
        let identity = Arc::new(identity);
        if let (Some(cache), Some((digest, generation))) = (&self.cache, attempt.place) {
            cache.insert(digest, Verified { identity: Arc::clone(&identity), key }, generation, attempt.now);
        }
        Ok(identity)
    }
}

type Found = Result<Option<Arc<VerifyingKey>>, Unavailable>;

impl<'a> Draft<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, Reason> {
        let segments = Segments::split(token)?;
        Ok(Self { header: Header::read(&segments.header)?, segments })
    }

    /// For the key that it says it was signed with.
    pub(super) fn request(&self, now: UnixTime) -> KeyRequest<'_> {
        KeyRequest::new(self.header.id.as_deref(), self.header.algorithm, now)
    }

    fn claims(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.segments.payload).map_err(|_| Reason::CLAIMS_SYNTAX)
    }

    /// Whether the key has signed it, with the one algorithm that it is for.
    pub(super) fn check_signature(&self, key: &VerifyingKey, now: UnixTime) -> Result<(), Reason> {
        // RFC 8725 §3.1: each key with exactly one algorithm, whatever the token says.
        if key.algorithm() != self.header.algorithm {
            return Err(Reason::KEY_ALGORITHM);
        }
        if !key.is_usable(now) {
            return Err(Reason::KEY_RETIRED);
        }
        if key.verifies(self.segments.signed, &self.segments.signature) { Ok(()) } else { Err(Reason::SIGNATURE) }
    }

    /// Signature, then kind, then time, audience and the rest.
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

impl Tagged for Verified {
    fn tag(&self) -> &str {
        self.identity.issuer.as_deref().unwrap_or_default()
    }

    fn is_current(&self, now: UnixTime) -> bool {
        self.key.is_usable(now)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.0.trusted.iter().map(|trusted| &trusted.issuer).collect();
        f.debug_struct("Jwt").field("cache", &self.0.cache).field("issuers", &issuers).finish_non_exhaustive()
    }
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(invalid(reason)))
}

fn invalid(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Invalid, reason)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what a failure is mapped by")]
fn unavailable(error: Unavailable) -> Rejection {
    log::warning!(error = %Causes(&error), "a token could not be verified; the request is answered with 503");
    Rejection::new(RejectionKind::Unavailable, Reason::KEYS_UNAVAILABLE)
}
