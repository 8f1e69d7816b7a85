//! The span of a request, for log lines of the code inside.

#[cfg(feature = "tracing")]
use tracing::field::{self, Empty};

use super::event::RequestEvent;
#[cfg(feature = "tracing")]
use crate::{reason::Reason, trail::Received};

/// A span of the crate `tracing`; nothing if the layer has none, or without the feature.
#[derive(Debug, Default)]
pub(super) struct RequestSpan(#[cfg(feature = "tracing")] Option<tracing::Span>);

#[cfg(not(feature = "tracing"))]
#[expect(clippy::unused_self, reason = "it does something with the feature `tracing`")]
impl RequestSpan {
    pub(super) fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        code()
    }

    pub(super) const fn close(&self, _: &RequestEvent) {}
}

#[cfg(feature = "tracing")]
impl RequestSpan {
    /// Opens the span of a request, with the fields that are known when it arrives.
    pub(super) fn open(received: &Received) -> Self {
        Self(Some(tracing::info_span!(
            target: "tower_warden::audit",
            "request",
            request_id = %received.request_id,
            trace_id = received.trace.as_ref().map(|trace| field::display(trace.trace_id())),
            method = received.method.as_str(),
            path = received.path.as_str(),
            route = Empty,
            auth_method = Empty,
            subject = Empty,
            tenant = Empty,
            key_id = Empty,
            decision = Empty,
            reason = Empty,
            policy = Empty,
            status = Empty,
            end = Empty,
        )))
    }

    /// Runs code of the inner service within the span.
    pub(super) fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(span) => span.in_scope(code),
            None => code(),
        }
    }

    /// Adds the fields that are known at the end of the request.
    pub(super) fn close(&self, request: &RequestEvent) {
        if let Some(span) = &self.0 {
            if let Some(principal) = &request.principal {
                span.record("auth_method", principal.method().as_str());
                span.record("subject", principal.subject());
                span.record("tenant", principal.tenant());
                span.record("key_id", principal.key_id());
            }
            span.record("route", request.route());
            span.record("decision", request.decision.as_str());
            span.record("reason", request.decision.reason().map(Reason::as_str));
            span.record("policy", request.policy.as_ref().map(|policy| &*policy.name));
            span.record("status", request.status.map(|status| status.as_u16()));
            span.record("end", request.end.as_str());
        }
    }
}
