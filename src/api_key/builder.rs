use std::{fmt, num::NonZeroUsize, ops::ControlFlow, sync::Arc, time::Duration};

use super::{
    digest::{Hashing, Pepper, Unpeppered},
    format::KeyFormat,
    key_id::KeyIds,
    keys::{ApiKeys, Inner},
    store::KeyStore,
    usage::UsageRecorder,
    watch::{KeyChange, KeyWatcher},
};
use crate::{
    cache::{CachedLookup, Limits},
    environment::Environment,
    reason::Reason,
    time::{Clock, SystemClock},
};

/// Configures [`ApiKeys`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore, Pepper};
///
/// let pepper = Pepper::new("2026-11", b"thirty-two bytes that are a secret")?;
/// let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_live")?)
///     .accept_format(KeyFormat::opaque("legacy-")?)
///     .pepper(pepper)
///     .positive_ttl(Duration::from_secs(10))
///     .build();
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[must_use]
pub struct ApiKeysBuilder {
    clock: Arc<dyn Clock>,
    flush_interval: Duration,
    formats: Vec<KeyFormat>,
    hashing: Hashing,
    limits: Limits,
    max_lookups: NonZeroUsize,
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn crate::notice::Observer>>,
    store: Arc<dyn KeyStore>,
    tenant: Option<Box<str>>,
    timeout: Duration,
}

impl ApiKeysBuilder {
    pub(super) fn new(store: Arc<dyn KeyStore>, format: KeyFormat) -> Self {
        let (positive_ttl, negative_ttl) = (Duration::from_secs(30), Duration::from_secs(5));
        Self {
            clock: Arc::new(SystemClock),
            flush_interval: Duration::from_secs(10),
            formats: vec![format],
            hashing: Hashing::default(),
            limits: Limits { positive_capacity: 10_000, positive_ttl, negative_capacity: 10_000, negative_ttl },
            max_lookups: const { NonZeroUsize::new(128).expect("it is not zero") },
            #[cfg(feature = "audit")]
            observer: None,
            store,
            tenant: None,
            timeout: Duration::from_secs(2),
        }
    }

    /// Accepts keys of a further format. A key is checked by the format with the longest prefix that matches.
    pub fn accept_format(mut self, format: KeyFormat) -> Self {
        self.formats.push(format);
        self
    }

    /// Accepts keys that are stored as plain SHA-256 although there are peppers; for the time until they are replaced.
    ///
    /// With this, write access to the store is enough to add a valid key, without a pepper.
    pub fn danger_accept_unpeppered(mut self) -> Self {
        self.hashing.unpeppered = Unpeppered::Accepted;
        self
    }

    /// Sets the clock: by default, that of the system.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        #[cfg(feature = "audit")]
        {
            self.observer = environment.observer();
        }
        self
    }

    /// Sets the delay until last uses are written to the store: by default, 10 seconds.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Sets the maximum number of concurrent look-ups in the store: by default, 128. Further look-ups wait, at most until
    /// the [time-out](Self::timeout).
    pub fn max_lookups(mut self, lookups: NonZeroUsize) -> Self {
        self.max_lookups = lookups;
        self
    }

    /// Sets the maximum number of cached invalid keys: by default, 10 000.
    pub fn negative_capacity(mut self, keys: u64) -> Self {
        self.limits.negative_capacity = keys;
        self
    }

    /// Sets the lifetime of a cached invalid key, in whole seconds: by default, 5 seconds.
    pub fn negative_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.negative_ttl = lifetime;
        self
    }

    /// Adds a pepper, the newest first: new keys are stored under the first pepper, and found under each.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.hashing.peppers.push(pepper);
        self
    }

    /// Sets the maximum number of cached valid keys: by default, 10 000. Each thread caches up to 1024 more, those that it
    /// met last.
    pub fn positive_capacity(mut self, keys: u64) -> Self {
        self.limits.positive_capacity = keys;
        self
    }

    /// Sets the lifetime of a cached valid key, in whole seconds: by default, 30 seconds.
    ///
    /// This is the longest time for which a key is accepted that was revoked on another node, if the store does not report
    /// changes. If the clock is set back by more than two seconds, the cache is emptied.
    pub fn positive_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// Restricts verification and management to the keys of one tenant.
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets the time-out of the store, after which requests are refused with 503: by default, 2 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the authenticator, which watches the store for changes from then on.
    #[must_use]
    pub fn build(self) -> ApiKeys {
        let (limits, lookups) = (self.limits, self.max_lookups);
        let lookup = CachedLookup::new("key store", limits, lookups, self.timeout, Reason::KEY_STORE_TIMEOUT);
        #[cfg(feature = "audit")]
        if let Some(observer) = &self.observer {
            lookup.observed_by(observer);
        }
        // Weak: the store must not keep alive the authenticator that owns it.
        let cache = Arc::downgrade(lookup.cache());
        self.store.watch(KeyWatcher::new(move |change| {
            let Some(cache) = cache.upgrade() else { return ControlFlow::Break(()) };
            match change {
                KeyChange::Added => cache.invalidate_refusals(),
                KeyChange::Changed(id) => cache.invalidate(id.as_str()),
                KeyChange::Missed => cache.invalidate_all(),
            }
            ControlFlow::Continue(())
        }));
        ApiKeys(Arc::new(Inner {
            clock: self.clock,
            formats: self.formats,
            hashing: self.hashing,
            ids: KeyIds::default(),
            lookup,
            #[cfg(feature = "audit")]
            observer: self.observer,
            tenant: self.tenant,
            usage: UsageRecorder::new(Arc::clone(&self.store), self.flush_interval, self.timeout),
            store: self.store,
        }))
    }
}

impl fmt::Debug for ApiKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeysBuilder").field("formats", &self.formats).finish_non_exhaustive()
    }
}
