//! Issuers that are not known when the process starts.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use super::{
    fault::Fault,
    issuer::{IssuerName, TrustedIssuer},
};
use crate::{
    Eventual,
    cache::{CachedLookup, Failure, Limits, Outcome, Tagged},
    digest::Digest,
    error::Unavailable,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::{Arrival, UnixTime},
    warnings::Warnings,
};

/// Finds the rules and keys of an issuer that [`JwtBuilder`](super::JwtBuilder) was not configured with, for services whose
/// tenants bring issuers of their own.
///
/// It is called with the `iss` of a token of which nothing is verified: **look the name up, never fetch from it**. The result is
/// cached for ten minutes, that an issuer is unknown for one minute. At most 64 look-ups are in progress, and a request that
/// waits for one for five seconds is refused with 503. Look-ups need a tokio runtime.
///
/// The keys stay fixed by the issuer: a token is verified with the keys that were returned for its `iss`, and its `iss` must be
/// the name of the returned [`Issuer`](super::Issuer), which is not a [template](super::Issuer::template) or a trust domain.
/// Return the same [`RemoteKeys`](super::KeySource) for an issuer each time, so that its key set is not fetched again.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use tower_warden::{
///     Eventual, Unavailable,
///     jwt::{Issuer, IssuerResolver, Jwt, TrustedIssuer},
///     testing::TestIssuer,
/// };
///
/// /// Tenants by the name of their issuer.
/// struct Tenants(HashMap<String, (String, TestIssuer)>);
///
/// impl IssuerResolver for Tenants {
///     fn resolve(&self, issuer: &str) -> Eventual<Result<Option<TrustedIssuer>, Unavailable>> {
///         let trusted = self.0.get(issuer).and_then(|(tenant, keys)| {
///             let rules = Issuer::new(issuer, "https://api.example.com").ok()?.tenant(tenant.as_str());
///             Some(TrustedIssuer::new(rules, keys.clone()))
///         });
///         Eventual::Now(Ok(trusted))
///     }
/// }
///
/// let acme = TestIssuer::new("https://login.acme.example");
/// let tenants = Tenants(HashMap::from([(acme.name().to_owned(), ("acme".to_owned(), acme))]));
/// let own = TestIssuer::new("https://auth.example.com");
/// let jwt = Jwt::builder(Issuer::new(own.name(), "https://api.example.com")?, own).resolver(tenants).build()?;
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub trait IssuerResolver: Send + Sync + 'static {
    /// The rules and keys of the issuer with this name; `None` if there is no such issuer, and its tokens are refused.
    ///
    /// # Errors
    ///
    /// If it cannot be determined; the request is refused with 503.
    fn resolve(&self, issuer: &str) -> Eventual<Result<Option<TrustedIssuer>, Unavailable>>;
}

impl<R: IssuerResolver + ?Sized> IssuerResolver for Arc<R> {
    fn resolve(&self, issuer: &str) -> Eventual<Result<Option<TrustedIssuer>, Unavailable>> {
        (**self).resolve(issuer)
    }
}

/// A resolver behind its cache.
pub(super) struct Resolver {
    /// Replaces the audience of the issuers.
    audience: Option<Box<str>>,
    lookup: Arc<CachedLookup<Resolved>>,
    resolver: Arc<dyn IssuerResolver>,
    warnings: Warnings,
}

#[derive(Clone)]
struct Resolved(Arc<TrustedIssuer>);

impl Tagged for Resolved {
    fn tag(&self) -> &str {
        self.0.issuer.name()
    }

    /// Not the keys, which are in the source and have a bound of their own.
    fn size(&self) -> usize {
        size_of::<TrustedIssuer>() + self.0.issuer.name().len()
    }
}

impl Resolver {
    pub(super) fn new(resolver: Arc<dyn IssuerResolver>, audience: Option<Box<str>>) -> Arc<Self> {
        let lookup = CachedLookup::new("issuer resolver", LIMITS, MAX_LOOKUPS, TIMEOUT, Reason::KEYS_UNAVAILABLE);
        Arc::new(Self { audience, lookup, resolver, warnings: Warnings::default() })
    }

    /// The same resolver for another audience.
    pub(super) fn for_audience(&self, audience: &str) -> Arc<Self> {
        Self::new(Arc::clone(&self.resolver), Some(audience.into()))
    }

    #[cfg(feature = "audit")]
    pub(super) fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.lookup.observed_by(observer);
    }

    /// The issuer with this name, from the cache if possible.
    pub(super) fn resolve(
        self: &Arc<Self>,
        name: &str,
        arrival: Arrival,
    ) -> Eventual<Result<Arc<TrustedIssuer>, Rejection>> {
        let key = Digest::of(name.as_bytes());
        match self.lookup.cache().get(&key, arrival) {
            Some(Ok(resolved)) => Eventual::Now(Ok(resolved.0)),
            Some(Err(reason)) => Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason))),
            None => {
                let (this, name) = (Arc::clone(self), Arc::<str>::from(name));
                let look_up = move || Arc::clone(&this).look_up(Arc::clone(&name), arrival.now);
                self.lookup.load(key, arrival, look_up, |resolved| resolved.0)
            }
        }
    }

    /// Forgets what is cached about an issuer, and which issuers are unknown.
    pub(super) fn forget(&self, name: &str) {
        self.lookup.cache().invalidate(name);
        self.lookup.cache().invalidate_refusals();
    }

    async fn look_up(self: Arc<Self>, name: Arc<str>, now: UnixTime) -> Outcome<Resolved> {
        match self.resolver.resolve(&name).wait().await {
            Ok(Some(trusted)) => self.check(&name, trusted, now),
            Ok(None) => Outcome::Refused(Reason::ISSUER_UNKNOWN),
            Err(error) => Outcome::Down(Failure::new(Reason::KEYS_UNAVAILABLE, Causes(&error))),
        }
    }

    /// Checks that the resolver returned the issuer that it was called for. The keys of a template or of a trust domain would be
    /// those of issuers with other names.
    fn check(&self, name: &str, mut trusted: TrustedIssuer, now: UnixTime) -> Outcome<Resolved> {
        let returned = &trusted.issuer.name;
        if !matches!(returned, IssuerName::Exact(exact) if **exact == *name) {
            let quoted = log::quoted(returned.as_str(), MAX_NAME);
            let explanation = format_args!("iss: the resolver returned {quoted} for another name");
            let fault = Fault::new(Reason::ISSUER_UNKNOWN, explanation);
            fault.warn(&self.warnings, returned.as_str(), now);
            return Outcome::Refused(fault.reason);
        }
        if let Some(audience) = &self.audience {
            trusted.issuer.audiences = Some(vec![audience.clone()]);
        }
        #[cfg(feature = "audit")]
        self.lookup.observe(&trusted.outage);
        Outcome::Found(Resolved(Arc::new(trusted)))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("lookup", &self.lookup).finish_non_exhaustive()
    }
}

/// The number of look-ups in progress: anybody can cause them.
const MAX_LOOKUPS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// The time-out of one look-up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest quoted name, in characters.
const MAX_NAME: usize = 120;

const LIMITS: Limits = Limits {
    positive_capacity: 1_000,
    positive_ttl: Duration::from_secs(600),
    negative_capacity: 10_000,
    negative_ttl: Duration::from_secs(60),
};
