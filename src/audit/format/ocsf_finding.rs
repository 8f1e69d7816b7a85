use serde_json::{Map, Value, json};

use super::ocsf::{Class, INFORMATIONAL, MEDIUM, base};
use crate::audit::{
    detect::{Alert, AlertState},
    event::Event,
};

/// An alert as a Detection Finding.
pub(super) fn finding(event: &Event, alert: &Alert) -> Map<String, Value> {
    // `activity_id`: create, close; `status_id`: new, resolved.
    let (activity, status, severity) = match alert.state {
        AlertState::Raised => (1, 1, MEDIUM),
        AlertState::Cleared => (3, 4, INFORMATIONAL),
    };
    let mut ocsf = base(event, &Class::of_category(2, 4, activity), severity);
    let mut set = |name: &str, value: Value| ocsf.insert(name.to_owned(), value);
    set("status_id", json!(status));
    set("message", json!(alert.detection.title()));
    set("count", json!(alert.count));
    set(
        "finding_info",
        json!({
            "analytic": { "name": alert.detection.as_str(), "type_id": 3, "uid": alert.detection.as_str() },
            "first_seen_time": alert.since.as_millis(),
            "last_seen_time": event.time.as_millis(),
            "title": alert.detection.title(),
            "types": [alert.detection.as_str()],
            "uid": &*alert.id,
        }),
    );
    set("evidences", json!([evidence(alert)]));
    set(
        "unmapped",
        json!({ "threshold": alert.threshold, "window_s": alert.window.as_secs_f64(), "calls_per_day": alert.baseline }),
    );
    if let Some(Value::Object(metadata)) = ocsf.get_mut("metadata") {
        metadata.insert("uid".into(), json!(format!("{}-{}", alert.id, alert.state.as_str())));
        if let Some(tenant) = &alert.tenant {
            metadata.insert("tenant_uid".into(), json!(tenant));
        }
    }
    ocsf
}

fn evidence(alert: &Alert) -> Value {
    let mut evidence = json!({ "data": { "names": &alert.names } });
    if let Some(peer) = alert.peer {
        evidence["src_endpoint"] = json!({ "ip": peer });
    }
    if let Some(subject) = &alert.subject {
        let mut user = json!({ "type_id": 0, "uid": &**subject });
        if let Some(credential) = alert.key_id.as_ref().or(alert.token_id.as_ref()) {
            user["credential_uid"] = json!(credential);
        }
        evidence["actor"] = json!({ "user": user });
        if let Some(issuer) = &alert.issuer {
            evidence["actor"]["idp"] = json!({ "name": &**issuer });
        }
    }
    evidence
}
