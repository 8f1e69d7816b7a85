//! Issuers that are not known when the process starts.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::issuer::TrustedIssuer;
use crate::{
    Eventual,
    cache::{CredentialCache, Failure, Limits, Outcome, Tagged},
    digest::Digest,
    error::Unavailable,
    log::{self, Causes, Outage},
    reason::Reason,
    refusal::Rejection,
    time::Arrival,
};

/// Finds the rules and keys of an issuer that [`JwtBuilder`](super::JwtBuilder) was not configured with, for services whose
/// tenants bring issuers of their own.
///
/// It is called with the `iss` of a token of which nothing is verified: **look the name up, never fetch from it**. The result is
/// cached for ten minutes, that an issuer is unknown for one minute; at most 64 look-ups are in progress. The keys stay fixed
/// by the issuer: a token is verified with the keys that were returned for its `iss`, and its `iss` must be the name of the
/// returned [`Issuer`](super::Issuer). Return the same [`RemoteKeys`](super::KeySource) for an issuer each time, so that its key
/// set is not fetched again.
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
    cache: Arc<CredentialCache<Resolved>>,
    resolver: Arc<dyn IssuerResolver>,
    /// The state of the resolver.
    outage: Outage,
    running: AtomicUsize,
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
        let cache = CredentialCache::new(LIMITS);
        Arc::new(Self { audience, cache, resolver, outage: Outage::default(), running: AtomicUsize::new(0) })
    }

    /// The same resolver for another audience.
    pub(super) fn for_audience(&self, audience: &str) -> Arc<Self> {
        Self::new(Arc::clone(&self.resolver), Some(audience.into()))
    }

    /// The issuer with this name, from the cache if possible.
    pub(super) fn resolve(
        self: &Arc<Self>,
        name: &str,
        arrival: Arrival,
    ) -> Eventual<Result<Arc<TrustedIssuer>, Rejection>> {
        let key = Digest::of(name.as_bytes());
        let outcome = match self.cache.get(&key, arrival) {
            Some(Ok(resolved)) => Outcome::Found(resolved),
            Some(Err(reason)) => Outcome::Refused(reason),
            None => {
                let (this, name) = (Arc::clone(self), Arc::<str>::from(name));
                let look_up = move || Arc::clone(&this).look_up(Arc::clone(&name));
                let loaded = Arc::clone(&self.cache).load(key, arrival, look_up);
                // What the resolver queries.
                return Eventual::later(async move { loaded.await.into_result().map(|resolved| resolved.0) });
            }
        };
        Eventual::Now(outcome.into_result().map(|resolved| resolved.0))
    }

    /// Forgets what is cached about an issuer, and which issuers are unknown.
    pub(super) fn forget(&self, name: &str) {
        self.cache.invalidate(name);
        self.cache.invalidate_refusals();
    }

    async fn look_up(self: Arc<Self>, name: Arc<str>) -> Outcome<Resolved> {
        let Some(_running) = Running::begin(&self.running) else {
            return Outcome::Down(Failure::new(Reason::KEYS_UNAVAILABLE, "too many issuers are being resolved"));
        };
        let resolved = self.resolver.resolve(&name).wait().await;
        if resolved.is_ok() {
            self.outage.end("issuer resolver");
        }
        match resolved {
            Ok(Some(mut trusted)) => {
                if let Some(audience) = &self.audience {
                    trusted.issuer.audiences = Some(vec![audience.clone()]);
                }
                Outcome::Found(Resolved(Arc::new(trusted)))
            }
            Ok(None) => Outcome::Refused(Reason::ISSUER_UNKNOWN),
            Err(error) => {
                let failure = Failure::new(Reason::KEYS_UNAVAILABLE, Causes(&error));
                self.outage.begin(|| {
                    log::warning!(
                        error = %failure.cause,
                        "issuers cannot be resolved; tokens of issuers that are not cached are refused with 503"
                    );
                });
                Outcome::Down(failure)
            }
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// A look-up in progress, counted until it is dropped.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    /// Anybody can cause look-ups: there is a maximum, beyond which they fail at once.
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let running = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MAX_RUNNING).then_some(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of look-ups in progress.
const MAX_RUNNING: usize = 64;

const LIMITS: Limits = Limits {
    positive_capacity: 1_000,
    positive_ttl: Duration::from_secs(600),
    negative_capacity: 10_000,
    negative_ttl: Duration::from_secs(60),
};
