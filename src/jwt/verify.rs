//! Verifies a token: selects the rules, finds the key, and caches the result.

use std::sync::Arc;

use super::{
    audience::Verifiers,
    claims::Claims,
    fault::Fault,
    issuer::TrustedIssuer,
    key::VerifyingKey,
    resolver::Resolver,
    select::{Issuers, check_algorithm},
    unverified::UnverifiedToken,
};
use crate::{
    Eventual,
    answer::within_time_out,
    cache::{CredentialCache, Limits, Tagged},
    caller::{Identity, Recheck},
    digest::Digest,
    error::Unavailable,
    json::Object,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::{Arrival, UnixTime},
};

/// The state of a [`Jwt`](super::Jwt), which its clones share.
pub(super) struct Inner {
    /// `None` if caching is disabled.
    pub(super) cache: Option<Arc<CredentialCache<VerifiedToken>>>,
    pub(super) issuers: Issuers,
    /// Those of the cache.
    pub(super) limits: Limits,
    pub(super) max_token_bytes: usize,
    pub(super) resolver: Option<Arc<Resolver>>,
    /// This one, and those for other audiences.
    pub(super) verifiers: Arc<Verifiers>,
}

/// The identity of a verified token, and the key that verified it.
#[derive(Clone)]
pub(super) struct VerifiedToken {
    pub(super) identity: Arc<Identity>,
    pub(super) key: Arc<VerifyingKey>,
    /// Its header names keys, which are ignored.
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "only audit events have it"))]
    pub(super) names_keys: bool,
}

impl VerifiedToken {
    /// The token that this key has verified. It is not trusted any more when the key has left its set.
    pub(super) fn new(mut identity: Identity, key: Arc<VerifyingKey>) -> Self {
        identity.recheck = Some(Arc::<VerifyingKey>::clone(&key));
        Self { identity: Arc::new(identity), key, names_keys: false }
    }
}

/// The time of a request, and where its verified token is cached.
#[derive(Clone, Copy)]
pub(super) struct RequestContext {
    pub(super) arrival: Arrival,
    pub(super) slot: Option<CacheSlot>,
}

/// A place in the cache. The generation is read before the verification begins: an entry that is older than a revocation
/// is not used, so a revocation during the verification is not lost.
#[derive(Clone, Copy)]
pub(super) struct CacheSlot {
    pub(super) digest: Digest,
    pub(super) generation: u64,
}

impl Inner {
    #[cfg(feature = "audit")]
    pub(super) fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.issuers.trusted.iter().for_each(|trusted| trusted.outage.observed_by(observer));
        if let Some(resolver) = &self.resolver {
            resolver.observed_by(observer);
        }
    }

    pub(super) fn verify(
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
                check_algorithm(&trusted, &unverified)?;
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
            check_algorithm(trusted, &unverified)?;
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
        match trusted.keys.find(&unverified.key_request(context.arrival)) {
            Eventual::Now(found) => Eventual::Now(self.verify_with(found, trusted, unverified, claims, context)),
            Eventual::Later(found) => {
                let (this, trusted, token) = (Arc::clone(self), Arc::clone(trusted), token.to_owned());
                // Waits for the key set.
                Eventual::later(async move {
                    let found = within_time_out("the key source", found).await;
                    this.verify_later(&trusted, &token, found, context)
                })
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
        trusted.outage.end();
        let key = key.ok_or_else(|| invalid(Reason::KEY_UNKNOWN))?;
        let identity = token.verify(&trusted.issuer, claims, &key, context.arrival.now).map_err(|fault| {
            fault.warn(&self.issuers.warnings, trusted.issuer.name(), context.arrival.now);
            fault.into_rejection()
        })?;
        let verified = VerifiedToken { names_keys: token.header.names_keys, ..VerifiedToken::new(identity, key) };
        let identity = Arc::clone(&verified.identity);
        if let (Some(cache), Some(slot)) = (&self.cache, context.slot) {
            cache.insert(slot.digest, verified, slot.generation, context.arrival);
        }
        Ok(identity)
    }
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

pub(super) fn invalid(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Invalid, reason)
}

impl TrustedIssuer {
    pub(super) fn unavailable(&self, error: &Unavailable) -> Rejection {
        self.outage.begin(Causes(error), || {
            log::warning!(
                issuer = %self.issuer.name(),
                error = %Causes(error),
                "keys of an issuer are unavailable; tokens that need them are refused with 503"
            );
        });
        Rejection::new(RejectionKind::Unavailable, Reason::KEYS_UNAVAILABLE)
    }
}
