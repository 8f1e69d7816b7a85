//! Cached values, and the outcomes of look-ups.

use std::time::Duration;

use crate::{
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::UnixTime,
};

/// A value that can be cached and invalidated.
pub(crate) trait Tagged: Clone + Send + Sync + 'static {
    /// The name by which [`CredentialCache::invalidate`](super::credential_cache::CredentialCache::invalidate) finds it.
    fn tag(&self) -> &str;

    /// The approximate size in memory, in bytes.
    fn size(&self) -> usize;

    /// Returns whether what the value depends on is still valid. Checked on every cache hit.
    fn is_current(&self, _now: UnixTime) -> bool {
        true
    }
}

/// The outcome of a look-up.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<V> {
    /// The dependency asks for a pause before the next request.
    #[cfg_attr(not(feature = "introspection"), allow(dead_code, reason = "only introspection endpoints ask for it"))]
    Busy(Reason, Duration),
    /// The dependency did not answer.
    Down(Reason),
    /// The credential is valid.
    Found(V),
    /// The look-up panicked.
    Panicked,
    /// The credential is invalid.
    Refused(Reason),
}

impl<V> Outcome<V> {
    /// The value, or the refusal of the request that needs it.
    pub(crate) fn into_result(self) -> Result<V, Rejection> {
        match self {
            Self::Busy(reason, wait) => Err(Rejection::new(RejectionKind::Unavailable, reason).retry_after(wait)),
            Self::Down(reason) => Err(Rejection::new(RejectionKind::Unavailable, reason)),
            Self::Found(value) => Ok(value),
            Self::Panicked => Err(Rejection::new(RejectionKind::Internal, Reason::PANICKED)),
            Self::Refused(reason) => Err(Rejection::new(RejectionKind::Invalid, reason)),
        }
    }
}
