//! Costs that are known after the response.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    limit_key::LimitKey,
    limiter::{LimitRequest, RateLimiter},
    quota_set::QuotaSet,
};
use crate::{
    Eventual,
    answer::within_time_out,
    error::Unavailable,
    time::{Clock, SystemClock, UnixTime},
};

/// A handle to the cost of one request, with which a handler charges or refunds units.
///
/// [`RateLimitLayer::with_charge`](crate::layer::RateLimitLayer::with_charge) adds it to the extensions of each request, so
/// that it can be used while the request is handled, while its response body is sent, and after that. Clones are handles
/// to the same request. It has no effect on requests that are exempt.
///
/// # Examples
///
/// A handler that charges the tokens that a model has generated:
///
/// ```
/// use tower_warden::rate_limit::LimitCharge;
///
/// async fn generate(charge: LimitCharge) -> Result<String, tower_warden::Unavailable> {
///     let (text, tokens) = ("generated text", 120);
///     charge.charge(tokens).wait().await?;
///     Ok(text.to_owned())
/// }
/// # tokio_test::block_on(generate(LimitCharge::default()))?;
/// # Ok::<(), tower_warden::Unavailable>(())
/// ```
#[derive(Clone, Default)]
pub struct LimitCharge(Option<Arc<Charge>>);

struct Charge {
    limiter: Arc<dyn RateLimiter>,
    key: LimitKey,
    quotas: QuotaSet,
    /// The clock that selects windows, if a quota has any and it is not that of the system.
    clock: Option<Arc<dyn Clock>>,
    /// The time of the admission.
    time: Option<UnixTime>,
    /// The mark of a request that a substitute of the limiter's store has admitted.
    by_substitute: bool,
    /// The cost at which the request was admitted.
    admitted: NonZeroU32,
    /// The units that the request has cost so far, as far as the limiter has confirmed them.
    cost: Mutex<u32>,
}

impl LimitCharge {
    /// A handle to a request that was admitted at this cost.
    pub(super) fn new(
        limiter: Arc<dyn RateLimiter>,
        clock: Option<&Arc<dyn Clock>>,
        request: &LimitRequest<'_>,
    ) -> Self {
        let LimitRequest { key, quotas, cost: admitted, time, by_substitute, .. } = *request;
        let clock = clock.filter(|_| quotas.has_windows()).map(Arc::clone);
        let (key, quotas, cost) = (key.clone(), quotas.clone(), Mutex::new(admitted.get()));
        Self(Some(Arc::new(Charge { limiter, key, quotas, clock, time, by_substitute, admitted, cost })))
    }

    /// The units that the request has cost so far; zero if it is exempt.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.0.as_ref().map_or(0, |charge| *charge.lock())
    }

    /// Takes more units, whether or not they are available: if not, later requests wait until they are. Of a quota in windows,
    /// they are taken from the present window, also if the request was admitted in an earlier one.
    ///
    /// Of a request that was admitted at a cost above the burst of a quota, make changes one after another: the units that a
    /// change below that cost takes depend on those before.
    ///
    /// The result resolves when the limiter has taken the units. Units are not taken if a result that is
    /// [`Later`](Eventual::Later) is dropped before it is awaited.
    ///
    /// # Errors
    ///
    /// If the limiter does not answer: the [`cost`](Self::cost) is that of before.
    #[must_use = "units that are charged later are charged by the future"]
    pub fn charge(&self, units: u32) -> Eventual<Result<(), Unavailable>> {
        self.settle(|cost| cost.saturating_add(units))
    }

    /// Returns units, at most those that the request has cost so far. Of a cost above the burst, a quota has taken the burst
    /// only, and returns no more than that. Of a quota in windows, units are returned to the window in which the request was
    /// admitted: after its end, that has no effect.
    ///
    /// # Errors
    ///
    /// If the limiter does not answer: the [`cost`](Self::cost) is that of before.
    #[must_use = "units that are refunded later are refunded by the future"]
    pub fn refund(&self, units: u32) -> Eventual<Result<(), Unavailable>> {
        self.settle(|cost| cost.saturating_sub(units))
    }

    /// Changes the cost of the request.
    ///
    /// A higher cost applies once the limiter has taken the units, a lower one at once: no two refunds return the same units.
    pub(super) fn settle(&self, change: impl FnOnce(u32) -> u32) -> Eventual<Result<(), Unavailable>> {
        let Some(charge) = &self.0 else { return Eventual::Now(Ok(())) };
        let mut cost = charge.lock();
        let (before, after) = (*cost, change(*cost));
        if before == after {
            return Eventual::Now(Ok(()));
        }
        *cost = before.min(after);
        drop(cost);
        let pending = Pending { charge: Arc::clone(charge), refunded: before.saturating_sub(after) };
        let mut request = LimitRequest::new(&charge.key, &charge.quotas).cost(charge.admitted).settled(before);
        // A refund belongs to the window of the admission. Units that are charged after its end are of the present one.
        request.time = if after > before { charge.now() } else { charge.time };
        request.by_substitute = charge.by_substitute;
        match charge.limiter.settle(&request, after) {
            Eventual::Now(settled) => Eventual::Now(pending.complete(settled, after.saturating_sub(before))),
            // The limiter changes a shared store.
            Eventual::Later(settled) => Eventual::later(async move {
                let mut pending = pending;
                // From now on, a future that is dropped may have returned the units.
                let refunded = std::mem::take(&mut pending.refunded);
                let settled = async {
                    let settled = settled.await;
                    pending.refunded = refunded;
                    pending.complete(settled, after.saturating_sub(before))
                };
                // One that hangs is dropped.
                within_time_out("the rate limiter", settled).await
            }),
        }
    }
}

impl Charge {
    /// The present time, if it selects a window; never before the admission, also if the clock was set back.
    fn now(&self) -> Option<UnixTime> {
        let admitted = self.time?;
        let now = self.clock.as_ref().map_or_else(|| SystemClock::default().now(), |clock| clock.now());
        Some(now.max(admitted))
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of the cost that the limiter has not confirmed; a refund that does not happen is undone when this is dropped.
struct Pending {
    charge: Arc<Charge>,
    refunded: u32,
}

impl Pending {
    fn complete(mut self, settled: Result<(), Unavailable>, charged: u32) -> Result<(), Unavailable> {
        settled?;
        self.refunded = 0;
        let mut cost = self.charge.lock();
        *cost = cost.saturating_add(charged);
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.refunded > 0 {
            let mut cost = self.charge.lock();
            *cost = cost.saturating_add(self.refunded);
        }
    }
}

impl fmt::Debug for LimitCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitCharge").field("cost", &self.cost()).finish_non_exhaustive()
    }
}
