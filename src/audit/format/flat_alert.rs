use std::net::IpAddr;

use serde::Serialize;

use super::rfc3339;
use crate::audit::detect::Alert;

/// The members of an alert.
#[derive(Serialize)]
pub(super) struct AlertLine<'a> {
    detection: &'static str,
    state: &'static str,
    alert_id: &'a str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    count: u64,
    threshold: u64,
    window_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_day: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    names: &'a [Box<str>],
}

impl<'a> AlertLine<'a> {
    pub(super) fn of(alert: &'a Alert) -> Self {
        Self {
            detection: alert.detection.as_str(),
            state: alert.state.as_str(),
            alert_id: &alert.id,
            since: rfc3339(alert.since),
            subject: alert.subject.as_deref(),
            issuer: alert.issuer.as_deref(),
            key_id: alert.key_id.as_deref(),
            token_id: alert.token_id.as_deref(),
            tenant: alert.tenant.as_deref(),
            peer: alert.peer,
            count: alert.count,
            threshold: alert.threshold,
            window_s: alert.window.as_secs_f64(),
            calls_per_day: alert.baseline,
            names: &alert.names,
        }
    }
}
