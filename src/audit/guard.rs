use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::{
    event::{Decision, End, Event, EventKind, RequestEvent},
    log::AuditLog,
    path::Path,
    settings::Settings,
    sink::{AuditSink, Place},
    span::RequestSpan,
    trace::TraceContext,
};
use crate::{
    caller::Principal,
    log,
    refusal::Rejection,
    request::Head,
    scheme,
    time::Timestamp,
    trail::{EventId, Notes, Observation, Trail},
};

/// Records the event of a request when it is dropped.
///
/// **Invariant.** A request has one guard from its arrival to its end: first in the future, then in the body of the response.
/// So it has exactly one event, whatever happens to the two.
pub(super) struct Guard {
    /// Code of the inner service or of its body is running: if the guard is dropped meanwhile, that code panicked.
    is_running: bool,
    id: EventId,
    log: AuditLog,
    place: Place,
    /// `None` only while the guard is dropped.
    record: Option<RequestEvent>,
    span: RequestSpan,
    started: Instant,
    time: Timestamp,
    trail: Trail,
}

impl Guard {
    /// Begins the record of a request, and lets the layers inside find its trail.
    pub(super) fn begin<B>(log: &AuditLog, settings: &Settings, request: &mut Request<B>) -> Self {
        let head = Head::from(&*request);
        let trail = Trail::new(settings.ids.of(&head));
        let record = RequestEvent {
            certificate: None,
            client_address: None,
            decision: Decision::Undecided,
            duration: std::time::Duration::ZERO,
            end: End::Disconnected,
            fields: Vec::new(),
            latency: None,
            limit: None,
            method: head.method.clone(),
            observations: scheme::is_in_query(&head).then_some(Observation::CredentialInQuery).into_iter().collect(),
            peer: head.peer(),
            policy: None,
            principal: None,
            request_id: trail.request_id().clone(),
            required: None,
            route: None,
            status: None,
            trace: TraceContext::of(head.headers),
            path: Path::of(head.uri),
        };
        let needs_no_decision = settings.needs_no_decision(&head);
        {
            let mut notes = trail.notes();
            notes.see(&head);
            notes.certificate = certificate(&head);
            notes.is_decided = needs_no_decision;
        }
        request.extensions_mut().insert(trail.clone());
        Self {
            id: EventId::new(),
            is_running: false,
            log: log.clone(),
            place: Place::default(),
            record: Some(record),
            span: RequestSpan::default(),
            started: Instant::now(),
            time: log.clock().timestamp(),
            trail,
        }
    }

    /// Opens the span of the request.
    #[cfg(feature = "tracing")]
    pub(super) fn open_span(&mut self) {
        self.span = self.record.as_ref().map(RequestSpan::open).unwrap_or_default();
    }

    /// Uses this room for the event.
    pub(super) fn hold(&mut self, place: Place) {
        self.place = place;
    }

    /// Runs code of the inner service.
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.is_running = true;
        let value = self.span.run(code);
        self.is_running = false;
        value
    }

    /// Sets how the request ends if nothing else happens.
    pub(super) fn set_end(&mut self, end: End) {
        if let Some(record) = &mut self.record {
            record.end = end;
        }
    }

    /// Notes the head of the response.
    pub(super) fn respond<B: Body>(&mut self, response: &Response<B>) {
        let Some(record) = &mut self.record else { return };
        let (status, extensions) = (response.status(), response.extensions());
        record.latency = Some(self.started.elapsed());
        record.status = Some(status);
        record.principal = extensions.get::<Principal>().cloned();
        if let Some(rejection) = extensions.get::<Rejection>() {
            record.decision = Decision::Refused(rejection.clone());
        }
        // Of these, no body is sent.
        let is_head_only = record.method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = response.body();
        let is_complete = is_head_only || body.is_end_stream() || body.size_hint().exact() == Some(0);
        record.end = if is_complete { End::Complete } else { End::Interrupted };
    }

    /// Returns whether a layer has decided about the caller, the request was refused, or it needs no decision.
    pub(super) fn is_decided(&self) -> bool {
        let is_refused = self.record.as_ref().is_none_or(|record| record.decision.refusal().is_some());
        is_refused || self.trail.notes().is_decided
    }

    pub(super) const fn time(&self) -> Timestamp {
        self.time
    }

    fn finish(&self, mut record: RequestEvent) -> Event {
        let notes = self.trail.take();
        let Notes { certificate, client_address, fields, is_decided, limit, observations, policy, .. } = notes;
        if is_decided && record.decision.refusal().is_none() {
            record.decision = Decision::Admitted;
        }
        if self.is_running {
            record.end = End::Panicked;
        }
        record.observations.extend(observations);
        let kind = EventKind::Request(RequestEvent {
            certificate,
            client_address,
            duration: self.started.elapsed(),
            fields,
            limit,
            policy,
            principal: notes.principal.or(record.principal),
            required: notes.required,
            route: notes.route,
            ..record
        });
        Event { id: self.id, time: self.time, kind }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            let event = self.finish(record);
            if let EventKind::Request(request) = &event.kind {
                // A subscriber that panics here would end the process if a handler is unwinding, and lose the event.
                if catch_unwind(AssertUnwindSafe(|| self.span.close(request))).is_err() {
                    log::error!("a subscriber of tracing panicked at the end of the span of a request");
                }
            }
            self.log.record(event, std::mem::take(&mut self.place));
        }
    }
}

#[cfg(feature = "certificate")]
fn certificate(head: &Head<'_>) -> Option<crate::trail::AuditedCertificate> {
    crate::certificate::PeerCertificate::of(head.extensions).map(crate::certificate::PeerCertificate::audited)
}

#[cfg(not(feature = "certificate"))]
const fn certificate(_: &Head<'_>) -> Option<crate::trail::AuditedCertificate> {
    None
}
