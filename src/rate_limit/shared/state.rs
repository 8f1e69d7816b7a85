use std::{fmt, time::Duration};

use super::super::{
    limiter::{Decision, LimitExceeded, LimitRequest, LimitStatus},
    meter::Meter,
    outcome,
    quota_set::{Limit, QuotaSet},
    stopwatch::{ORIGIN, ticks},
    table::Entry,
};

/// The state of the quotas of one request: the time until each theoretical arrival time (TAT).
///
/// Times are relative, so the state does not depend on a clock: "now" is the time at which the store has read its clock.
/// See the [module docs](super) for an example.
///
/// A quota [in windows](super::super::Quota::has_fixed_windows) has used units instead of a TAT: see
/// [`with_windows`](Self::with_windows). A store that does not support them refuses all requests under such quotas.
#[derive(Clone)]
pub struct LimitState<'a> {
    request: LimitRequest<'a>,
    /// Ticks, with `ORIGIN` as now.
    tats: [u64; QuotaSet::MAX],
    resolution: u64,
    has_debt: bool,
    has_windows: bool,
}

impl<'a> LimitState<'a> {
    /// Creates a state from the time until the TAT of each quota, in the order of the set.
    ///
    /// The time is zero if the TAT has passed or is not stored; missing times are zero as well. A time above the burst
    /// tolerance is reduced to it, so that a store's clock that was set back does not lock callers out.
    #[must_use]
    pub fn new(request: &LimitRequest<'a>, until_tats: impl IntoIterator<Item = Duration>) -> Self {
        let mut tats = [ORIGIN; QuotaSet::MAX];
        for (tat, until_tat) in tats.iter_mut().zip(until_tats) {
            *tat = ORIGIN.saturating_add(ticks(until_tat));
        }
        Self { request: request.resolved(), tats, resolution: 1, has_debt: false, has_windows: false }
    }

    /// Sets the resolution of the store's clock, to which emission intervals are rounded up: one nanosecond by default.
    ///
    /// A store that runs the algorithm itself uses [`Quota::emission_interval_at`](super::super::Quota::emission_interval_at)
    /// with the same resolution.
    #[must_use]
    pub const fn with_resolution(mut self, resolution: Duration) -> Self {
        self.resolution = ticks(resolution);
        self
    }

    /// Keeps times above the burst tolerance: charges that exceeded what was available cause them.
    ///
    /// Only for times of a clock that is never set back, or that the store has checked itself.
    #[must_use]
    pub const fn with_debt(mut self) -> Self {
        self.has_debt = true;
        self
    }

    /// Declares that the store supports quotas [in windows](super::super::Quota::has_fixed_windows).
    ///
    /// Instead of a time, the state of such a quota is the number of units used in the window, in nanoseconds: both in
    /// [`new`](Self::new) and in [`until_tats`](Self::until_tats). The store keeps the number as it is, without adding or
    /// subtracting the time of its clock, until the window has ended.
    #[must_use]
    pub const fn with_windows(mut self) -> Self {
        self.has_windows = true;
        self
    }

    /// Corrects the cost of the request, which was admitted, to `cost`, as
    /// [`RateLimiter::settle`](super::super::RateLimiter::settle) does.
    ///
    /// The TATs to store are then the [`until_tats`](Self::until_tats). A store that is read [with debt](Self::with_debt)
    /// keeps charges that exceed what is available.
    pub fn settle(&mut self, cost: u32) {
        let (mut next, correction) = (self.tats, self.request.correction(cost));
        for (tat, (_, meter, stored)) in next.iter_mut().zip(self.entries()) {
            *tat = meter.settle(stored, ORIGIN, &correction);
        }
        self.tats = next;
    }

    /// Takes the cost of the request from every quota, or is refused and takes nothing.
    ///
    /// The TATs to store are then the [`until_tats`](Self::until_tats); a refusal does not change them.
    #[must_use]
    pub fn take(&mut self) -> Decision {
        let mut next = self.tats;
        for (tat, (_, meter, stored)) in next.iter_mut().zip(self.entries()) {
            match meter.take(stored, ORIGIN, self.request.cost) {
                Ok(taken) => *tat = taken,
                Err(_) => return Decision::Refused(self.exceeded().expect("this quota refuses the request")),
            }
        }
        self.tats = next;
        Decision::Admitted(self.status())
    }

    /// The status of the tightest quota, without taking anything: for a store that has taken the cost itself.
    #[must_use]
    pub fn status(&self) -> LimitStatus {
        let statuses =
            self.entries().enumerate().map(|(index, (_, meter, tat))| outcome::status(index, meter, tat, ORIGIN));
        statuses.reduce(LimitStatus::tighter).expect("a set has at least one quota")
    }

    /// The refusal of the request; `None` if every quota admits it.
    #[must_use]
    pub fn exceeded(&self) -> Option<LimitExceeded> {
        outcome::exceeded(&self.request, ORIGIN, |index, limit| {
            let (_, meter, tat) = self.entry(limit, self.tats[index]);
            (meter, Entry::Tat(tat))
        })
    }

    /// The time until the TAT of each quota, in the order of the set; zero for a quota that is unused.
    #[must_use]
    pub fn until_tats(&self) -> impl ExactSizeIterator<Item = Duration> {
        let tats = &self.tats[..self.request.quotas.limits().len()];
        tats.iter().map(|tat| Duration::from_nanos(tat.saturating_sub(ORIGIN)))
    }

    /// The request.
    pub(super) const fn request(&self) -> &LimitRequest<'a> {
        &self.request
    }

    /// Each quota: the id of its state, its parameters and its TAT, relative to `ORIGIN`.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, Meter, u64)> {
        self.request.quotas.limits().iter().zip(self.tats).map(|(limit, tat)| self.entry(limit, tat))
    }

    fn entry(&self, limit: &Limit, tat: u64) -> (u64, Meter, u64) {
        let (id, meter) = self.request.meter(limit, self.resolution);
        let tat = match meter.left {
            Some(_) if !self.has_windows => u64::MAX,
            _ => tat,
        };
        (id, meter, if self.has_debt { tat } else { meter.clamp(tat, ORIGIN) })
    }
}

impl fmt::Debug for LimitState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.until_tats()).finish()
    }
}
