//! Reasons of refusals by the audit layer.

use crate::reason::reasons;

reasons! {
    /// The caller is under an alert, and an `AbuseGuard` refuses its requests.
    ///
    /// Look at: the alert in the audit log, which names the caller, what was detected and how often.
    ABNORMAL_USAGE = "abnormal_usage";

    /// The audit log had no room for the event of the request, and the layer waits for room.
    ///
    /// Look at: the sink, such as a slow disk or a collector that does not respond.
    AUDIT_UNAVAILABLE = "audit_unavailable";

    /// A handler responded although no layer had decided who the caller is.
    ///
    /// Look at: the route, which was added outside of the layer that authenticates.
    UNDECIDED = "undecided";
}
