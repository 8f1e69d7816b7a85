use ::metrics::{
    Label, SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use http::Method;

use super::{
    detect::{AlertState, Detection},
    event::{End, Event, EventKind, RequestEvent},
    sink::{AuditSink, Place},
};
use crate::{metrics as names, notice::Notice, reason::Reason};

/// A sink that counts events, through the facade of the crate `metrics`.
///
/// Use it beside the sinks that record events, and install a recorder, such as that of `metrics-exporter-prometheus`,
/// before. The [manual](crate::manual::observing) lists all metrics of this crate. Those that are not about events are
/// emitted without it.
///
/// Labels have values from closed sets, so that no client can create time series.
///
/// # Examples
///
/// ```
/// use tower_warden::audit::{AuditChannel, AuditLog, MetricsSink};
///
/// let (sink, events) = AuditChannel::new(10_000);
/// let log = AuditLog::new(sink).and(MetricsSink::new());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MetricsSink;

const STATES: [AlertState; 2] = [AlertState::Cleared, AlertState::Raised];

impl MetricsSink {
    /// Describes the metrics to the recorder that is installed, and registers the counters of alerts with zero.
    #[must_use]
    pub fn new() -> Self {
        describe();
        // A counter that begins with its first alert has not increased.
        for (detection, state) in Detection::ALL.iter().flat_map(|detection| STATES.map(|state| (*detection, state))) {
            count_alerts(detection, state, 0);
        }
        Self
    }
}

impl Default for MetricsSink {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditSink for MetricsSink {
    fn record(&self, event: Event, _: Place) {
        match &event.kind {
            EventKind::Alert(alert) => count_alerts(alert.detection, alert.state, 1),
            // Counted where they are lost.
            EventKind::Lost(_) => {}
            EventKind::Notice(notice) => note(notice),
            EventKind::Request(request) => count(request),
        }
    }
}

fn count_alerts(detection: Detection, state: AlertState, count: u64) {
    counter!(names::ALERTS, "detection" => detection.as_str(), "state" => state.as_str()).increment(count);
}

fn note(notice: &Notice) {
    counter!(names::NOTICES, "notice" => notice.as_str()).increment(1);
    // Several dependencies have one name, such as the key sets of all issuers.
    let outages = |dependency: &str| gauge!(names::DEPENDENCY_OUTAGES, "dependency" => dependency.to_owned());
    match notice {
        Notice::DependencyDown { dependency, .. } => outages(dependency).increment(1.0),
        Notice::DependencyUp { dependency, .. } => outages(dependency).decrement(1.0),
        _ => {}
    }
}

fn count(request: &RequestEvent) {
    let reason = request.decision.reason().map_or("none", Reason::as_str);
    counter!(names::REQUESTS, "decision" => request.decision.as_str(), "reason" => reason).increment(1);

    let mut labels = Vec::with_capacity(4);
    labels.push(Label::from_static_parts("http.request.method", method(&request.method)));
    if let Some(route) = request.route() {
        labels.push(Label::new("http.route", SharedString::from_owned(route.to_owned())));
    }
    if let Some(status) = request.status {
        // Of those that are not registered, there may be 900.
        let status: SharedString = status.as_u16().to_string().into();
        labels.push(Label::new("http.response.status_code", status));
    }
    if let Some(error) = error_type(request) {
        labels.push(Label::new("error.type", error));
    }
    histogram!(names::REQUEST_DURATION, labels).record(request.duration);
}

/// The method, if it is a registered one that services use: a client can send any.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

/// The end of a request that failed, or the status of a refusal or of an error of the server. Not the reason of a refusal:
/// each reason of each route would be a time series. Of a refusal that is sent with a status of success, as gRPC does, the code.
fn error_type(request: &RequestEvent) -> Option<SharedString> {
    match request.end {
        End::CredentialEnded | End::Disconnected | End::Failed | End::Panicked => {
            return Some(request.end.as_str().into());
        }
        End::Complete | End::Interrupted => {}
    }
    let (refusal, status) = (request.decision.refusal(), request.status?);
    match refusal {
        Some(refusal) if !status.is_client_error() && !status.is_server_error() => Some(refusal.code().into()),
        None if !status.is_server_error() => None,
        _ => Some(status.as_u16().to_string().into()),
    }
}

fn describe() {
    describe_counter!(names::ALERTS, "Alerts of abuse that were raised or cleared");
    describe_counter!(names::AUDIT_LOST, "Audit events for which a sink had no room");
    describe_gauge!(names::AUDIT_QUEUE, "Audit events that wait in the queue of a sink");
    describe_counter!(names::CACHE_LOOKUPS, "Look-ups of credentials in caches");
    describe_gauge!(names::DEPENDENCY_OUTAGES, "Ongoing outages of dependencies");
    describe_gauge!(names::KEY_SET_REFRESHED, Unit::Seconds, "The time of the last successful fetch of a key set");
    describe_counter!(names::KEY_SET_REFRESHES, "Fetches of key sets");
    describe_counter!(names::LIMITER_DECISIONS, "Decisions of rate limiters");
    describe_counter!(names::NOTICES, "Events that are not requests, such as changed keys");
    describe_histogram!(names::REQUEST_DURATION, Unit::Seconds, "Duration of requests");
    describe_counter!(names::REQUESTS, "Requests by decision and reason");
    describe_histogram!(names::VERIFICATION_DURATION, Unit::Seconds, "Duration of the verification of credentials");
}
