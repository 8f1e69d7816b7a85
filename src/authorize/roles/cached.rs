use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use super::{
    check::DEPENDENCY,
    directory::{RoleDirectory, RoleQuery},
};
use crate::{
    Eventual,
    cache::{CachedLookup, Failure, Limits, Outcome, Tagged},
    caller::AuthMethod,
    digest::Digest,
    environment::Environment,
    log::Causes,
    reason::Reason,
    refusal::Rejection,
    scope::Scopes,
    time::{Arrival, Clock},
};

/// A [`RoleDirectory`] behind a cache, for a [`RoleLayer`](super::RoleLayer).
///
/// Several requests of a caller cause one query. A query that does not respond in time is a 503, and is not cached.
/// Scopes that were withdrawn are in use for the [lifetime](CachedRolesBuilder::lifetime) of an entry at most, or until
/// the entry is [invalidated](Self::invalidate): a query that has read them before that, and completes after it, is repeated.
///
/// Entries are separate for each issuer, method of authentication, tenant, subject and list of roles. Clones share the
/// cache.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{authorize::{CachedRoles, RoleMap}, layer::RoleLayer};
///
/// # let directory = RoleMap::new([("support", "billing:read")])?;
/// let roles = CachedRoles::builder(directory).lifetime(Duration::from_secs(30)).build();
/// let layer = RoleLayer::cached(&roles);
///
/// // The permissions of Alice have changed.
/// roles.invalidate(Some("https://auth.example.com"), "alice");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct CachedRoles {
    clock: Arc<dyn Clock>,
    directory: Arc<dyn RoleDirectory>,
    lookup: Arc<CachedLookup<CachedScopes>>,
}

/// Configures [`CachedRoles`].
#[must_use]
pub struct CachedRolesBuilder {
    directory: Arc<dyn RoleDirectory>,
    environment: Environment,
    limits: Limits,
    max_lookups: NonZeroUsize,
    timeout: Duration,
}

impl CachedRolesBuilder {
    /// Sets how many callers are cached: 10 000 by default. Each thread caches up to 1024 more.
    pub const fn capacity(mut self, callers: u64) -> Self {
        self.limits.positive_capacity = callers;
        self
    }

    /// Sets the clock of the cache, and the receiver of notices of outages.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// Sets the lifetime of entries, in whole seconds: 60 by default. Withdrawn scopes may be in use for that long.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// Sets the maximum number of concurrent queries: 64 by default. Further ones wait, up to the
    /// [time-out](Self::timeout).
    pub const fn max_lookups(mut self, lookups: NonZeroUsize) -> Self {
        self.max_lookups = lookups;
        self
    }

    /// Sets the time-out of a query: 3 seconds by default. After it, the request is refused with 503.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the cache.
    #[must_use]
    pub fn build(self) -> CachedRoles {
        let lookup = CachedLookup::new(DEPENDENCY, self.limits, self.max_lookups, self.timeout, Reason::ROLES_TIMEOUT);
        #[cfg(feature = "audit")]
        if let Some(observer) = self.environment.observer() {
            lookup.observed_by(&observer);
        }
        CachedRoles { clock: self.environment.clock(), directory: self.directory, lookup }
    }
}

impl CachedRoles {
    /// Caches the responses of a directory, with the defaults of [`CachedRolesBuilder`].
    #[must_use]
    pub fn new(directory: impl RoleDirectory) -> Self {
        Self::builder(directory).build()
    }

    /// Returns a builder for a cache with other settings.
    pub fn builder(directory: impl RoleDirectory) -> CachedRolesBuilder {
        CachedRolesBuilder {
            directory: Arc::new(directory),
            environment: Environment::default(),
            limits: Limits {
                positive_capacity: 10_000,
                positive_ttl: Duration::from_secs(60),
                // A caller without scopes is an entry like any other.
                negative_capacity: 0,
                negative_ttl: Duration::ZERO,
            },
            max_lookups: const { NonZeroUsize::new(64).expect("64 is not zero") },
            timeout: Duration::from_secs(3),
        }
    }

    /// Invalidates what is cached about a subject of an issuer, in each tenant and with any roles. The issuer is `None`
    /// for callers without a token, such as those with an API key.
    ///
    /// Requests that wait for a query that began before this call wait for another one.
    pub fn invalidate(&self, issuer: Option<&str>, subject: &str) {
        self.lookup.cache().invalidate(&tag(issuer, subject));
    }

    /// Invalidates all entries, such as when the scopes of a role have changed.
    ///
    /// Requests that arrive later are decided by queries that begin later. One that has arrived before may still be decided by
    /// a query that began between its arrival and this call.
    pub fn invalidate_all(&self) {
        self.lookup.cache().invalidate_all();
    }

    pub(super) fn resolve(&self, query: &RoleQuery<'_>) -> Eventual<Result<Arc<Scopes>, Rejection>> {
        let (key, arrival) = (key(query), Arrival::read(&*self.clock));
        if let Some(Ok(cached)) = self.lookup.cache().get(&key, arrival) {
            return Eventual::Now(Ok(cached.scopes));
        }
        let (directory, query) = (Arc::clone(&self.directory), Arc::new(OwnedQuery::from(query)));
        let look_up = move || {
            let (directory, query) = (Arc::clone(&directory), Arc::clone(&query));
            async move {
                let scopes = directory.scopes(&query.borrow()).wait().await;
                match scopes {
                    Ok(scopes) => Outcome::Found(CachedScopes { scopes: Arc::new(scopes), tag: query.tag() }),
                    Err(error) => Outcome::Down(Failure::new(Reason::ROLES_UNAVAILABLE, Causes(&error))),
                }
            }
        };
        self.lookup.load(key, arrival, look_up, |cached| cached.scopes)
    }
}

impl fmt::Debug for CachedRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRoles").field("lookup", &self.lookup).finish_non_exhaustive()
    }
}

impl fmt::Debug for CachedRolesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRolesBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct CachedScopes {
    scopes: Arc<Scopes>,
    tag: Arc<str>,
}

impl Tagged for CachedScopes {
    fn tag(&self) -> &str {
        &self.tag
    }

    fn size(&self) -> usize {
        const ENTRY: usize = 64;
        ENTRY + self.tag.len() + self.scopes.iter().map(|scope| ENTRY + scope.as_str().len()).sum::<usize>()
    }
}

/// A query that outlives its request.
struct OwnedQuery {
    issuer: Option<Box<str>>,
    method: AuthMethod,
    roles: Box<[Box<str>]>,
    subject: Box<str>,
    tenant: Option<Box<str>>,
}

impl OwnedQuery {
    fn borrow(&self) -> RoleQuery<'_> {
        RoleQuery {
            issuer: self.issuer.as_deref(),
            method: self.method,
            roles: &self.roles,
            subject: &self.subject,
            tenant: self.tenant.as_deref(),
        }
    }

    fn tag(&self) -> Arc<str> {
        tag(self.issuer.as_deref(), &self.subject).into()
    }
}

impl From<&RoleQuery<'_>> for OwnedQuery {
    fn from(query: &RoleQuery<'_>) -> Self {
        Self {
            issuer: query.issuer.map(Into::into),
            method: query.method,
            roles: query.roles.into(),
            subject: query.subject.into(),
            tenant: query.tenant.map(Into::into),
        }
    }
}

/// The key of an entry. Each part has its length in front of it, so that different queries have different keys.
fn key(query: &RoleQuery<'_>) -> Digest {
    let mut bytes = Vec::with_capacity(256);
    let mut add = |part: Option<&str>| {
        bytes.push(u8::from(part.is_some()));
        let part = part.unwrap_or_default();
        bytes.extend(part.len().to_le_bytes());
        bytes.extend(part.as_bytes());
    };
    add(query.issuer);
    add(Some(query.method.as_str()));
    add(query.tenant);
    add(Some(query.subject));
    query.roles.iter().for_each(|role| add(Some(role)));
    Digest::of(&bytes)
}

fn tag(issuer: Option<&str>, subject: &str) -> String {
    match issuer {
        Some(issuer) => format!("{}:{issuer}{subject}", issuer.len()),
        None => format!(":{subject}"),
    }
}
