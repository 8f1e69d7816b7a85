//! Reasons of refusals around streams.

use crate::reason::reasons;

reasons! {
    /// A handler needs a `CredentialWatch`, and `StreamGuardLayer` is missing around it.
    ///
    /// Look at: the layers of the route: `AuthLayer::stream_guard` makes the layer, which is inside of the `AuthLayer`.
    STREAM_GUARD_MISSING = "stream_guard_missing";
}
