//! The outcome of the arithmetic, for all quotas of a request.

use std::time::Duration;

use super::{
    limiter::{LimitExceeded, LimitRequest, LimitStatus},
    meter::Meter,
    quota_set::Limit,
    table::Entry,
};

/// The refusal of a request; `None` if every quota admits it.
pub(super) fn exceeded(
    request: &LimitRequest<'_>,
    now: u64,
    entry: impl Fn(usize, &Limit) -> (Meter, Entry),
) -> Option<LimitExceeded> {
    let (mut longest, mut violated) = (None, Vec::new());
    for (index, limit) in request.quotas.limits().iter().enumerate() {
        let (meter, entry) = entry(index, limit);
        let (remaining, wait) = match entry {
            Entry::Tat(tat) => match meter.take(tat, now, request.cost) {
                Ok(_) => continue,
                Err(wait) => (meter.remaining(tat, now), wait),
            },
            Entry::FullUntil(time) => (0, time.saturating_sub(now)),
        };
        violated.push(index);
        if longest.is_none_or(|(_, longest)| wait > longest) {
            // `RateLimit` and `Retry-After` state the same time.
            longest = Some((LimitStatus::new(index, remaining, Duration::from_nanos(wait)), wait));
        }
    }
    longest.map(|(status, wait)| LimitExceeded::new(status, Duration::from_nanos(wait), violated))
}

/// The status of the quota at this index.
pub(super) fn status(index: usize, meter: Meter, tat: u64, now: u64) -> LimitStatus {
    LimitStatus::new(index, meter.remaining(tat, now), Duration::from_nanos(meter.reset(tat, now)))
}
