//! Log lines through `tracing`, or nowhere without the feature.
//!
//! Arguments are a fixed text and fields; nothing a caller sent is ever one of them.

#[cfg(any(feature = "api-key", feature = "rate-limit"))]
use std::fmt;

macro_rules! debug {
    ($($field:tt)+) => { $crate::log::emit!(debug, $($field)+) };
}

macro_rules! error {
    ($($field:tt)+) => { $crate::log::emit!(error, $($field)+) };
}

#[cfg(feature = "tracing")]
macro_rules! emit {
    ($level:ident, $($field:tt)+) => { ::tracing::$level!($($field)+) };
}

#[cfg(not(feature = "tracing"))]
macro_rules! emit {
    ($level:ident, $($key:ident = %$value:expr,)* $text:literal) => {{ $(let _ = &$value;)* }};
}

pub(crate) use {debug, emit, error};

#[cfg(any(feature = "api-key", feature = "redis"))]
macro_rules! warning {
    ($($field:tt)+) => { $crate::log::emit!(warn, $($field)+) };
}

#[cfg(any(feature = "api-key", feature = "redis"))]
pub(crate) use warning;

/// An error and its causes, on one line.
#[cfg(any(feature = "api-key", feature = "rate-limit"))]
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

#[cfg(any(feature = "api-key", feature = "rate-limit"))]
impl fmt::Display for Chain<'_> {
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
