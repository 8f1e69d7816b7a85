use super::{
    detect::AlertState,
    event::{Event, EventKind, RequestEvent},
    format::{EventFormat, FlatJson},
    sink::{AuditSink, Place},
};
use crate::caller::Principal;

/// A sink that emits `tracing` events with the target `tower_warden::audit`: at the level info for admitted requests,
/// notices and cleared alerts, and at the level warn for refusals, failures, requests about which no layer has decided,
/// raised alerts and lost events.
///
/// The fields have the names of [`FlatJson`]; the field `event` is the whole of it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TracingSink;

const TARGET: &str = "tower_warden::audit";

impl AuditSink for TracingSink {
    fn record(&self, event: Event, _: Place) {
        match &event.kind {
            EventKind::Request(request) if request.is_ordinary() => {
                if tracing::enabled!(target: TARGET, tracing::Level::INFO) {
                    emit!(info, &event, request);
                }
            }
            EventKind::Request(request) => {
                if tracing::enabled!(target: TARGET, tracing::Level::WARN) {
                    emit!(warn, &event, request);
                }
            }
            EventKind::Alert(alert) => match alert.state {
                AlertState::Cleared => {
                    tracing::info!(target: TARGET, detection = alert.detection.as_str(), event = text(&event), "alert cleared");
                }
                AlertState::Raised => {
                    tracing::warn!(target: TARGET, detection = alert.detection.as_str(), event = text(&event), "alert raised");
                }
            },
            EventKind::Notice(notice) => {
                tracing::info!(target: TARGET, event = text(&event), "{}", notice.as_str());
            }
            EventKind::Lost(count) => tracing::warn!(target: TARGET, count, "audit events were lost"),
        }
    }
}

macro_rules! emit {
    ($level:ident, $event:expr, $request:expr) => {{
        let RequestEvent { method, status, end, .. } = $request;
        let principal = $request.principal.as_ref();
        tracing::$level!(
            target: TARGET,
            request_id = %$request.request_id,
            method = method.as_str(),
            path = $request.path(),
            subject = principal.map(Principal::subject),
            tenant = principal.and_then(Principal::tenant),
            key_id = principal.and_then(Principal::key_id),
            status = status.map(|status| status.as_u16()),
            decision = $request.decision.as_str(),
            reason = $request.decision.reason().map(crate::Reason::as_str),
            end = end.as_str(),
            event = text($event),
            "request"
        )
    }};
}
use emit;

fn text(event: &Event) -> String {
    let mut line = Vec::with_capacity(512);
    FlatJson.write(event, &mut line);
    String::from_utf8(line).unwrap_or_default()
}
