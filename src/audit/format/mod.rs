//! The formats of events.

use std::{collections::BTreeMap, io, sync::Arc};

use super::event::{Event, RequestEvent};

pub use self::{agent::AgentJson, flat::FlatJson, ocsf::Ocsf};

mod agent;
mod flat;
mod flat_alert;
mod flat_notice;
mod ocsf;
mod ocsf_finding;
mod ocsf_unmapped;

/// Writes events as text, one line each.
///
/// # Examples
///
/// A format of a path and a status for each request. Other events have no line:
///
/// ```
/// use std::io::Write;
/// use tower_warden::audit::{Event, EventFormat, EventKind};
///
/// struct Statuses;
///
/// impl EventFormat for Statuses {
///     fn write(&self, event: &Event, line: &mut Vec<u8>) {
///         let EventKind::Request(request) = &event.kind else { return };
///         let status = request.status.map_or(0, |status| status.as_u16());
///         // A text that a client has chosen is escaped.
///         write!(line, "{status} {:?}", request.path()).expect("a vector takes all");
///     }
/// }
/// ```
pub trait EventFormat: Send + Sync + 'static {
    /// Appends the event to a line, without a line break. Nothing is written for an event without a line.
    fn write(&self, event: &Event, line: &mut Vec<u8>);
}

impl<F: EventFormat + ?Sized> EventFormat for Arc<F> {
    fn write(&self, event: &Event, line: &mut Vec<u8>) {
        (**self).write(event, line);
    }
}

/// Appends a value as JSON. Values of this crate have no maps with keys that are not texts, so it does not fail.
fn write_json(value: &impl serde::Serialize, line: &mut Vec<u8>) {
    let length = line.len();
    if value.serialize(&mut serde_json::Serializer::with_formatter(&mut *line, Plain)).is_err() {
        line.truncate(length);
    }
}

/// Escapes characters that JSON allows in texts, and that would end a line or change the direction of its text on a terminal.
struct Plain;

impl serde_json::ser::Formatter for Plain {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\x7f') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut buffer = [0; 4];
        for letter in fragment.chars() {
            // All of these are in the first plane.
            if letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            {
                write!(writer, "\\u{:04x}", u32::from(letter))?;
            } else {
                writer.write_all(letter.encode_utf8(&mut buffer).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// The values of each field that was noted more than once, such as the tools of a batch, in the order of the notes.
fn repeated_fields(request: &RequestEvent) -> BTreeMap<&str, Vec<&str>> {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &request.fields {
        fields.entry(name).or_default().push(value);
    }
    fields.retain(|_, values| values.len() > 1);
    fields
}

/// The time as RFC 3339, in UTC and with milliseconds.
fn rfc3339(time: crate::Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}
