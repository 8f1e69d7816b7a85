//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The caller lacks a scope that the operation needs.
    ///
    /// Look at: the scopes in the response's challenge against those that the caller holds: the client's registration
    /// at the issuer, the claims that the `Issuer` reads scopes from, `scopes` in the key's record, and the
    /// `ScopeHierarchy`. An `AuthorizeLayer` with an empty list of scopes refuses every caller.
    INSUFFICIENT_SCOPE = "insufficient_scope";
}
