use std::{fmt, sync::Arc};

use crate::{Eventual, caller::Identity, error::Unavailable};

/// Tells which credentials were revoked.
///
/// Asked after the cache, on every request, so a revoked credential is refused at once even while its identity is
/// cached. See the [module docs](super).
pub trait RevocationList: Send + Sync + 'static {
    /// Whether the identity counts no more; what is needed of it is read before the first `Later`.
    ///
    /// An error is answered with 503.
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
