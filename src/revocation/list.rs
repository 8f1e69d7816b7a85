use std::{fmt, sync::Arc};

use crate::{Eventual, caller::Identity, error::Unavailable};

/// Reports whether a credential was revoked.
///
/// The list is queried on every request, after the credential cache, so a revoked credential is refused at once even
/// while its identity is cached. See the [module docs](super).
///
/// # Rules
///
/// - A revocation applies on its node as soon as the call that adds it has returned. Concurrent revocations are all kept.
/// - A later revocation never narrows an earlier one: of several revocations of one name, the latest
///   [second of issue](super::Revocation::issued_until) and the latest expiry apply, in whatever order they are added.
/// - Names are compared byte for byte, together with their kind and their issuer. A credential without an issuer is not
///   revoked by a name that has one; a key is covered by revocations of its owner as a subject of any issuer, which
///   have a [name](super::Revocation::names) for it.
/// - A credential without a time of issue is covered by every revocation of its names.
///
/// # Examples
///
/// A list in a store that many nodes share, with [`RevocationName`](super::RevocationName) as the key:
///
/// ```
/// use std::{collections::HashMap, sync::RwLock};
/// use tower_warden::{
///     AuthMethod, Clock, Eventual, Identity, SystemClock, Unavailable, UnixTime,
///     revocation::{Revocation, RevocationError, RevocationErrorKind, RevocationList, RevocationName},
/// };
///
/// /// Stands for a table with the columns `name`, `issued_until` and `expires_at`.
/// #[derive(Default)]
/// struct TableRevocationList(RwLock<HashMap<Vec<u8>, (UnixTime, UnixTime)>>);
///
/// impl TableRevocationList {
///     fn revoke(&self, revocation: &Revocation, until: UnixTime) -> Result<(), RevocationError> {
///         revocation.ensure_storable()?;
///         let unavailable = |_| RevocationError::new(RevocationErrorKind::Unavailable);
///         let mut table = self.0.write().map_err(unavailable)?;
///         for name in revocation.names() {
///             let row = table.entry(name.to_bytes()).or_default();
///             // Revoking again never revokes less.
///             *row = (row.0.max(revocation.issued_until()), row.1.max(until + Revocation::GRACE));
///         }
///         Ok(())
///     }
/// }
///
/// impl RevocationList for TableRevocationList {
///     fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
///         let Ok(table) = self.0.read() else { return Eventual::Now(Err(Unavailable::new("the revocation table"))) };
///         let now = SystemClock::default().now();
///         let is_revoked = RevocationName::all_of(identity).any(|name| match table.get(&name.to_bytes()) {
///             Some((issued_until, expires_at)) => {
///                 now < *expires_at && identity.issued_at.is_none_or(|issued_at| issued_at <= *issued_until)
///             }
///             None => false,
///         });
///         Eventual::Now(Ok(is_revoked))
///     }
/// }
///
/// let (list, now) = (TableRevocationList::default(), SystemClock::default().now());
/// let mut alice = Identity::new("alice", AuthMethod::ApiKey);
/// alice.key_id = Some("key_1".into());
/// assert!(matches!(list.is_revoked(&alice), Eventual::Now(Ok(false))));
/// list.revoke(&Revocation::key("key_1"), now)?;
/// assert!(matches!(list.is_revoked(&alice), Eventual::Now(Ok(true))));
/// # Ok::<(), RevocationError>(())
/// ```
pub trait RevocationList: Send + Sync + 'static {
    /// Returns whether the identity is revoked.
    ///
    /// An implementation copies what it needs of the identity before it returns `Later`. An error refuses the request
    /// with 503.
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>>;
}

impl<L: RevocationList + ?Sized> RevocationList for Arc<L> {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        (**self).is_revoked(identity)
    }
}

impl fmt::Debug for dyn RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevocationList")
    }
}
