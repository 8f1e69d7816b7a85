//! Log messages through `tracing`; without the feature, they are discarded.
//!
//! The text is fixed. A field quotes what a client sent only where it explains a refusal, escaped and shortened by `quoted`.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

macro_rules! debug {
    ($($field:tt)+) => { $crate::log::emit!(debug, $($field)+) };
}

macro_rules! error {
    ($($field:tt)+) => { $crate::log::emit!(error, $($field)+) };
}

macro_rules! info {
    ($($field:tt)+) => { $crate::log::emit!(info, $($field)+) };
}

macro_rules! warning {
    ($($field:tt)+) => { $crate::log::emit!(warn, $($field)+) };
}

#[cfg(feature = "tracing")]
macro_rules! emit {
    ($level:ident, $($field:tt)+) => { ::tracing::$level!($($field)+) };
}

#[cfg(not(feature = "tracing"))]
macro_rules! emit {
    ($level:ident, $($key:ident = %$value:expr,)* $text:literal) => {{ $(let _ = &$value;)* }};
}

pub(crate) use {debug, emit, error, info, warning};

/// The first `length` characters of a text, with control characters and those that change the direction of text escaped.
///
/// For texts that this crate composes. Quotes are not escaped: they would be twice, where a part was quoted before.
pub(crate) fn bounded(text: &str, length: usize) -> String {
    shortened(text, length, &['"', '\'', '\\'])
}

/// The same of a text that others have chosen, in quotes: its own quotes and backslashes are escaped, so that it ends where
/// it seems to end, and is not read as another field of the line.
#[cfg(feature = "jwt")]
pub(crate) fn quoted(text: &str, length: usize) -> String {
    format!("\"{}\"", shortened(text, length, &['\'']))
}

fn shortened(text: &str, length: usize, unescaped: &[char]) -> String {
    let end = text.char_indices().nth(length).map_or(text.len(), |(end, _)| end);
    let mut shortened = String::with_capacity(end);
    for letter in text[..end].chars() {
        if unescaped.contains(&letter) {
            shortened.push(letter);
        } else {
            shortened.extend(letter.escape_debug());
        }
    }
    if end < text.len() {
        shortened.push('…');
    }
    shortened
}

/// Formats an error and its causes on one line.
pub(crate) struct Causes<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The state of one dependency: logs when it stops to respond and when it responds again, not each request that fails.
///
/// A clone shares the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outage(Arc<State>);

#[derive(Debug, Default)]
struct State {
    ongoing: AtomicBool,
    lines: Mutex<Lines>,
}

/// The lines of the current interval.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    count: u32,
}

impl Outage {
    /// The interval, and the number of outages that are logged in it: a dependency that fails for every other request would
    /// otherwise begin an outage with every other request.
    const INTERVAL: Duration = Duration::from_secs(60);
    const MAX_LINES: u32 = 10;

    /// Notes that the dependency did not respond, and calls `log` if it responded before.
    pub(crate) fn begin(&self, log: impl FnOnce()) {
        if !self.0.ongoing.swap(true, Relaxed) && self.may_log() {
            log();
        }
    }

    /// Notes that the dependency responded.
    pub(crate) fn end(&self, dependency: &str) {
        // The load keeps the line of the processor's cache shared while all is well.
        if self.0.ongoing.load(Relaxed) && self.0.ongoing.swap(false, Relaxed) {
            crate::log::info!(dependency = %dependency, "a dependency responds again");
        }
    }

    fn may_log(&self) -> bool {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.is_none_or(|since| since.elapsed() >= Self::INTERVAL) {
            *lines = Lines { since: Some(Instant::now()), count: 0 };
        }
        lines.count += 1;
        lines.count <= Self::MAX_LINES
    }
}
