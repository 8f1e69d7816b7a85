//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// A remote decision point has decided against the request.
    ///
    /// Look at: the decision log of the server that the `DecisionPoint` queries.
    DECISION_DENIED = "decision_denied";
    /// The remote decision point responded with an unexpected status.
    ///
    /// Look at: the warning in the log, which names the status; the URL of the server, and the credential of
    /// `DecisionPointBuilder::bearer`. Redirects are not followed.
    DECISION_POINT_STATUS = "decision_point_status";
    /// The response of the remote decision point is not an accepted JSON object, or is longer than 64 KiB.
    ///
    /// Look at: the URL of the server, which may lead to something else.
    DECISION_POINT_SYNTAX = "decision_point_syntax";
    /// The remote decision point did not respond in time.
    ///
    /// Look at: the latency of the server, and `timeout` (3 seconds by default) and `max_lookups` (64 at once by
    /// default) of `DecisionPointBuilder`.
    DECISION_POINT_TIMEOUT = "decision_point_timeout";
    /// The remote decision point cannot be reached.
    ///
    /// Look at: the warning in the log, which names the cause, and the URL of the server.
    DECISION_POINT_UNAVAILABLE = "decision_point_unavailable";
}
