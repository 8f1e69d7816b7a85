use std::{num::NonZeroUsize, ops::ControlFlow, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    digest::{Hashing, Pepper, Unpeppered},
    format::KeyFormat,
    keys::{ApiKeys, Inner},
    store::KeyStore,
    usage::Ledger,
    watch::{KeyChange, KeyWatcher},
};
use crate::{
    cache::{FencedCache, Limits},
    environment::Environment,
    time::{Clock, SystemClock},
};

/// Sets [`ApiKeys`] up.
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
    look_ups: NonZeroUsize,
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
            look_ups: const { NonZeroUsize::new(128).expect("it is not zero") },
            store,
            tenant: None,
            timeout: Duration::from_secs(2),
        }
    }

    /// Accepts keys of another format too. The format with the longest prefix that fits a key decides on it.
    pub fn accept_format(mut self, format: KeyFormat) -> Self {
        self.formats.push(format);
        self
    }

    /// Sets the clock: that of the machine by default.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// With peppers, accepts keys that are stored as plain SHA-256 too: while such keys are replaced.
    ///
    /// Who can write to the store can then add keys without knowing a pepper.
    pub fn danger_accept_unpeppered(mut self) -> Self {
        self.hashing.unpeppered = Unpeppered::Accepted;
        self
    }

    /// After how long last uses are written down: 10 seconds by default.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// How many good keys are cached: 10 000 by default, and besides up to 1024 for each thread that it met last.
    pub fn positive_capacity(mut self, keys: u64) -> Self {
        self.limits.positive_capacity = keys;
        self
    }

    /// For how long a good key is cached, in whole seconds: 30 by default. So long may a key be good that was revoked
    /// by another node, where the store does not tell. Where the clock is set back, by more
    /// than two seconds, what is cached is dropped.
    pub fn positive_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.positive_ttl = lifetime;
        self
    }

    /// How many keys are looked up in the store at once: 128 by default. Others wait for their turn, and for no longer
    /// than the [time-out](Self::timeout).
    pub fn max_lookups(mut self, at_once: NonZeroUsize) -> Self {
        self.look_ups = at_once;
        self
    }

    /// Adds a pepper, the newest first: new keys are stored under the first one, and found under each.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.hashing.peppers.push(pepper);
        self
    }

    /// How many bad keys are cached: 10 000 by default.
    pub fn negative_capacity(mut self, keys: u64) -> Self {
        self.limits.negative_capacity = keys;
        self
    }

    /// For how long a bad key is cached, in whole seconds: 5 by default.
    pub fn negative_ttl(mut self, lifetime: Duration) -> Self {
        self.limits.negative_ttl = lifetime;
        self
    }

    /// Accepts keys of this tenant only, and manages no others.
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// How long the store may take: 2 seconds by default. Then the answer is 503.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the authenticator, which listens to the store's changes from here on.
    #[must_use]
    pub fn build(self) -> ApiKeys {
        let cache = FencedCache::new(self.limits);
        let listener = Arc::downgrade(&cache);
        self.store.watch(KeyWatcher::new(move |change| {
            let Some(cache) = listener.upgrade() else { return ControlFlow::Break(()) };
            match change {
                KeyChange::Added => cache.forget_refusals(),
                KeyChange::Changed(id) => cache.forget(id.as_str()),
                KeyChange::Missed => cache.forget_all(),
            }
            ControlFlow::Continue(())
        }));
        ApiKeys(Arc::new(Inner {
            cache,
            clock: self.clock,
            formats: self.formats,
            hashing: self.hashing,
            ledger: Ledger::new(Arc::clone(&self.store), self.flush_interval, self.timeout),
            look_ups: Semaphore::new(self.look_ups.get().min(Semaphore::MAX_PERMITS)),
            store: self.store,
            tenant: self.tenant,
            timeout: self.timeout,
        }))
    }
}

impl std::fmt::Debug for ApiKeysBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeysBuilder").field("formats", &self.formats).finish_non_exhaustive()
    }
}
