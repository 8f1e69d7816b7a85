//! Reasons for refusals by revocation lists.

use crate::reason::reasons;

reasons! {
    /// The revocation list could not be queried.
    ///
    /// Look at: the warning in the log, which names the cause; then the Redis server that holds the list, and the
    /// network to it.
    REVOCATIONS_UNAVAILABLE = "revocations_unavailable";
    /// The credential is on the revocation list.
    ///
    /// Look at: the revocations of its token id (`jti`), session (`sid`), key id, subject, client and tenant. A token
    /// without `iat` matches every revocation of its subject, client or tenant.
    REVOKED = "revoked";
}
