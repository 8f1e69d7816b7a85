use tower_warden::UnixTime;

use crate::TokenErrorKind;

/// The state of the credential of one service, for readiness checks.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    pub(super) expiry: Option<UnixTime>,
    pub(super) has_token: bool,
    pub(super) last_error: Option<TokenErrorKind>,
    pub(super) needs_rotation: bool,
    pub(super) rotation_due: Option<UnixTime>,
    pub(super) service: Box<str>,
}

impl ServiceStatus {
    /// The name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns whether there is a token that has not expired and was not refused, or a key that was not refused.
    ///
    /// A key or token that its API has refused with 401 counts again after a success, or when there is another one.
    ///
    /// Without [`refresh_in_background`](super::Credentials::refresh_in_background), there is none before the first
    /// request.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.has_token
    }

    /// The time at which the last token expires; `None` for keys, and if it is not known.
    #[must_use]
    pub const fn expiry(&self) -> Option<UnixTime> {
        self.expiry
    }

    /// The kind of the error with which the last attempt to obtain a token failed; `None` if it succeeded.
    #[must_use]
    pub const fn last_error(&self) -> Option<TokenErrorKind> {
        self.last_error
    }

    /// The time at which the first of its secrets has to be replaced, if that is configured.
    #[must_use]
    pub const fn rotation_due(&self) -> Option<UnixTime> {
        self.rotation_due
    }

    /// Returns whether a rotation is due within the [time of the warning](super::CredentialsBuilder::warn_before), or
    /// overdue.
    #[must_use]
    pub const fn needs_rotation(&self) -> bool {
        self.needs_rotation
    }
}
