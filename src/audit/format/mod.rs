//! The formats of events.

use super::event::Event;

pub use self::{agent::AgentJson, flat::FlatJson, ocsf::Ocsf};

mod agent;
mod flat;
mod flat_alert;
mod ocsf;
mod ocsf_finding;

/// Writes events as text, one line each.
pub trait EventFormat: Send + Sync + 'static {
    /// Appends the event to a line, without a line break.
    fn write(&self, event: &Event, line: &mut Vec<u8>);
}

/// Appends a value as JSON. Values of this crate have no maps with keys that are not texts, so it does not fail.
fn write_json(value: &impl serde::Serialize, line: &mut Vec<u8>) {
    let length = line.len();
    if serde_json::to_writer(&mut *line, value).is_err() {
        line.truncate(length);
    }
}

/// The time as RFC 3339, in UTC and with milliseconds.
fn rfc3339(time: crate::Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}
