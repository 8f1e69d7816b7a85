use std::error::Error;

use crate::error::Unavailable;

/// An error of key management.
///
/// [`source`](Error::source) is the cause, for the log: for example the record's member that was refused, or the error of
/// the database.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct KeyError {
    kind: KeyErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a [`KeyError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The key to be purged is neither revoked nor expired.
    Active,
    /// The store is misconfigured: its URL, features or schema. Or keys of the format cannot be minted, or the store does not
    /// support the change.
    Configuration,
    /// The id or the digest of the key exists already, or keys were changed in the meantime: the one that
    /// is replaced, or the ones that are selected.
    Conflict,
    /// The key is revoked, replaced or expired.
    Inactive,
    /// The record of the key is invalid.
    Invalid,
    /// The key does not exist.
    NotFound,
    /// The store did not answer.
    Unavailable,
}

impl KeyErrorKind {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Active => "the key is neither revoked nor expired",
            Self::Configuration => "the key store is misconfigured",
            Self::Conflict => "a key with this id or digest exists already, or keys were changed in the meantime",
            Self::Inactive => "the key is revoked, replaced or expired",
            Self::Invalid => "the key is invalid",
            Self::NotFound => "the key does not exist",
            Self::Unavailable => "the key store is unavailable",
        }
    }
}

impl KeyError {
    /// Creates an error of this kind.
    #[must_use]
    pub const fn new(kind: KeyErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Sets the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of the error.
    #[must_use]
    pub const fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

impl From<Unavailable> for KeyError {
    fn from(error: Unavailable) -> Self {
        Self::new(KeyErrorKind::Unavailable).because(error)
    }
}
