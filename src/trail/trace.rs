use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use http::{HeaderMap, HeaderName};

/// The trace of a request, from its `traceparent` field ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
///
/// The client chooses it, so it is a hint for finding other records, and nothing to decide by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TraceContext {
    parent_id: NonZeroU64,
    trace_id: NonZeroU128,
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl TraceContext {
    /// The trace of a request; `None` without exactly one well-formed `traceparent`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(&TRACEPARENT).iter();
        let field = fields.next().filter(|_| fields.next().is_none())?.to_str().ok()?;
        let (version, rest) = field.split_once('-')?;
        let (trace_id, rest) = rest.split_once('-')?;
        let (parent_id, flags) = rest.split_once('-')?;
        // Later versions may append fields; version 00 has these four.
        let (flags, more) = flags.split_once('-').map_or((flags, false), |(flags, _)| (flags, true));
        let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || !more);
        if !is_version || !is_hex(trace_id, 32) || !is_hex(parent_id, 16) || !is_hex(flags, 2) {
            return None;
        }
        let trace_id = NonZeroU128::new(u128::from_str_radix(trace_id, 16).ok()?)?;
        let parent_id = NonZeroU64::new(u64::from_str_radix(parent_id, 16).ok()?)?;
        Some(Self { parent_id, trace_id })
    }

    /// The id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display {
        Hex::<32>(self.trace_id.get())
    }

    /// The id of the span of the caller: 16 hexadecimal digits.
    #[must_use]
    pub fn parent_id(&self) -> impl fmt::Display {
        Hex::<16>(self.parent_id.get().into())
    }
}

struct Hex<const DIGITS: usize>(u128);

impl<const DIGITS: usize> fmt::Display for Hex<DIGITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

/// Returns whether a text has that many lower-case hexadecimal digits.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
