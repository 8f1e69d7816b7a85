use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;

/// The id of a request: that of a trusted header field, or a generated one of 32 hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(pub(crate) Id);

impl RequestId {
    /// The id of the event of the request: the generated one, or else a new one.
    pub(crate) fn event(&self) -> EventId {
        match self.0 {
            Id::Generated(id) => id,
            Id::Received(_) => EventId::new(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Generated(id) => id.fmt(f),
            Id::Received(value) => f.write_str(value.to_str().unwrap_or_default()),
        }
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Id {
    Generated(EventId),
    /// Visible ASCII.
    Received(HeaderValue),
}

/// The id of an event.
///
/// It consists of a random number of the process and of this count.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EventId(u64);

impl EventId {
    /// A new id. It is unique, and not a secret.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self(COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The number of the process, and the count: 32 hexadecimal digits.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
        write!(f, "{:016x}{:016x}", *PROCESS, self.0)
    }
}
