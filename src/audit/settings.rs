use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use http::{Method, Response, StatusCode, header};
use http_body::Body;

use super::{guard::Guard, request_id::RequestIds};
use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind, Respond, Responder},
    request::Head,
    warnings::Warnings,
};

/// The closure that selects the requests that need no decision.
type OpenRequests = dyn Fn(&Head<'_>) -> bool + Send + Sync;

/// The settings of an [`AuditLayer`](super::AuditLayer).
#[derive(Clone, Default)]
pub(super) struct Settings {
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "spans need the feature"))]
    pub(super) has_span: bool,
    pub(super) ids: RequestIds,
    /// Selects the requests that need no decision; `None` if no request needs one.
    pub(super) is_open: Option<Arc<OpenRequests>>,
    /// The time to wait for room in the log; `None` if requests do not wait.
    pub(super) max_wait: Option<Duration>,
    warnings: Arc<Warnings>,
}

impl Settings {
    /// Returns whether a request is declared to need no decision.
    pub(super) fn needs_no_decision(&self, head: &Head<'_>) -> bool {
        // Fetch §3.2.2: a preflight has no credential.
        let is_preflight =
            *head.method == Method::OPTIONS && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        // A closure that panics selects nothing.
        let selects = |is_open: &OpenRequests| catch_unwind(AssertUnwindSafe(|| is_open(head))).unwrap_or(false);
        self.is_open.as_deref().is_some_and(|is_open| is_preflight || selects(is_open))
    }

    /// Notes the response, and replaces that of a request about which no layer has decided, if that is refused.
    pub(super) fn finish<B: Body, R: Respond<B>>(
        &self,
        guard: &mut Guard,
        response: Response<B>,
        respond: &Responder<R>,
    ) -> Response<B> {
        let response = respond.complete(response);
        guard.respond(&response);
        // No route was found.
        let is_unrouted = matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        if self.is_open.is_none() || is_unrouted || guard.is_decided() {
            return response;
        }
        if self.warnings.is_due(Reason::UNDECIDED, "", guard.time().seconds()) {
            log::error!(
                "requests reach a handler, and no layer decides about their callers; responding with 500. A route was added \
                 outside of AuthLayer; what needs no credential is declared in AuditLayer::deny_undecided"
            );
        }
        let response = respond.refuse(Rejection::new(RejectionKind::Internal, Reason::UNDECIDED));
        guard.respond(&response);
        response
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("ids", &self.ids).field("max_wait", &self.max_wait).finish_non_exhaustive()
    }
}
