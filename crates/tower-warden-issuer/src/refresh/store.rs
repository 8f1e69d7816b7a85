use std::sync::Arc;

use tower_warden::{Digest, Eventual, Unavailable, UnixTime};

use super::family::{FoundToken, RefreshFamily, Rotation, RotationOutcome};

/// Keeps families of refresh tokens, by the digests of their tokens.
///
/// # Rules
///
/// - [`rotate`](Self::rotate) is one atomic step: of concurrent rotations from one number, one is
///   [`Rotated`](RotationOutcome::Rotated), and all others are [`Lost`](RotationOutcome::Lost) with the family after it.
/// - Each call has been stored when it returns.
/// - The digests of all tokens of a family are kept until it expires, so that the use of an old one is noticed.
///
/// [`MemoryRefreshStore`](super::MemoryRefreshStore) is an implementation for one process.
pub trait RefreshStore: Send + Sync + 'static {
    /// Stores a new family, and the digest of its first token.
    ///
    /// # Errors
    ///
    /// If the store does not answer, or has no room.
    fn begin(&self, family: RefreshFamily, token: Digest, now: UnixTime) -> Eventual<Result<(), Unavailable>>;

    /// Finds a token by its digest. It may be one that was replaced.
    ///
    /// # Errors
    ///
    /// If the store does not answer; the request is refused with 503.
    fn find(&self, token: &Digest) -> Eventual<Result<Option<FoundToken>, Unavailable>>;

    /// Revokes a family for good. Does nothing if it does not exist.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>>;

    /// Replaces the current token, if it has the number that the rotation begins from and the family is active.
    ///
    /// # Errors
    ///
    /// If the store does not answer, or has no room: nothing is issued.
    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>>;
}

impl<S: RefreshStore + ?Sized> RefreshStore for Arc<S> {
    fn begin(&self, family: RefreshFamily, token: Digest, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        (**self).begin(family, token, now)
    }

    fn find(&self, token: &Digest) -> Eventual<Result<Option<FoundToken>, Unavailable>> {
        (**self).find(token)
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        (**self).revoke(family_id)
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        (**self).rotate(rotation)
    }
}
