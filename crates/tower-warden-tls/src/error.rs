use std::{error::Error, fmt, path::Path};

/// A TLS configuration that cannot be loaded.
///
/// The message contains the path of the file and states what was expected in it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TlsError {
    kind: TlsErrorKind,
    message: Box<str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a [`TlsError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// The content of a file is not a certificate or key, or the files do not match each other.
    Invalid,
    /// The configuration was not loaded from files, so it cannot be reloaded.
    NotReloadable,
    /// A file cannot be read.
    Unreadable,
}

impl TlsError {
    pub(crate) fn new(kind: TlsErrorKind, message: impl Into<Box<str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn file(kind: TlsErrorKind, path: &Path, problem: &str) -> Self {
        Self::new(kind, format!("{}: {problem}", path.display()))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> TlsErrorKind {
        self.kind
    }
}

/// Displays an error and its sources in one line, for logs.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
