use std::time::Duration;

use super::RetryCause;

/// The retries of one request, in the extensions of its response. See the [module docs](super).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetrySummary {
    pub(super) retries: Vec<Retry>,
    pub(super) end: RetryEnd,
}

/// One retry of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Retry {
    /// The result of the attempt before.
    pub cause: RetryCause,
    /// The time that was waited before the retry.
    pub wait: Duration,
}

/// The reason why a response was returned, and the request not sent again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RetryEnd {
    /// The maximum number of retries was reached.
    AttemptsExhausted,
    /// The body of the request cannot be sent twice.
    BodyNotReplayable,
    /// Too many requests of this client have been sent again.
    BudgetExhausted,
    /// The response is not one that another attempt could change: a success, a redirect, or a refusal.
    Final,
    /// The method is not idempotent, and the request has no `Idempotency-Key`.
    NotIdempotent,
    /// The next wait would have exceeded the maximum of all waits.
    WaitTooLong,
}

impl RetrySummary {
    /// The number of times that the request was sent.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.retries.len() + 1
    }

    /// The retries, in their order.
    #[must_use]
    pub fn retries(&self) -> &[Retry] {
        &self.retries
    }

    /// The sum of the waits.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.retries.iter().map(|retry| retry.wait).sum()
    }

    /// The reason why the request was not sent again.
    #[must_use]
    pub const fn end(&self) -> RetryEnd {
        self.end
    }
}
