//! The decision on a request, and the correction of its cost.

use std::{fmt, num::NonZeroU32, sync::Arc};

use http::{HeaderMap, Request};

use super::{
    charge::LimitCharge,
    exempt::Exempt,
    fields::{Fields, RateLimitFields},
    limit_by::LimitBy,
    limit_key::LimitKey,
    limiter::{DecidedBy, Decision, LimitRequest, RateLimiter},
    quota_set::QuotaSet,
};
use crate::{
    Eventual,
    answer::within_time_out,
    caller::Principal,
    error::Unavailable,
    gate::{Check, Pass, ResponseHead, sealed::Sealed},
    log::{self, Causes},
    metrics,
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    time::Clock,
};

/// The check of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone)]
pub struct RateLimit {
    /// The key without parts.
    pub(super) key: LimitKey,
    pub(super) limiter: Arc<dyn RateLimiter>,
    /// The name of the limit, with one copy for each thread: each event has it.
    #[cfg(feature = "audit")]
    pub(super) name: crate::striped::Striped<Arc<str>>,
    pub(super) outage: Outage,
    pub(super) by: LimitBy,
    pub(super) quotas: QuotaSet,
    pub(super) tiers: Vec<(Box<str>, QuotaSet)>,
    pub(super) choose: Option<Arc<dyn Fn(&Principal) -> Option<QuotaSet> + Send + Sync>>,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) cost: Option<Arc<dyn Fn(&Head<'_>) -> u32 + Send + Sync>>,
    pub(super) final_cost: Option<Arc<dyn Fn(&ResponseHead<'_>, u32) -> u32 + Send + Sync>>,
    pub(super) has_charge: bool,
    pub(super) exempt: Vec<Exempt>,
    pub(super) fields: RateLimitFields,
}

impl RateLimit {
    /// The quotas of the principal's tier.
    fn quotas(&self, head: &Head<'_>) -> &QuotaSet {
        if self.tiers.is_empty() {
            return &self.quotas;
        }
        let tier = head.extensions.get::<Principal>().and_then(Principal::tier);
        let of_tier = tier.and_then(|tier| self.tiers.iter().find(|(name, _)| **name == *tier));
        of_tier.map_or(&self.quotas, |(_, quotas)| quotas)
    }

    /// The cost of the request; `None` if it is exempt.
    fn units(&self, head: &Head<'_>) -> Option<NonZeroU32> {
        if self.exempt.iter().any(|rule| rule.applies(head)) {
            return None;
        }
        let Some(cost) = &self.cost else { return Some(NonZeroU32::MIN) };
        // A cost that is corrected is not known yet: a request that were exempt now would never be limited.
        NonZeroU32::new(cost(head)).or_else(|| self.corrects_costs().then_some(NonZeroU32::MIN))
    }

    /// Returns whether costs can change after the admission.
    const fn corrects_costs(&self) -> bool {
        self.final_cost.is_some() || self.has_charge
    }

    /// The correction of the cost, if the layer corrects costs and the request was counted.
    fn settlement(
        self: &Arc<Self>,
        decision: &Result<Decision, Unavailable>,
        request: &LimitRequest<'_>,
    ) -> Option<Box<Settlement>> {
        if !self.corrects_costs() {
            return None;
        }
        let charge = match decision {
            Ok(Decision::Admitted(status)) => {
                let request = LimitRequest { by_substitute: status.decided_by == DecidedBy::Substitute, ..*request };
                LimitCharge::new(Arc::clone(&self.limiter), self.clock.as_ref(), &request)
            }
            Ok(Decision::Uncounted) => LimitCharge::default(),
            Ok(Decision::Refused(_)) | Err(_) => return None,
        };
        Some(Box::new(Settlement { limit: Arc::clone(self), charge }))
    }

    /// Notes the state of the limit for the audit event of the request.
    #[cfg(feature = "audit")]
    fn note(&self, trail: Option<&crate::trail::Trail>, decision: &Result<Decision, Unavailable>) {
        use crate::trail::{AuditedLimit, Counted};
        let Some(trail) = trail else { return };
        let counted = |status: &super::limiter::LimitStatus| {
            if status.decided_by == DecidedBy::Substitute { Counted::OnThisNode } else { Counted::Counted }
        };
        let (counted, remaining, reset) = match decision {
            Ok(Decision::Admitted(status)) => (counted(status), status.remaining, status.reset),
            Ok(Decision::Refused(exceeded)) => {
                let status = &exceeded.status;
                (counted(status), status.remaining, status.reset)
            }
            Ok(Decision::Uncounted) => (Counted::NotCounted, 0, std::time::Duration::ZERO),
            Err(_) => return,
        };
        let limit = || AuditedLimit { counted, limit: Arc::clone(self.name.mine()), remaining, reset };
        trail.limited(remaining, limit);
    }

    /// The pass of an exempt request.
    fn exempt_pass(self: &Arc<Self>) -> RateLimitPass {
        let settlement = || Box::new(Settlement { limit: Arc::clone(self), charge: LimitCharge::default() });
        RateLimitPass { fields: Fields::default(), settlement: self.has_charge.then(settlement) }
    }
}

impl Sealed for RateLimit {}

impl Check for RateLimit {
    type Pass = RateLimitPass;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<RateLimitPass, Rejection>> {
        let Some(cost) = self.units(head) else { return Eventual::Now(Ok(self.exempt_pass())) };
        let mut key = self.key.clone();
        if let Err(rejection) = self.by.push(&mut key, head) {
            return Eventual::Now(Err(rejection));
        }
        let chosen = self.choose.as_ref().and_then(|choose| choose(head.extensions.get::<Principal>()?));
        let quotas = chosen.as_ref().unwrap_or_else(|| self.quotas(head));
        let reason = Reason::QUOTA_EXCEEDED;
        let mut request = LimitRequest::new(&key, quotas).cost(cost);
        request.time = self.clock.as_ref().filter(|_| quotas.has_windows()).map(Clock::now);
        let request = request.resolved();
        match self.limiter.take(&request) {
            Eventual::Now(decision) => {
                #[cfg(feature = "audit")]
                self.note(head.extensions.get(), &decision);
                let settlement = self.settlement(&decision, &request);
                let pass = |fields| RateLimitPass { fields, settlement };
                Eventual::Now(respond(decision, quotas, self.fields, reason, &self.outage).map(pass))
            }
            // The limiter queries a shared store.
            Eventual::Later(decision) => {
                let (limit, quotas, time) = (Arc::clone(self), quotas.clone(), request.time);
                #[cfg(feature = "audit")]
                let trail = head.extensions.get::<crate::trail::Trail>().cloned();
                Eventual::later(async move {
                    let decision = within_time_out("the rate limiter", decision).await;
                    #[cfg(feature = "audit")]
                    limit.note(trail.as_ref(), &decision);
                    let mut request = LimitRequest::new(&key, &quotas).cost(cost);
                    request.time = time;
                    let settlement = limit.settlement(&decision, &request);
                    respond(decision, &quotas, limit.fields, reason, &limit.outage)
                        .map(|fields| RateLimitPass { fields, settlement })
                })
            }
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RateLimit");
        debug.field("by", &self.by).field("quotas", &self.quotas).field("tiers", &self.tiers);
        debug.field("exempt", &self.exempt).field("fields", &self.fields).finish_non_exhaustive()
    }
}

/// The response fields of a request that [`RateLimitLayer`](super::RateLimitLayer) has admitted, and its cost if that
/// can be corrected.
#[derive(Debug)]
pub struct RateLimitPass {
    fields: Fields,
    settlement: Option<Box<Settlement>>,
}

/// The correction of the cost of a request.
#[derive(Debug)]
struct Settlement {
    limit: Arc<RateLimit>,
    charge: LimitCharge,
}

impl Sealed for RateLimitPass {}

impl Pass for RateLimitPass {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        if let Some(settlement) = &self.settlement
            && settlement.limit.has_charge
        {
            request.extensions_mut().insert(settlement.charge.clone());
        }
    }

    fn review(&mut self, response: &ResponseHead<'_>) -> Eventual<Result<(), Rejection>> {
        let Some(Settlement { limit, charge }) = self.settlement.as_deref() else { return Eventual::Now(Ok(())) };
        let Some(final_cost) = &limit.final_cost else { return Eventual::Now(Ok(())) };
        // Outside of the lock: the closure may use the handle.
        let cost = final_cost(response, charge.cost());
        match charge.settle(|_| cost) {
            Eventual::Now(settled) => {
                limit.note_settled(settled);
                Eventual::Now(Ok(()))
            }
            // The limiter changes a shared store.
            Eventual::Later(settled) => {
                let limit = Arc::clone(limit);
                Eventual::later(async move {
                    limit.note_settled(settled.await);
                    Ok(())
                })
            }
        }
    }

    fn decorate(&mut self, headers: &mut HeaderMap) {
        std::mem::take(&mut self.fields).write(headers);
    }
}

impl RateLimit {
    /// Logs that the final costs of requests are not taken, if they are not.
    fn note_settled(&self, settled: Result<(), Unavailable>) {
        // A correction that is made does not end an outage: a substitute may have made it.
        if let Err(error) = settled {
            self.outage.begin(Causes(&error), || {
                log::warning!(
                    error = %Causes(&error),
                    "the rate limiter does not respond; the final costs of requests are not taken until it does"
                );
            });
        }
    }
}

/// The response fields for a decision, or the refusal with its fields.
pub(super) fn respond(
    decision: Result<Decision, Unavailable>,
    quotas: &QuotaSet,
    fields: RateLimitFields,
    reason: Reason,
    outage: &Outage,
) -> Result<Fields, Rejection> {
    let decided = |by, decision| match by {
        DecidedBy::Memory => metrics::limiter_decided(decision),
        DecidedBy::Store => {
            metrics::limiter_decided(decision);
            outage.end();
        }
        DecidedBy::Substitute => {
            metrics::limiter_decided("on_this_node");
            outage.begin("its store does not respond", || {
                log::warning!(
                    "the store of a rate limiter does not respond; each node limits on its own until it does"
                );
            });
        }
    };
    match decision {
        Ok(Decision::Admitted(status)) => {
            decided(status.decided_by, "admitted");
            Ok(Fields::new(fields, quotas, &status))
        }
        Ok(Decision::Refused(exceeded)) => {
            decided(exceeded.status.decided_by, "refused");
            let violated = quotas.quotas().enumerate().filter(|(index, _)| exceeded.violated.contains(index));
            let names = violated.map(|(_, quota)| quota.name());
            let rejection = Rejection::quota_exceeded(reason, exceeded.wait, names);
            Err(Fields::new(fields, quotas, &exceeded.status).refuse(rejection))
        }
        Ok(Decision::Uncounted) => {
            metrics::limiter_decided("not_counted");
            outage.begin("its store does not respond", || {
                log::warning!("a rate limiter cannot count requests; they are admitted without a limit until it can");
            });
            Ok(Fields::default())
        }
        Err(error) => {
            metrics::limiter_decided("unavailable");
            outage.begin(Causes(&error), || {
                log::error!(
                    error = %Causes(&error),
                    "the rate limiter does not respond; requests are refused with 503 until it does"
                );
            });
            Err(Rejection::new(RejectionKind::Unavailable, Reason::RATE_LIMITER_UNAVAILABLE))
        }
    }
}
