use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};

use crate::{
    request::{Head, TrustedProxies},
    trail::{Id, RequestId},
};

/// The longest id that is taken from a header field, in bytes.
const MAX_LENGTH: usize = 128;

/// The source of the ids of requests.
#[derive(Clone, Debug)]
pub(super) struct RequestIds(pub(super) Option<(HeaderName, TrustedProxies)>);

impl RequestIds {
    /// The id in the field of a trusted proxy, if it has exactly one that is visible ASCII; otherwise a new one.
    pub(super) fn of(&self, head: &Head<'_>) -> RequestId {
        let received = self.0.as_ref().and_then(|(name, proxies)| {
            let mut fields = head.headers.get_all(name).iter();
            let only = fields.next().filter(|_| fields.next().is_none())?;
            (is_id(only) && proxies.trusts_peer(head.extensions)).then(|| only.clone())
        });
        RequestId(received.map_or_else(|| Id::Generated(new()), Id::Received))
    }
}

fn is_id(value: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// A new id: a random number of the process, and a count. It is unique, and not a secret.
fn new() -> u128 {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    u128::from(*PROCESS) << 64 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed))
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Generated(id) => write!(f, "{id:032x}"),
            Id::Received(value) => f.write_str(value.to_str().unwrap_or_default()),
        }
    }
}
