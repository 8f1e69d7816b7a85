//! Reasons of refusals by a gate.

use crate::reason::reasons;

reasons! {
    /// Code that decides on the request panicked.
    ///
    /// Look at: the panic message on the server's standard error, and custom code: authenticators, stores, policies,
    /// key sources, closures.
    PANICKED = "panicked";
}
