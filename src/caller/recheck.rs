use std::sync::Arc;

use super::identity::Identity;
use crate::{Eventual, refusal::Rejection, time::UnixTime};

/// Checks a credential again after its request was admitted, while a long response is sent.
///
/// An authenticator whose credentials can become invalid before they expire sets it as [`Identity::recheck`]. API
/// keys are looked up again, and tokens need a key that has not left its set. Nothing calls it unless a layer ends
/// responses, such as `StreamGuardLayer`.
///
/// # Examples
///
/// Sessions that are closed by removing their number:
///
/// ```
/// use std::{collections::HashSet, sync::{Arc, RwLock}};
/// use tower_warden::{
///     AuthMethod, Eventual, Identity, Reason, Rejection, RejectionKind, UnixTime,
///     caller::Recheck,
/// };
///
/// struct Session {
///     open: Arc<RwLock<HashSet<u64>>>,
///     number: u64,
/// }
///
/// impl Recheck for Session {
///     fn recheck(&self, _: UnixTime) -> Eventual<Result<Option<Arc<Identity>>, Rejection>> {
///         let is_open = self.open.read().expect("no panic while locked").contains(&self.number);
///         let closed = || Rejection::new(RejectionKind::Invalid, const { Reason::custom("session_closed") });
///         Eventual::Now(if is_open { Ok(None) } else { Err(closed()) })
///     }
/// }
///
/// let open = Arc::new(RwLock::new(HashSet::from([7])));
/// let mut identity = Identity::new("alice", AuthMethod::Custom("session"));
/// identity.recheck = Some(Arc::new(Session { open, number: 7 }));
/// ```
pub trait Recheck: Send + Sync {
    /// Returns the present identity of the credential, or `None` if it has not changed. Of a changed one, the expiry
    /// applies; scopes and networks were decided on when the request was admitted.
    ///
    /// # Errors
    ///
    /// As those of [`Authenticator::authenticate`](crate::Authenticator::authenticate):
    /// [`Invalid`](crate::RejectionKind::Invalid) if the credential is not valid any more, and
    /// [`Unavailable`](crate::RejectionKind::Unavailable) if a dependency did not answer.
    fn recheck(&self, now: UnixTime) -> Eventual<Result<Option<Arc<Identity>>, Rejection>>;
}
