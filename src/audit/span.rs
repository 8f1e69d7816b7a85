//! The span of a request, for log lines of the code inside.

#[cfg(feature = "tracing")]
use tracing::field::{self, Empty};

use super::event::RequestEvent;
#[cfg(feature = "tracing")]
use crate::{caller::Principal, reason::Reason, trail::Received};

/// A span of the crate `tracing`; nothing if the layer has none, or without the feature.
#[derive(Debug, Default)]
pub(super) struct RequestSpan(#[cfg(feature = "tracing")] Option<tracing::Span>);

#[cfg(not(feature = "tracing"))]
#[expect(clippy::unused_self, reason = "it does something with the feature `tracing`")]
impl RequestSpan {
    pub(super) const fn enter(&self) -> Option<std::convert::Infallible> {
        None
    }

    pub(super) const fn is_open(&self) -> bool {
        false
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
            issuer = Empty,
            client_id = Empty,
            key_id = Empty,
            token_id = Empty,
            tenant = Empty,
            actors = Empty,
            scopes = Empty,
            certificate_subject = Empty,
            certificate_thumbprint = Empty,
            decision = Empty,
            reason = Empty,
            policy = Empty,
            limit = Empty,
            status = Empty,
            end = Empty,
        )))
    }

    /// Enters the span, to run code of the inner service.
    pub(super) fn enter(&self) -> Option<tracing::span::Entered<'_>> {
        self.0.as_ref().map(tracing::Span::enter)
    }

    /// Returns whether the request has a span.
    pub(super) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Adds the fields that are known at the end of the request.
    pub(super) fn close(&self, request: &RequestEvent) {
        if let Some(span) = self.0.as_ref().filter(|span| !span.is_disabled()) {
            if let Some(principal) = &request.principal {
                record_caller(span, principal);
            }
            if let Some(certificate) = &request.certificate {
                span.record("certificate_subject", certificate.subject.as_deref());
                span.record("certificate_thumbprint", certificate.thumbprint.to_base64url());
            }
            span.record("route", request.route());
            span.record("decision", request.decision.as_str());
            span.record("reason", request.decision.reason().map(Reason::as_str));
            span.record("policy", request.policy.as_ref().map(|policy| &*policy.name));
            span.record("limit", request.limit.as_ref().map(|limit| &*limit.limit));
            span.record("status", request.status.map(|status| status.as_u16()));
            span.record("end", request.end.as_str());
        }
    }
}

#[cfg(feature = "tracing")]
fn record_caller(span: &tracing::Span, principal: &Principal) {
    span.record("auth_method", principal.method().as_str());
    span.record("subject", principal.subject());
    span.record("issuer", principal.issuer());
    span.record("client_id", principal.client_id());
    span.record("key_id", principal.key_id());
    span.record("token_id", principal.token_id());
    span.record("tenant", principal.tenant());
    span.record("scopes", field::display(principal.scopes()));
    if principal.actor().is_some() {
        let actors: Vec<_> = principal.actors().iter().map(|actor| &*actor.subject).collect();
        span.record("actors", field::debug(actors));
    }
}
