//! Why keys could not be changed.

use std::error::Error;

use crate::error::Unavailable;

/// A change that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct KeyError {
    kind: KeyErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why a change could not be made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The store is set up wrongly: its URL, its features, its schema.
    Configuration,
    /// The id or the digest is there already.
    Conflict,
    /// The key was revoked or replaced already, or has expired.
    Inactive,
    /// A line that is no record, or a key that cannot be minted.
    Invalid,
    /// There is no such key.
    NotFound,
    /// The store did not answer.
    Unavailable,
}

impl KeyErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Configuration => "the key store is set up wrongly",
            Self::Conflict => "a key with this id or digest is there already",
            Self::Inactive => "the key was revoked or replaced already, or has expired",
            Self::Invalid => "the key is invalid",
            Self::NotFound => "there is no such key",
            Self::Unavailable => "the key store is unavailable",
        }
    }
}

impl KeyError {
    /// A change that could not be made.
    #[must_use]
    pub const fn new(kind: KeyErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Keeps the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why it could not be made.
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
