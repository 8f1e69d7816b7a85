use std::{error::Error, path::Path};

/// TLS that could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TlsError {
    kind: TlsErrorKind,
    message: Box<str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why TLS could not be set up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// There is nothing to read again: the configuration did not come from files.
    Fixed,
    /// A file cannot be read.
    Unreadable,
    /// What is in the files is no certificate or key, or they do not fit together.
    Unusable,
}

impl TlsError {
    pub(super) fn new(kind: TlsErrorKind, message: impl Into<Box<str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Of a file.
    pub(super) fn file(kind: TlsErrorKind, what: &str, path: &Path) -> Self {
        Self::new(kind, format!("{what} {}", path.display()))
    }

    pub(super) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> TlsErrorKind {
        self.kind
    }
}
