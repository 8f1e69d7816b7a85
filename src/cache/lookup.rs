//! Look-ups of credentials in a dependency, through the cache.

#[cfg(feature = "decision-point")]
use std::panic::AssertUnwindSafe;
use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

#[cfg(feature = "decision-point")]
use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::{
    credential_cache::{CredentialCache, Limits},
    outcome::{Failure, Outcome, Tagged},
};
use crate::{Eventual, digest::Digest, log, outage::Outage, reason::Reason, refusal::Rejection, time::Arrival};

/// Looks credentials up in a dependency, such as a key store or an introspection endpoint: through the cache, with a
/// maximum of concurrent look-ups, and within a time-out.
pub(crate) struct CachedLookup<V> {
    cache: Arc<CredentialCache<V>>,
    permits: Semaphore,
    timeout: Duration,
    /// The reason of the refusals after a time-out.
    timed_out: Reason,
    /// The state of the dependency, which has this name.
    outage: Outage,
    /// The state of this server's configuration: a mistake is reported also within an outage.
    mistake: Outage,
    dependency: &'static str,
}

impl<V: Tagged> CachedLookup<V> {
    pub(crate) fn new(
        dependency: &'static str,
        limits: Limits,
        max_lookups: NonZeroUsize,
        timeout: Duration,
        timed_out: Reason,
    ) -> Arc<Self> {
        let permits = Semaphore::new(max_lookups.get().min(Semaphore::MAX_PERMITS));
        let (outage, mistake) = (Outage::of(dependency), Outage::of(dependency));
        let cache = CredentialCache::new(dependency, limits);
        Arc::new(Self { cache, permits, timeout, timed_out, outage, mistake, dependency })
    }

    /// The cache.
    pub(crate) const fn cache(&self) -> &Arc<CredentialCache<V>> {
        &self.cache
    }

    /// Reports outages to this observer as well.
    #[cfg(feature = "audit")]
    pub(crate) fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.outage.observed_by(observer);
        self.mistake.observed_by(observer);
    }

    /// Reports outages of something that was looked up to the same observer.
    #[cfg(all(feature = "audit", feature = "jwt"))]
    pub(crate) fn observe(&self, found: &Outage) {
        found.observed_with(&self.outage);
    }

    /// The time-out of one look-up, and of one request.
    #[cfg(feature = "api-key")]
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Looks up a key that is not cached, and maps its value.
    ///
    /// There are two time-outs. A look-up has its own, because it may outlive the request that started it; it includes the
    /// wait for a permit. A request has its own, because it may join a look-up late, and begin again if that is invalidated.
    pub(crate) fn load<F, T>(
        self: &Arc<Self>,
        key: Digest,
        arrival: Arrival,
        look_up: impl Fn() -> F + Send + Sync + 'static,
        map: impl FnOnce(V) -> T + Send + 'static,
    ) -> Eventual<Result<T, Rejection>>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
        T: Send + 'static,
    {
        let (this, bounded) = (Arc::clone(self), Arc::clone(self));
        let look_up = move || Arc::clone(&bounded).within_bounds(look_up());
        // I/O: the dependency.
        Eventual::later(async move {
            let loaded = Arc::clone(&this.cache).load(key, arrival, look_up);
            let outcome = tokio::time::timeout(this.timeout, loaded).await;
            outcome.unwrap_or_else(|_| this.time_out()).into_result().map(map)
        })
    }

    /// Looks up without the cache: no other request gets the value.
    #[cfg(feature = "decision-point")]
    pub(crate) fn query<F, T>(
        self: &Arc<Self>,
        look_up: F,
        map: impl FnOnce(V) -> T + Send + 'static,
    ) -> Eventual<Result<T, Rejection>>
    where
        F: Future<Output = Outcome<V>> + Send + 'static,
        T: Send + 'static,
    {
        let looked_up = AssertUnwindSafe(Arc::clone(self).within_bounds(look_up)).catch_unwind();
        // I/O: the dependency.
        Eventual::later(async move { looked_up.await.unwrap_or(Outcome::Panicked).into_result().map(map) })
    }

    async fn within_bounds<F: Future<Output = Outcome<V>>>(self: Arc<Self>, look_up: F) -> Outcome<V> {
        let permitted = async {
            // The semaphore is never closed. A wait that is too long has the outcome of a slow dependency.
            let _permit = self.permits.acquire().await;
            look_up.await
        };
        let outcome = tokio::time::timeout(self.timeout, permitted).await.unwrap_or_else(|_| self.time_out());
        match &outcome {
            Outcome::Down(failure) => self.note(failure),
            Outcome::Found(_) | Outcome::Refused(_) => {
                self.outage.end();
                self.mistake.end();
            }
            Outcome::Panicked => {}
        }
        outcome
    }

    fn time_out(&self) -> Outcome<V> {
        let failure = Failure::new(self.timed_out, "no response within the time-out");
        self.note(&failure);
        Outcome::Down(failure)
    }

    fn note(&self, failure: &Failure) {
        let outage = if failure.is_own_mistake { &self.mistake } else { &self.outage };
        outage.begin(&failure.cause, || self.log(failure));
    }

    fn log(&self, failure: &Failure) {
        let (dependency, reason, error) = (self.dependency, failure.reason, &failure.cause);
        if failure.is_own_mistake {
            log::error!(
                dependency = %dependency,
                reason = %reason,
                error = %error,
                "a dependency refuses this server, by a mistake in the configuration; requests that need it are refused with 503"
            );
        } else {
            log::warning!(
                dependency = %dependency,
                reason = %reason,
                error = %error,
                "a dependency does not respond; requests that need it are refused with 503 until it does"
            );
        }
    }
}

impl<V> fmt::Debug for CachedLookup<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedLookup")
            .field("cache", &self.cache)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
