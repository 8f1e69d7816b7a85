/// A revocation that was not taken on: what it names is as good as before.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct RevocationError {
    kind: RevocationErrorKind,
}

/// Why a revocation was not taken on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RevocationErrorKind {
    /// The time at which all that it names has ended is past already.
    Ended,
    /// The list holds as many revocations as it may, none of which has ended.
    Full,
    /// The issuer and the id have more than 1024 bytes together.
    TooLong,
    /// What keeps the list did not answer; it may have taken the revocation on all the same.
    Unavailable,
}

impl RevocationErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Ended => "the revocation has ended already",
            Self::Full => "the revocation list is full",
            Self::TooLong => "the revoked name is too long",
            Self::Unavailable => "the revocation list does not answer",
        }
    }
}

impl RevocationError {
    pub(super) const fn new(kind: RevocationErrorKind) -> Self {
        Self { kind }
    }

    /// Why it was not taken on.
    #[must_use]
    pub const fn kind(&self) -> RevocationErrorKind {
        self.kind
    }
}
