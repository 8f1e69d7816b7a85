use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use http::{Method, header};

use super::{log::AuditLog, request_id::RequestIds};
use crate::{log, reason::Reason, request::Head, time::Timestamp, warnings::Warnings};

/// The closure that selects the requests that need no decision.
type OpenRequests = dyn Fn(&Head<'_>) -> bool + Send + Sync;

/// The settings of an [`AuditLayer`](super::AuditLayer).
#[derive(Clone)]
pub(super) struct Settings {
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "spans need the feature"))]
    pub(super) has_span: bool,
    pub(super) ids: RequestIds,
    /// Selects the requests that need no decision; `None` if no request needs one.
    pub(super) is_open: Option<Arc<OpenRequests>>,
    pub(super) log: AuditLog,
    /// The time to wait for room in the log; `None` if requests do not wait.
    pub(super) max_wait: Option<Duration>,
    warnings: Arc<Warnings>,
}

impl Settings {
    pub(super) fn new(log: AuditLog) -> Self {
        Self {
            has_span: false,
            ids: RequestIds::default(),
            is_open: None,
            log,
            max_wait: None,
            warnings: Arc::default(),
        }
    }

    /// Returns whether a request is declared to need no decision.
    pub(super) fn needs_no_decision(&self, head: &Head<'_>) -> bool {
        // Fetch §3.2.2: a preflight has no credential.
        let is_preflight =
            *head.method == Method::OPTIONS && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        // A closure that panics selects nothing.
        let selects = |is_open: &OpenRequests| catch_unwind(AssertUnwindSafe(|| is_open(head))).unwrap_or(false);
        self.is_open.as_deref().is_some_and(|is_open| is_preflight || selects(is_open))
    }

    /// Returns whether undecided requests get 500.
    pub(super) const fn denies_undecided(&self) -> bool {
        self.is_open.is_some()
    }

    /// Logs that no layer has decided about a request, once an hour.
    pub(super) fn warn_of_undecided(&self, time: Timestamp) {
        if self.warnings.is_due(Reason::UNDECIDED, "", time.seconds()) {
            log::error!(
                "requests reach a handler, and no layer decides about their callers; responding with 500. A route was added \
                 outside of AuthLayer; what needs no credential is declared in AuditLayer::deny_undecided"
            );
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Settings");
        debug.field("ids", &self.ids).field("log", &self.log).field("max_wait", &self.max_wait).finish_non_exhaustive()
    }
}
