//! Cached values, and the outcomes of look-ups.

use std::{fmt, sync::Arc, time::Duration};

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
    /// The dependency did not answer.
    Down(Failure),
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
            Self::Down(failure) => Err(failure.into()),
            Self::Found(value) => Ok(value),
            Self::Panicked => Err(Rejection::new(RejectionKind::Internal, Reason::PANICKED)),
            Self::Refused(reason) => Err(Rejection::new(RejectionKind::Invalid, reason)),
        }
    }
}

/// A failure of a dependency.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// The text that is logged when an outage begins; it contains nothing that a client sent.
    pub(crate) cause: Arc<str>,
    /// Set if a mistake of this server is the cause, which it cannot recover from by waiting.
    pub(crate) is_own_mistake: bool,
    /// The pause that the dependency asks for.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, cause: impl fmt::Display) -> Self {
        Self { reason, cause: cause.to_string().into(), is_own_mistake: false, retry_after: None }
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let rejection = Self::new(RejectionKind::Unavailable, failure.reason);
        match failure.retry_after {
            Some(wait) => rejection.retry_after(wait),
            None => rejection,
        }
    }
}
