//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// No authenticator of the layer accepts a credential of this kind and form.
    ///
    /// Look at: the authenticators of the `AuthLayer` and the form of the credential: API keys need the prefix of a
    /// `KeyFormat`, JWTs have three segments, and opaque tokens need `Introspection`.
    CREDENTIAL_NOT_ACCEPTED = "credential_not_accepted";
    /// The layer requires a credential of the subject that the caller acts for, and the request has none.
    ///
    /// Look at: the client, which must send both credentials, each in its own location: see the layer's
    /// `AuthLayer::acting_for`.
    SUBJECT_CREDENTIAL_MISSING = "subject_credential_missing";
}
