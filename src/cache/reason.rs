//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The cached entries were invalidated several times while the credential was looked up.
    ///
    /// Look at: what changes or revokes keys again and again, and whether the store's change notifications reconnect in
    /// a loop: each lost connection invalidates the whole cache.
    REVOKED_WHILE_LOADING = "revoked_while_loading";
}
