/// A revocation that was not stored: the credentials that it names are still accepted.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct RevocationError {
    kind: RevocationErrorKind,
}

/// The cause of a [`RevocationError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RevocationErrorKind {
    /// All credentials that the revocation names have expired already.
    Expired,
    /// The list has reached its capacity, and none of its revocations has expired.
    Full,
    /// The revocation of a token, session, client or subject has an empty issuer, and would match nothing. Keys are
    /// revoked by [`Revocation::key`](super::Revocation::key),
    /// [`Revocation::signature_key`](super::Revocation::signature_key), [`Revocation::owner`](super::Revocation::owner) and
    /// [`Revocation::of`](super::Revocation::of).
    NoIssuer,
    /// The id, session, subject, client, owner or tenant of the revocation is empty, for example because a variable was not
    /// set.
    NoName,
    /// The issuer and the id are longer than [`RevocationName::MAX_LEN`](super::RevocationName::MAX_LEN) together.
    TooLong,
    /// The store of the list did not answer. It may have stored the revocation.
    Unavailable,
}

impl RevocationErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Expired => "the revoked credentials have expired already",
            Self::Full => "the revocation list is full",
            Self::NoIssuer => {
                "the revocation names no issuer, so it matches nothing; API keys are revoked by key id, by owner, or by \
                 `Revocation::of` the caller"
            }
            Self::NoName => "the revocation names nothing: its id, session, subject, client, owner or tenant is empty",
            Self::TooLong => "the issuer and the id of the revocation have more than 1024 bytes",
            Self::Unavailable => "the store of the revocation list did not answer",
        }
    }
}

impl RevocationError {
    /// Creates an error, for custom lists.
    #[must_use]
    pub const fn new(kind: RevocationErrorKind) -> Self {
        Self { kind }
    }

    /// The cause.
    #[must_use]
    pub const fn kind(&self) -> RevocationErrorKind {
        self.kind
    }
}
