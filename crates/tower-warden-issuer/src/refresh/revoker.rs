use std::sync::Arc;

use tower_warden::{
    Eventual, Unavailable, UnixTime,
    revocation::{MemoryRevocationList, Revocation, RevocationList},
};

/// The list of revocations that the APIs query, to which the issuer adds its own.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     Eventual, UnixTime,
///     revocation::{MemoryRevocationList, Revocation},
/// };
/// use tower_warden_issuer::Revoker;
///
/// let list = MemoryRevocationList::default();
/// let revoker: &dyn Revoker = &list;
/// let session = || Revocation::session("https://auth.example.com", "4711");
/// assert!(matches!(revoker.revoke(session(), UnixTime::from_secs(u64::MAX)), Eventual::Now(Ok(()))));
/// let unnamed = Revocation::session("", "4711");
/// assert!(matches!(revoker.revoke(unnamed, UnixTime::from_secs(u64::MAX)), Eventual::Now(Err(_))));
/// ```
pub trait Revoker: RevocationList {
    /// Revokes the named credentials, the last of which expires at `until`.
    ///
    /// # Errors
    ///
    /// If the revocation was not stored.
    fn revoke(&self, revocation: Revocation, until: UnixTime) -> Eventual<Result<(), Unavailable>>;
}

impl<R: Revoker + ?Sized> Revoker for Arc<R> {
    fn revoke(&self, revocation: Revocation, until: UnixTime) -> Eventual<Result<(), Unavailable>> {
        (**self).revoke(revocation, until)
    }
}

impl Revoker for MemoryRevocationList {
    fn revoke(&self, revocation: Revocation, until: UnixTime) -> Eventual<Result<(), Unavailable>> {
        let revoked = Self::revoke(self, revocation, until);
        Eventual::Now(revoked.map_err(|error| Unavailable::new("the revocation list").because(error)))
    }
}
