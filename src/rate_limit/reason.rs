//! Reasons for refusals by limits.

use crate::reason::reasons;

reasons! {
    /// The caller sent too many refused credentials.
    ///
    /// Look at: who the caller is, by the `LimitBy` of the `FailureLimitLayer` (usually the address): a client with an
    /// old credential that retries, or somebody who guesses. `Rejection::cause` holds the refusal that this one
    /// replaces.
    FAILURES_EXCEEDED = "failures_exceeded";
    /// The caller has used up a quota.
    ///
    /// Look at: the names in `Rejection::violated`, which the client sees as `violated-policies`; then the caller's
    /// tier, and the `QuotaSet` of the `RateLimitLayer`.
    QUOTA_EXCEEDED = "quota_exceeded";
    /// The rate limiter failed.
    ///
    /// Look at: the error in the log, which names the cause; then the Redis server, and `OnOutage`: with `Refuse`,
    /// requests are refused while Redis is down.
    RATE_LIMITER_UNAVAILABLE = "rate_limiter_unavailable";
    /// The caller has too many requests in progress at once.
    ///
    /// Look at: the maximum of the `ConcurrencyLayer`, slow handlers, and clients that read responses slowly: a request
    /// is in progress until its response body has ended.
    TOO_MANY_IN_FLIGHT = "too_many_in_flight";
}
