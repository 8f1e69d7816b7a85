//! Log messages through `tracing`; without the feature, they are discarded.
//!
//! The text is fixed. A field quotes what a client sent only where it explains a refusal, escaped and shortened by [`bounded`].

use std::fmt;

macro_rules! debug {
    ($($field:tt)+) => { $crate::log::emit!(debug, $($field)+) };
}

macro_rules! error {
    ($($field:tt)+) => { $crate::log::emit!(error, $($field)+) };
}

#[cfg(any(feature = "jwks", all(feature = "api-key", feature = "axum")))]
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

#[cfg(any(feature = "jwks", all(feature = "api-key", feature = "axum")))]
pub(crate) use info;
pub(crate) use {debug, emit, error, warning};

/// The first `length` characters of a text, with control characters and those that change the direction of text escaped.
pub(crate) fn bounded(text: &str, length: usize) -> String {
    let end = text.char_indices().nth(length).map_or(text.len(), |(end, _)| end);
    // Quotes are not escaped: they would be twice, where a text was quoted before.
    let escape = |letter: char| match letter {
        '"' | '\'' | '\\' => letter.to_string(),
        letter => letter.escape_debug().to_string(),
    };
    let mut bounded: String = text[..end].chars().map(escape).collect();
    if end < text.len() {
        bounded.push('…');
    }
    bounded
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
