//! The ids of tasks and events in responses.

use std::mem;

use serde_json::Value;

use super::response::Content;

/// The longest message in which an id is looked for, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// An id in a response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// The id of an event.
    Event(&'a [u8]),
    /// The id of a task.
    Task(&'a str),
}

/// Finds the ids of events, and of tasks, in a response while it is sent.
///
/// The bytes are sent as they are. An id is found before the frame that completes its line, or its message, is sent.
#[derive(Debug)]
pub(super) struct IdFinder {
    content: Content,
    finds_tasks: bool,
    /// The line, of events.
    line: Vec<u8>,
    /// The line is too long.
    is_long_line: bool,
    /// The message so far.
    message: Vec<u8>,
    /// The message is too long.
    is_skipped: bool,
}

impl IdFinder {
    pub(super) const fn new(content: Content, finds_tasks: bool) -> Self {
        Self { content, finds_tasks, line: Vec::new(), is_long_line: false, message: Vec::new(), is_skipped: false }
    }

    /// Reads data of the response.
    pub(super) fn read(&mut self, data: &[u8], found: &mut impl FnMut(Found<'_>)) {
        match self.content {
            Content::Json => self.is_skipped |= !append(&mut self.message, data),
            Content::Events => {
                for part in data.split_inclusive(|byte| *byte == b'\n') {
                    self.is_long_line |= !append(&mut self.line, part);
                    if part.ends_with(b"\n") {
                        self.end_line(found);
                    }
                }
            }
        }
    }

    /// Reads the end of the response. Nothing happens if it has been read before.
    pub(super) fn end(&mut self, found: &mut impl FnMut(Found<'_>)) {
        if self.content == Content::Events {
            self.end_line(found);
        }
        self.end_message(found);
    }

    /// Lines end with a line feed; the data of an event is in one or more lines, and ends with an empty one.
    fn end_line(&mut self, found: &mut impl FnMut(Found<'_>)) {
        let line = mem::take(&mut self.line);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if mem::take(&mut self.is_long_line) {
            // What is left of it is the end of the line.
            self.is_skipped = true;
        } else if let Some(id) = text.strip_prefix(b"id:") {
            // An empty one is that of no event, and one that was cut off may be that of another.
            let id = Some(id.trim_ascii()).filter(|id| !id.is_empty() && line.ends_with(b"\n"));
            id.map(Found::Event).into_iter().for_each(found);
        } else if let Some(data) = text.strip_prefix(b"data:").filter(|_| self.finds_tasks) {
            self.is_skipped |= !append(&mut self.message, data);
        } else if text.is_empty() {
            self.end_message(found);
        }
    }

    fn end_message(&mut self, found: &mut impl FnMut(Found<'_>)) {
        let message = mem::take(&mut self.message);
        if !mem::take(&mut self.is_skipped) {
            find(&message, &mut |id| found(Found::Task(id)));
        }
    }
}

/// Returns whether the data was added, or is too long.
fn append(buffer: &mut Vec<u8>, data: &[u8]) -> bool {
    let fits = buffer.len() + data.len() <= MAX_MESSAGE;
    if fits {
        buffer.extend_from_slice(data);
    } else {
        // It is incomplete in any case.
        *buffer = Vec::new();
    }
    fits
}

/// Finds the ids of the tasks that the response to a call has created.
pub(super) fn find(message: &[u8], found: &mut impl FnMut(&str)) {
    // Most messages have none.
    if !message.windows(6).any(|window| window == b"taskId") {
        return;
    }
    let Ok(message) = serde_json::from_slice::<Value>(message) else { return };
    let messages = match &message {
        Value::Array(messages) => &messages[..],
        message => std::slice::from_ref(message),
    };
    for result in messages.iter().filter_map(|message| message.get("result")) {
        // Version 2025-11-25, and 2026-07-28.
        let nested = result.get("task").and_then(|task| task.get("taskId"));
        let own = result.get("taskId").filter(|_| result.get("resultType").is_some_and(|kind| kind == "task"));
        nested.into_iter().chain(own).filter_map(Value::as_str).for_each(&mut *found);
    }
}
