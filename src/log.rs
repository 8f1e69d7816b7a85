//! Log messages through `tracing`; without the feature, they are discarded.
//!
//! The text is fixed. A field quotes what a client sent only where it explains a refusal, escaped and shortened by `quoted`.

use std::fmt;

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
