//! Costs that are known after the response.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    limit_key::LimitKey,
    limiter::{LimitRequest, RateLimiter},
    quota_set::QuotaSet,
};
use crate::{Eventual, error::Unavailable, time::UnixTime};

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
    /// The window in which the units were taken: a refund belongs to it.
    time: Option<UnixTime>,
    /// The units that the request has cost so far.
    cost: Mutex<u32>,
}

impl LimitCharge {
    /// A handle to a request that was admitted at this cost.
    pub(super) fn new(limiter: Arc<dyn RateLimiter>, request: &LimitRequest<'_>) -> Self {
        let LimitRequest { key, quotas, cost, time } = *request;
        let (key, quotas, cost) = (key.clone(), quotas.clone(), Mutex::new(cost.get()));
        Self(Some(Arc::new(Charge { limiter, key, quotas, time, cost })))
    }

    /// The units that the request has cost so far; zero if it is exempt.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.0.as_ref().map_or(0, |charge| *charge.cost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes more units, whether or not they are available: if not, later requests wait until they are.
    ///
    /// The result resolves when the limiter has taken the units. Units are not taken if a result that is
    /// [`Later`](Eventual::Later) is dropped.
    ///
    /// # Errors
    ///
    /// If the limiter does not answer.
    #[must_use = "units that are charged later are charged by the future"]
    pub fn charge(&self, units: u32) -> Eventual<Result<(), Unavailable>> {
        self.settle(|cost| cost.saturating_add(units))
    }

    /// Returns units, at most those that the request has cost so far.
    ///
    /// # Errors
    ///
    /// If the limiter does not answer.
    #[must_use = "units that are refunded later are refunded by the future"]
    pub fn refund(&self, units: u32) -> Eventual<Result<(), Unavailable>> {
        self.settle(|cost| cost.saturating_sub(units))
    }

    /// Changes the cost of the request.
    pub(super) fn settle(&self, change: impl FnOnce(u32) -> u32) -> Eventual<Result<(), Unavailable>> {
        let Some(charge) = &self.0 else { return Eventual::Now(Ok(())) };
        let Charge { limiter, key, quotas, time, cost } = &**charge;
        let mut cost = cost.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = (*cost, change(*cost));
        if before == after {
            return Eventual::Now(Ok(()));
        }
        *cost = after;
        drop(cost);
        let mut request = LimitRequest::new(key, quotas);
        request.time = *time;
        match NonZeroU32::new(before) {
            Some(before) => limiter.settle(&request.cost(before), after),
            // Everything was refunded before: the same difference, from one unit.
            None => limiter.settle(&request, after.saturating_add(1)),
        }
    }
}

impl fmt::Debug for LimitCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitCharge").field("cost", &self.cost()).finish_non_exhaustive()
    }
}
