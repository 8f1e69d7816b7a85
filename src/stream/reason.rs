//! Reasons of refusals around streams.

use crate::reason::reasons;

reasons! {
    /// The authenticator of the credential of a response that is being sent did not check it in time.
    ///
    /// Look at: the `Recheck` of the `Identity`, and what it queries; for API keys, the store.
    RECHECK_UNAVAILABLE = "recheck_unavailable";
    /// The caller was admitted by another `AuthLayer`, or by other settings, than those of the `StreamGuardLayer`.
    ///
    /// Look at: the order of the calls: `AuthLayer::stream_guard` comes after `revocations` and `environment`, and the layer
    /// that it makes is placed inside of that same `AuthLayer`.
    STREAM_GUARD_MISMATCH = "stream_guard_mismatch";
    /// A handler needs a `CredentialWatch`, and `StreamGuardLayer` is missing around it.
    ///
    /// Look at: the layers of the route: `AuthLayer::stream_guard` makes the layer, which is inside of the `AuthLayer`.
    STREAM_GUARD_MISSING = "stream_guard_missing";
}
