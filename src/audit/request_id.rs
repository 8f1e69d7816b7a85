use http::{HeaderName, HeaderValue};

use crate::{
    request::{Head, TrustedProxies},
    trail::{EventId, Id, RequestId},
};

/// The longest id that is taken from a header field, in bytes.
const MAX_LENGTH: usize = 128;

/// The source of the ids of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestIds(pub(super) Option<(HeaderName, TrustedProxies)>);

impl RequestIds {
    /// The id in the field of a trusted proxy, if it has exactly one that is visible ASCII; otherwise a new one.
    pub(super) fn of(&self, head: &Head<'_>) -> RequestId {
        let received = self.0.as_ref().and_then(|(name, proxies)| {
            let mut fields = head.headers.get_all(name).iter();
            let only = fields.next().filter(|_| fields.next().is_none())?;
            let is_trusted = is_id(only) && proxies.trusts_peer(head.extensions);
            // A copy: the value may share its memory with the whole head of the request.
            HeaderValue::from_bytes(only.as_bytes()).ok().filter(|_| is_trusted)
        });
        RequestId(received.map_or_else(|| Id::Generated(EventId::new()), Id::Received))
    }
}

fn is_id(value: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}
