use std::sync::Arc;

use tower_warden::{Eventual, Unavailable, UnixTime};

use super::family::{RefreshFamily, Rotation, RotationOutcome};

/// Keeps families of refresh tokens.
///
/// What a token is worth is decided by the issuer, from its family: the store keeps no token, and nothing of tokens that were
/// replaced, so a family takes the same room however often it is used.
///
/// # Rules
///
/// - [`rotate`](Self::rotate) is one atomic step: of concurrent rotations from one number, on whatever node, one is
///   [`Rotated`](RotationOutcome::Rotated), and all others are [`Lost`](RotationOutcome::Lost) with the family after it.
///   [`Rotation::apply`] is the comparison and the change.
/// - Each call has been stored when it returns, and is seen by each call that begins later.
/// - A family is kept until [`idle_until`](RefreshFamily::idle_until). A revoked one may be removed an hour after
///   [`rotated_at`](RefreshFamily::rotated_at): the access tokens that its use would revoke once more have expired.
///
/// [`MemoryRefreshStore`](super::MemoryRefreshStore) is an implementation for one process, and `tower-warden-sql` has one for
/// several nodes.
pub trait RefreshStore: Send + Sync + 'static {
    /// Stores a new family, whose id no other one has.
    ///
    /// # Errors
    ///
    /// If the store does not answer, or has no room.
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>>;

    /// Finds a family. The id is that of a presented token, and may be any text of base64url.
    ///
    /// # Errors
    ///
    /// If the store does not answer; the request is refused with 503.
    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>>;

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
    /// If the store does not answer: nothing is issued.
    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>>;
}

impl<S: RefreshStore + ?Sized> RefreshStore for Arc<S> {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        (**self).begin(family, now)
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        (**self).find(family_id)
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        (**self).revoke(family_id)
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        (**self).rotate(rotation)
    }
}
