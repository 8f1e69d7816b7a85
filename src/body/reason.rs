//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The request's body broke off with an error before it was complete.
    ///
    /// Look at: clients that disconnect while they send, and proxies, or layers outside of `BodyCheckLayer`, that limit the
    /// size or the time of bodies themselves.
    BODY_INCOMPLETE = "body_incomplete";
    /// The request's body did not arrive completely within the time limit.
    ///
    /// Look at: `timeout` in the `BodyLimits` of the check (10 seconds by default) against the size of the bodies and the
    /// client's connection; many of these from one address are an attack that holds connections open.
    BODY_TIMEOUT = "body_timeout";
    /// The request's body is larger than the limit, or its `Content-Length` is.
    ///
    /// Look at: `max_bytes` in the `BodyLimits` of the check (1 MiB by default), and what the client sends.
    BODY_TOO_LARGE = "body_too_large";
}
