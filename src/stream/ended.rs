use crate::{
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// The end of a credential, by which a response ends.
///
/// It is the error of the response body, and the output of [`CredentialWatch`](super::CredentialWatch).
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct CredentialEnded {
    kind: CredentialEndedKind,
    reason: Reason,
}

/// The cause of a [`CredentialEnded`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CredentialEndedKind {
    /// The credential has expired.
    Expired,
    /// The credential was revoked, or is not valid any more for another reason.
    Revoked,
    /// The credential could not be checked for longer than
    /// [`outage_grace`](crate::layer::StreamGuardLayer::outage_grace).
    Unavailable,
}

impl CredentialEndedKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Expired => "the credential of the request has expired",
            Self::Revoked => "the credential of the request was revoked",
            Self::Unavailable => "the credential of the request cannot be checked",
        }
    }
}

impl CredentialEnded {
    pub(super) const EXPIRED: Self = Self { kind: CredentialEndedKind::Expired, reason: Reason::EXPIRED };

    /// The end by a check that has failed.
    pub(super) fn by(rejection: &Rejection) -> Self {
        let kind = if is_outage(rejection) { CredentialEndedKind::Unavailable } else { CredentialEndedKind::Revoked };
        Self { kind, reason: rejection.reason() }
    }

    /// The cause.
    #[must_use]
    pub const fn kind(&self) -> CredentialEndedKind {
        self.kind
    }

    /// The reason for which a request with the credential would be refused.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

/// Returns whether a check has failed for a reason that says nothing about the credential.
pub(super) fn is_outage(rejection: &Rejection) -> bool {
    matches!(rejection.kind(), RejectionKind::Internal | RejectionKind::Unavailable)
}
