use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::{
    event::{Decision, End, Event, EventKind, RequestEvent},
    settings::Settings,
    sink::Place,
    span::RequestSpan,
};
use crate::{
    caller::Principal,
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind, Respond, Responder},
    request::Head,
    scheme,
    trail::{Observation, Path, Received, TraceContext, Trail},
};

/// Records the event of a request when it is dropped.
///
/// It is small, because it is moved with the future and with the response: what is known of the request is in its trail.
///
/// **Invariant.** A request has one guard from its arrival to its end: first in the future, then in the body of the response.
/// So it has exactly one event, whatever happens to the two.
pub(super) struct Guard {
    /// The time at which the response ended, if it ended with its head.
    duration: Option<Duration>,
    end: End,
    /// A layer outside records the event, and the trail is that of it.
    is_nested: bool,
    /// Code of the inner service or of its body is running: if the guard is dropped meanwhile, that code panicked.
    is_running: bool,
    latency: Option<Duration>,
    place: Place,
    refusal: Option<Rejection>,
    settings: Arc<Settings>,
    span: RequestSpan,
    status: Option<StatusCode>,
    trail: Trail,
}

impl Guard {
    /// Begins the record of a request, and lets the layers inside find its trail.
    pub(super) fn begin<B>(settings: &Arc<Settings>, request: &mut Request<B>) -> Self {
        let head = Head::from(&*request);
        let request_id = settings.ids.of(&head);
        let moment = settings.log.clock().moment();
        let peer = head.peer();
        let received = || Received {
            id: request_id.event(),
            method: head.method.clone(),
            path: Path::of(head.uri),
            peer,
            request_id,
            started: moment.instant,
            time: moment.timestamp,
            trace: TraceContext::of(head.headers),
        };
        let trail = Trail::new(received, |notes| {
            notes.certificate = certificate(&head);
            notes.is_decided = settings.needs_no_decision(&head);
            if scheme::is_in_query(&head) {
                notes.observations.push(Observation::CredentialInQuery);
            }
            notes.see_from(peer, &head);
        });
        let (trail, is_nested) = match request.extensions_mut().insert(trail.clone()) {
            None => (trail, false),
            Some(outer) => {
                outer.notes().is_decided |= trail.notes().is_decided;
                request.extensions_mut().insert(outer.clone());
                (outer, true)
            }
        };
        Self {
            duration: None,
            end: End::Disconnected,
            is_nested,
            is_running: false,
            latency: None,
            place: Place::default(),
            refusal: None,
            settings: Arc::clone(settings),
            span: RequestSpan::default(),
            status: None,
            trail,
        }
    }

    /// Opens the span of the request.
    #[cfg(feature = "tracing")]
    pub(super) fn open_span(&mut self) {
        if !self.is_nested {
            self.span = RequestSpan::open(self.trail.received());
        }
    }

    /// Returns whether a layer outside records the event.
    pub(super) const fn is_nested(&self) -> bool {
        self.is_nested
    }

    /// Uses this room for the event.
    pub(super) fn hold(&mut self, place: Place) {
        self.place = place;
    }

    /// Runs code of the inner service.
    #[inline]
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.is_running = true;
        let value = {
            let _entered = self.span.enter();
            code()
        };
        self.is_running = false;
        value
    }

    /// Sets how the request ends if nothing else happens.
    pub(super) fn set_end(&mut self, end: End) {
        if self.end != end {
            self.end = end;
            self.duration = None;
        }
    }

    /// Notes the response, and replaces that of a request about which no layer has decided, if that is refused.
    pub(super) fn respond<B: Body, R: Respond<B>>(&mut self, response: &mut Response<B>, respond: &Responder<R>) {
        respond.complete(response);
        self.note(response);
        if !self.settings.denies_undecided() || is_unhandled(response.status()) || self.is_decided() {
            return;
        }
        self.settings.warn_of_undecided(self.trail.received().time);
        *response = respond.refuse(Rejection::new(RejectionKind::Internal, Reason::UNDECIDED));
        self.note(response);
    }

    /// Notes the head of the response.
    fn note<B: Body>(&mut self, response: &Response<B>) {
        let Received { method, started, .. } = self.trail.received();
        let (status, extensions) = (response.status(), response.extensions());
        let latency = started.elapsed();
        // Of these, no body is sent.
        let is_head_only = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = response.body();
        let is_complete = is_head_only || body.is_end_stream() || body.size_hint().exact() == Some(0);
        let reported = extensions.get::<Principal>();
        if reported.is_some() || self.status.is_some() {
            // Also without a caller, if the response of the handler is replaced.
            self.trail.notes().reported = reported.cloned();
        }
        if let Some(rejection) = extensions.get::<Rejection>() {
            let noted = (!self.is_nested).then(|| self.trail.notes().refusal.take()).flatten();
            self.refusal = Some(noted.filter(|noted| is_same(noted, rejection)).unwrap_or_else(|| rejection.clone()));
        }
        self.end = if is_complete { End::Complete } else { End::Interrupted };
        self.duration = is_complete.then_some(latency);
        self.latency = Some(latency);
        self.status = Some(status);
    }

    /// Returns whether a layer has decided about the caller, the request was refused, or it needs no decision.
    fn is_decided(&self) -> bool {
        if self.refusal.is_some() {
            return true;
        }
        let notes = self.trail.notes();
        notes.is_decided || (notes.refusal.is_some() && !self.has_succeeded())
    }

    /// Returns whether the response is a success: then a refusal that was noted is that of an earlier attempt.
    fn has_succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    /// Makes the event. Each value is moved from the notes to its place in the event at once.
    fn finish(&self, refusal: Option<Rejection>) -> Event {
        let Received { id, method, path, peer, request_id, started, time, trace } = self.trail.received();
        let mut notes = self.trail.notes();
        // That of the response, if nothing has made another one of it.
        let noted = notes.refusal.take().filter(|_| !self.has_succeeded());
        let decision = match refusal.or(noted) {
            Some(rejection) => Decision::Refused(rejection),
            None if notes.is_decided => Decision::Admitted,
            None => Decision::Undecided,
        };
        let end_reason = notes.credential_ended;
        let (duration, end) = match self.duration {
            _ if self.is_running => (None, End::Panicked),
            duration if end_reason.is_some() => (duration, End::CredentialEnded),
            duration => (duration, self.end),
        };
        let is_refused = matches!(decision, Decision::Refused(_));
        let policy = notes.policy.take().filter(|_| !(is_refused && notes.policy_admitted));
        let reported = notes.reported.take();
        let kind = EventKind::Request(RequestEvent {
            certificate: notes.certificate.take(),
            client_address: notes.client_address,
            decision,
            duration: duration.unwrap_or_else(|| started.elapsed()),
            end,
            end_reason: end_reason.filter(|_| end == End::CredentialEnded),
            fields: mem::take(&mut notes.fields),
            latency: self.latency,
            limit: notes.limit.take(),
            method: method.clone(),
            observations: mem::take(&mut notes.observations),
            peer: *peer,
            policy,
            principal: notes.principal.take().or(reported),
            request_id: request_id.clone(),
            required: notes.required.take(),
            route: notes.route.take(),
            status: self.status,
            trace: *trace,
            path: path.clone(),
        });
        Event { id: *id, time: *time, kind }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_nested {
            return;
        }
        let (place, refusal) = (mem::take(&mut self.place), self.refusal.take());
        if !self.span.is_open() {
            return self.settings.log.deliver(|| self.finish(refusal), place);
        }
        let event = self.finish(refusal);
        if let EventKind::Request(request) = &event.kind {
            // A subscriber that panics here would end the process if a handler is unwinding, and lose the event.
            if catch_unwind(AssertUnwindSafe(|| self.span.close(request))).is_err() {
                log::error!("a subscriber of tracing panicked at the end of the span of a request");
            }
        }
        self.settings.log.deliver(|| event, place);
    }
}

/// Returns whether no route was found, or the response is probably that of a layer between, which has redirected or shed the
/// request, has not waited for it, or was sent one that is too large.
///
/// Temporary redirects are those of handlers: their `Location` may be a secret, such as a signed URL.
const fn is_unhandled(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::MOVED_PERMANENTLY
            | StatusCode::NOT_FOUND
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::PERMANENT_REDIRECT
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::URI_TOO_LONG
    )
}

/// Returns whether the refusal that a layer has noted is that of the response, and not one that an outer layer has made of it.
fn is_same(noted: &Rejection, sent: &Rejection) -> bool {
    let parts = |rejection: &Rejection| (rejection.status(), rejection.code(), rejection.reason());
    parts(noted) == parts(sent) && sent.cause().is_none()
}

#[cfg(feature = "certificate")]
fn certificate(head: &Head<'_>) -> Option<crate::trail::AuditedCertificate> {
    crate::certificate::PeerCertificate::of(head.extensions).map(crate::certificate::PeerCertificate::audited)
}

#[cfg(not(feature = "certificate"))]
const fn certificate(_: &Head<'_>) -> Option<crate::trail::AuditedCertificate> {
    None
}
